#!/usr/bin/env bash
# The README's Swift example is the program that CI compiles. `--write` puts it there.
set -euo pipefail
cd "$(dirname "$0")/.."
expected=$(awk -v source=Examples/TwoNodes/main.swift '
    inside && /^```$/ { while ((getline line < source) > 0) print line; inside = 0 }
    !inside { print }
    /^<!-- Examples\/TwoNodes/ { marked = 1 }
    marked && /^```swift$/ { inside = 1; marked = 0 }
' README.md)
if [ "${1:-}" = --write ]; then
    printf '%s\n' "$expected" > README.md
elif [ "$expected" != "$(cat README.md)" ]; then
    echo "README.md's example differs from Examples/TwoNodes/main.swift: run scripts/check-readme.sh --write" >&2
    exit 1
fi
