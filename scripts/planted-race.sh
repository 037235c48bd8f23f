#!/usr/bin/env bash
# Checks that ThreadSanitizer reports a planted race. Otherwise its other results prove nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
swift build --sanitize=thread --scratch-path .build-tsan --product PlantedRace
status=0
output=$(TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp" .build-tsan/debug/PlantedRace 2>&1) || status=$?
if [ "$status" = 0 ] || ! grep -qE "WARNING: ThreadSanitizer: .* race" <<<"$output"; then
    echo "ThreadSanitizer did not report the planted race; its other results prove nothing" >&2
    exit 1
fi
echo "ThreadSanitizer reports the planted race"
