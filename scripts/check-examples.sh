#!/usr/bin/env bash
# Checks that code in documentation is code that CI compiles: each marked block must equal its source file.
# `--write` copies the sources into the pages.
set -euo pipefail
cd "$(dirname "$0")/.."

fail=0
for page in README.md Sources/Parley/Parley.docc/*.md; do
    expected=$(awk '
        inside && /^```$/ { while ((getline line < source) > 0) print line; close(source); inside = 0 }
        !inside { print }
        /^<!-- [A-Za-z\/]+\.(swift|c) .*-->$/ { source = $2 }
        source != "" && /^```(swift|c)$/ { inside = 1 }
        /^```$/ { source = "" }
    ' "$page")
    [ "$expected" = "$(cat "$page")" ] && continue
    if [ "${1:-}" = --write ]; then
        printf '%s\n' "$expected" > "$page"
    else
        echo "$page shows code that differs from its source: run scripts/check-examples.sh --write" >&2
        fail=1
    fi
done
exit "$fail"
