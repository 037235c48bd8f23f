#!/usr/bin/env bash
# Runs the soak's churn under each sanitizer: soak-sanitized.sh SECONDS
#
# A sanitizer slows the program down and keeps freed memory for a time. So there are fewer peers, and memory
# may grow by more.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: soak-sanitized.sh SECONDS}

for sanitizer in address thread; do
    folder=.build-${sanitizer:0:1}san
    swift build --sanitize="$sanitizer" --scratch-path "$folder" --product ParleySoak
    echo "== churn under the $sanitizer sanitizer"
    # Either sanitizer ends the program with a non-zero status after an error.
    ASAN_OPTIONS=quarantine_size_mb=16 TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/scripts/tsan.supp" \
        "$folder/debug/ParleySoak" churn --seconds "$seconds" --peers 300 --tolerance 64
done
