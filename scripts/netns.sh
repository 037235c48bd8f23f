#!/usr/bin/env bash
# Makes three hosts and a switch, each in a network namespace of its own, so that the machine's network is not
# touched. ParleyNamespaces runs a node on each host and takes a link down. The namespaces and their links are
# removed at the end, also after a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$PWD/.build/release/ParleyNamespaces
name=parley-$$
hosts=(a b c)

remove() {
    for host in switch "${hosts[@]}"; do ip netns delete "$name-$host" 2>/dev/null || true; done
}
trap remove EXIT
trap 'exit 130' INT TERM

ip netns add "$name-switch"
ip -n "$name-switch" link add bridge type bridge
ip -n "$name-switch" link set bridge up
number=0
for host in "${hosts[@]}"; do
    number=$((number + 1))
    ip netns add "$name-$host"
    ip -n "$name-switch" link add "port-$host" type veth peer name eth0 netns "$name-$host"
    ip -n "$name-switch" link set "port-$host" master bridge up
    ip -n "$name-$host" address add "10.77.0.$number/24" dev eth0
    ip -n "$name-$host" link set lo up
    ip -n "$name-$host" link set eth0 up
done

"$program" run --prefix "$name" "$@"
