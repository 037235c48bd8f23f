#!/usr/bin/env bash
# The arrows between the folders of Sources/Parley: who may name whose types. The compiler does not check
# them, since all folders are one module.
#
# FOLDER: the folders whose types it may not name.
set -euo pipefail
cd "$(dirname "$0")/../Sources/Parley"
rules="
Memory: Loop TCP InMemory Files Wire Inbox Connection Node Limits Reconnecting Statistics Concurrency
Concurrency: Loop TCP InMemory Files Wire Inbox Connection Node Limits Reconnecting Statistics
Wire: Loop TCP InMemory Files Inbox Connection Node Reconnecting Statistics Concurrency
Wire/Mux: Loop TCP InMemory Files Inbox Connection Node Limits Reconnecting Statistics Concurrency
Wire/Negotiation: Loop TCP InMemory Files Inbox Connection Node Limits Reconnecting Statistics Concurrency
Wire/LibP2P: Loop TCP InMemory Files Inbox Connection Node Limits Reconnecting Statistics Concurrency
Loop: Wire/Mux Wire/Negotiation TCP InMemory Files Wire Inbox Connection Node Reconnecting Statistics
Inbox: TCP InMemory Files Connection Node Reconnecting Limits
Connection: TCP InMemory Reconnecting
Node: TCP InMemory
Limits: TCP
Reconnecting: TCP InMemory
Statistics: TCP
"
# Names that every folder may use. ReadBlock is memory of a loop's context that only sockets fill. The
# transports are extended in the folder of each extension's subject.
allowed="ReadBlock TCPTransport InMemoryTransport"

# The types that the files of a folder declare at their top level.
types() {
    local modifiers='(@[A-Za-z@() ]+ )?((public|package|fileprivate|final|indirect) )*'
    local kinds='(struct|class|enum|protocol|typealias)'
    sed -nE "s/^$modifiers$kinds ([A-Z][A-Za-z0-9]*).*/\\3 \\5/p" "$1"/*.swift \
        | awk '$1 != "fileprivate" { print $NF }' | sort -u
}

fail=0
while IFS=: read -r folder others; do
    [ -n "$folder" ] || continue
    for other in $others; do
        for type in $(types "$other"); do
            case " $allowed " in *" $type "*) continue ;; esac
            # Comments may name what they like.
            found=$(grep -nw "$type" "$folder"/*.swift | grep -vE "//.*\b$type\b" | head -n 3 || true)
            if [ -n "$found" ]; then
                echo "$folder/ must not know $other/, but names $type:" >&2
                echo "$found" >&2
                fail=1
            fi
        done
    done
done <<< "$rules"
# The values that a connection is made of decide without help from anywhere.
for value in Lifecycle Intake SendQueue Health; do
    if grep -nE '^(@[a-z]+ |public |package )*import ' "Connection/$value.swift" >&2; then
        echo "Connection/$value.swift must import nothing" >&2
        fail=1
    fi
done
[ "$fail" = 0 ] && echo "the arrows between folders point one way"
exit "$fail"
