#!/usr/bin/env bash
# Runs the suite with random delays in its threads (Tests/Shake/shake.c), under SANITIZE (thread or address)
# if that is set. The delays also show ThreadSanitizer more interleavings.
set -euo pipefail
cd "$(dirname "$0")/.."

skipped="GOB|DecoderTests|Fuzz"
case "${SANITIZE:-}" in
"") options=() ;;
thread) options=(--sanitize=thread --scratch-path .build-tsan) skipped+="|ParleyCLITests" ;;
address) options=(--sanitize=address --scratch-path .build-asan) skipped+="|ParleyCLITests" ;;
*)
    echo "SANITIZE=$SANITIZE is not thread or address" >&2
    exit 2
    ;;
esac

mkdir -p .build
swift build --build-tests "${options[@]}"
cc -O2 -Wall -Wextra -Werror -std=gnu11 -shared -fPIC -o .build/shake.so Tests/Shake/shake.c -ldl
LD_PRELOAD=$PWD/.build/shake.so TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp" \
    "$(swift build --show-bin-path "${options[@]}")/parleyPackageTests.xctest" \
    --testing-library swift-testing --no-parallel --skip "$skipped"
