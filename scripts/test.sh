#!/usr/bin/env bash
# Runs the test suite: test.sh [options of `swift test`]
#
# What failed is printed once more at the end: it is easily lost among thousands of lines, and a log may be
# cut.
set -euo pipefail

printed=$(mktemp)
trap 'rm -f "$printed"' EXIT

# One test at a time: some tests block on raw sockets, each on one of the two threads that all tasks share.
status=0
"${SWIFT:-swift}" test --disable-xctest --no-parallel "$@" 2>&1 | tee "$printed" || status=$?
if [ "$status" -ne 0 ]; then
    printf '\nwhat failed:\n'
    grep -E '^✘.* recorded an issue|^↳|error:|signal code|Fatal error' "$printed" | tail -n 60 || true
fi
exit "$status"
