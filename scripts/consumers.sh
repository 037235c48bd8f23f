#!/usr/bin/env bash
# Builds and runs Examples/swift, a package that depends on Parley: once by path, as it is, and once by URL
# and version, from a clone of the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What each program prints.
expected() {
    case $1 in
    Tally) printf '%s\n' '"to be or not to be" has 6 words' '"that is the question" has 4 words' ;;
    FileServer)
        printf '%s\n' 'stored, with 2 replicas' 'node 2 got 400000 bytes' \
            'after the deletion 0 nodes have it' ;;
    esac
}

fail() { echo "consumers.sh: $*" >&2; exit 1; }

# try HOW OPTION...: builds the package, runs its programs, and checks their output.
try() {
    "$swift" build "${@:2}"
    for program in Tally FileServer; do
        said=$("$("$swift" build "${@:2}" --show-bin-path)/$program")
        [ "$said" = "$(expected "$program")" ] || fail "by $1, $program printed: $said"
        echo "$program, in a package that depends on Parley by $1, builds, runs and prints what it should"
    done
}

try path --package-path Examples/swift --scratch-path .build-consumers

# To SwiftPM the clone is a release, for which it refuses what only works in a checkout, such as unsafe flags.
version=0.1.0
git clone -q --no-local --depth 1 "file://$PWD" "$work/parley"
git -C "$work/parley" tag "$version"
cp -R Examples/swift "$work/tally"
by_path='\.package(name: "parley", path: "../..")'
by_url=".package(url: \"file://$work/parley\", from: \"$version\")"
sed -i.before "s|$by_path|$by_url|" "$work/tally/Package.swift"
cmp -s "$work/tally/Package.swift" "$work/tally/Package.swift.before" \
    && fail "Examples/swift names no path to replace"
# Without SwiftPM's caches: the next run has another commit under the same version.
try "URL and version" --package-path "$work/tally" --scratch-path "$work/scratch" \
    --disable-dependency-cache --security-path "$work/security"
