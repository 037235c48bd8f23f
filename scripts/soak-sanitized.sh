#!/usr/bin/env bash
# The soak's coming and going under each sanitizer: soak-sanitized.sh SECONDS
#
# A sanitizer slows everything down and keeps what was freed for a while, so there are fewer peers, and memory may rise
# by more.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: soak-sanitized.sh SECONDS}

for sanitizer in address thread; do
    folder=.build-${sanitizer:0:1}san
    swift build --sanitize="$sanitizer" --scratch-path "$folder" --product ParleySoak
    echo "== churn under the $sanitizer sanitizer"
    # An error of either sanitizer ends the program with a status of its own.
    ASAN_OPTIONS=quarantine_size_mb=16 TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/scripts/tsan.supp" \
        "$folder/debug/ParleySoak" churn --seconds "$seconds" --peers 300 --tolerance 64
done
