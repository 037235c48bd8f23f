#!/usr/bin/env bash
# Shell scripts: bash reads them without errors, and none pipes into `grep -q`. That one ends at the first
# match, which ends the writer by SIGPIPE; with `pipefail` the match then counts as a failure, now and then.
set -euo pipefail
cd "$(dirname "$0")/.."

fail=0
for script in scripts/*.sh .ci/run; do bash -n "$script" || fail=1; done
if found=$(grep -nE '^[^#]*[^|]\|[[:space:]]*grep -[a-zA-Z]*q' scripts/*.sh .ci/run); then
    echo "write grep -q PATTERN <<< \"\$(COMMAND)\" instead of a pipe: $found" >&2
    fail=1
fi
[ "$fail" = 0 ] && echo "the scripts do not depend on who writes faster"
exit "$fail"
