#!/usr/bin/env bash
# ThreadSanitizer's silence about the library means something only if it speaks when there is a race.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build --sanitize=thread --scratch-path .build-tsan --product PlantedRace
if output=$(TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp" .build-tsan/debug/PlantedRace 2>&1); then status=0; else status=$?; fi
if [ "$status" = 0 ] || ! grep -qE "WARNING: ThreadSanitizer: .* race" <<<"$output"; then
    echo "ThreadSanitizer did not report the planted race; its other results mean nothing" >&2
    exit 1
fi
echo "ThreadSanitizer reports the planted race"
