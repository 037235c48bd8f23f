#!/usr/bin/env bash
# Checks that the man pages are well-formed and complete: they must name every function and error of parley.h,
# and every subcommand and option of the tool. Their example must equal the one that is compiled.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${1:?usage: check-man.sh TOOL}
header=Sources/CParley/include/parley.h
fail=0
complain() { echo "$1" >&2; fail=1; }

for page in man/*.[13]; do
    mandoc -Tlint -Wwarning "$page" >&2 || fail=1
    warnings=$(LC_ALL=C.UTF-8 groff -mandoc -Tutf8 -ww -z "$page" 2>&1)
    [ -z "$warnings" ] || complain "$page: $warnings"
    case $page in
        *.1) name=parley.1 ;;
        *) name=parley.3 ;;
    esac
    [ "$(basename "$page")" = "$name" ] || complain "$page is not installed by library.mk"
done

for function in $(grep -oE '\bparley_[a-z_]+\(' "$header" | grep -oE '[a-z_]+' | LC_ALL=C sort -u); do
    # Skips names that match but are not declared as functions: callback types, and words in comments.
    grep -qE "^[^/* ].*[ *]$function\(" "$header" || continue
    grep -q "^\.It Fn $function\( \|\$\)" man/parley.3 || complain "parley.3 leaves out $function()"
done
for error in $(grep -oE '^ +PARLEY_E[A-Z]+ = -' "$header" | grep -oE '[A-Z_]+'); do
    case $error in PARLEY_EVENT*) continue ;; esac
    grep -q "^\.It Bq Er $error\$" man/parley.3 || complain "parley.3 leaves out $error"
done
sed -n '/^#include <parley.h>/,/^\.Ed/p' man/parley.3 | sed -e '/^\.Ed/d' -e 's/\\e/\\/g' -e 's/^\\&//' \
    | diff <(sed -n '/^#include <parley.h>/,$p' Examples/c/hello.c) - >&2 \
    || complain "the example in parley.3 is not Examples/c/hello.c"

# The tool's help names every option.
for command in "" listen dial receive send serve get ls id; do
    [ -z "$command" ] || grep -q "^\.Cm $command\$" man/parley.1 || complain "parley.1 leaves out $command"
    # shellcheck disable=SC2086
    for option in $("$tool" help $command | grep -oE -- '--[a-z-]+' | LC_ALL=C sort -u); do
        grep -qE "^\.(It|Op|Fl).*(Fl|,) -${option#--}( |\$)" man/parley.1 \
            || complain "parley.1 leaves out $option"
    done
done
for command in $("$tool" help | sed -n '/^SUBCOMMANDS/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    grep -q "^\.It Cm $command\$" man/parley.1 || complain "parley.1 leaves out $command"
done
[ "$fail" = 0 ] && echo "the man pages are complete"
exit "$fail"
