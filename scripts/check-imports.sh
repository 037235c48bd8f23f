#!/usr/bin/env bash
# Checks the rules about imports that a compiler does not check: check-imports.sh [SCRATCH_PATH]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-.build-lint}
fail=0
complain() { echo "$1" >&2; fail=1; }

if found=$(grep -rnE '^\s*(@\w+ |public )*import Foundation' Sources/Parley); then
    complain "the library must not import Foundation: $found"
fi
# Semaphore.swift needs sem_clockwait, which the shim declares; it uses nothing of libuv.
if found=$(grep -rln 'import CLibUV' Sources \
    | grep -vE '^Sources/Parley/((Loop|TCP)/|Concurrency/Semaphore\.swift$)'); then
    complain "only Loop/ and TCP/ of Sources/Parley may import CLibUV: $found"
fi
if found=$(grep -rlE '^import (CLibUV|Glibc|Darwin|Dispatch|Synchronization|Logging)' \
    Sources/Parley/Wire); then
    complain "Sources/Parley/Wire must stay pure: $found"
fi
if found=$(grep -rlE 'Unsafe(Mutable)?(Raw)?(Buffer)?Pointer' Sources/Parley --include='*.swift' \
    | grep -vE '^Sources/Parley/(Loop|TCP|Concurrency|Memory)/'); then
    complain "unsafe pointers belong in Loop/, TCP/, Concurrency/ and Memory/ of Sources/Parley: $found"
fi
if found=$(grep -rnE '^\s*(@\w+ |public )*import Foundation' Sources/ParleyNoise); then
    complain "ParleyNoise must not import Foundation: $found"
fi
if found=$(grep -rln 'import CSodium' Sources | grep -v '^Sources/ParleyNoise/Sodium.swift$'); then
    complain "only Sources/ParleyNoise/Sodium.swift may import CSodium: $found"
fi
if found=$(grep -rlE 'Unsafe(Mutable)?(Raw)?(Buffer)?Pointer' Sources/ParleyNoise \
    | grep -v '^Sources/ParleyNoise/Sodium.swift$'); then
    complain "unsafe pointers of ParleyNoise belong in Sodium.swift: $found"
fi
if [ "$(uname)" = Linux ]; then
    swift build --scratch-path "$build" --product parley >/dev/null
    objects=$(find "$build/debug/Parley.build" -name '*.o')
    # shellcheck disable=SC2086
    undefined=$(nm -u $objects)
    if grep -q 'Foundation' <<< "$undefined"; then complain "the library links Foundation"; fi
fi
[ "$fail" = 0 ] && echo "imports follow the rules"
exit "$fail"
