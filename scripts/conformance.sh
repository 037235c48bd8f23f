#!/usr/bin/env bash
# Builds the programs of Tests/Conformance with a staged install, and runs each of them in every way:
#
#     gcc, clang    C11
#     g++           C++17
#     valgrind      no error, and nothing definitely lost
#     asan          the program, but not the library, with AddressSanitizer and LeakSanitizer
#     secured       gcc, with an identity for each node; only programs that talk to nodes alone
#
# The programs find the library through pkg-config, and run without a Swift toolchain in their environment.
# The last line is `N passed, M failed`. NAME=... limits it to one program.
set -euo pipefail
cd "$(dirname "$0")/.."

warnings=(-Wall -Wextra -Wpedantic -Werror -pthread -g -O1)
programs=Tests/Conformance

# --- One program in one way: conformance.sh --run NAME WAY -------------------------------------------------

if [ "${1-}" = --run ]; then
    name=$2 way=$3 binary=$STAGE/$2-$3
    packages=(parley)
    [ "$name" != uvloop ] || packages+=(libuv)
    # The staged tree is not at its prefix: pkg-config derives the prefix from the place of parley.pc.
    read -ra cflags <<< "$(pkg-config --define-prefix --cflags "${packages[@]}")"
    read -ra libs <<< "$(pkg-config --define-prefix --libs "${packages[@]}")"
    # It loads the library while it runs.
    [ "$name" != plugin ] || libs=(-ldl)
    extra=() before=() sanitizer=()
    case $way in
    gcc) compile=(gcc -std=c11) ;;
    clang) compile=(clang -std=c11) ;;
    secured)
        compile=(gcc -std=c11)
        extra=(PARLEY_CONFORMANCE_SECURED=1)
        ;;
    g++) compile=(g++ -std=c++17 -x c++) ;;
    asan)
        compile=(gcc -std=c11)
        sanitizer=(-fsanitize=address -fno-omit-frame-pointer)
        ;;
    valgrind)
        compile=(gcc -std=c11)
        extra=(PARLEY_CONFORMANCE_SLOW=1)
        before=(valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite
            --errors-for-leak-kinds=definite --suppressions="$SUPPRESSIONS")
        ;;
    esac
    started=${EPOCHREALTIME/./}
    # In two steps: `-x c++` must not apply to the objects and libraries that are linked.
    build() {
        "${compile[@]}" "${warnings[@]}" "${sanitizer[@]}" -c "$programs/$name.c" -o "$binary.o" \
            "${cflags[@]}" \
            && "${compile[0]}" -pthread "${sanitizer[@]}" "$binary.o" -o "$binary" "${libs[@]}"
    }
    run() {
        timeout 900 env -i PATH=/usr/bin:/bin LD_LIBRARY_PATH="$LIBRARIES" PARLEY_TOOL="$TOOL" \
            PARLEY_GONODE="$GONODE" "${extra[@]}" "${before[@]}" "$binary"
    }
    if { build && run; } > "$binary.log" 2>&1; then
        echo passed >> "$STAGE/results"
        printf 'ok    %-16s %-9s %6d ms\n' "$name" "$way" $(((${EPOCHREALTIME/./} - started) / 1000))
    else
        echo failed >> "$STAGE/results"
        printf 'FAIL  %-16s %s\n%s\n' "$name" "$way" "$(sed 's/^/      /' "$binary.log")"
    fi
    exit 0
fi

# --- The staged install ---------------------------------------------------------------------------------

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
touch "$stage/results"
make --no-print-directory install DESTDIR="$stage/root" PREFIX=/usr/local > "$stage/install.log" 2>&1 || {
    cat "$stage/install.log"
    exit 1
}
root=$stage/root/usr/local
export PKG_CONFIG_PATH=$root/lib/pkgconfig
SUPPRESSIONS=$(pkg-config --define-prefix --variable=valgrind_suppressions parley)
export STAGE=$stage LIBRARIES=$root/lib TOOL=$root/bin/parley GONODE=$PWD/Tests/Interop/go/bin/gonode
export SUPPRESSIONS

# --- Every function is called in a program --------------------------------------------------------------

functions=$(gcc -E -P "$root/include/parley.h" | grep -oE '\bparley_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u)
called=$(grep -ohE '\bparley_[a-z0-9_]+ *\(' "$programs"/*.c "$programs"/check.h | tr -d ' (' | sort -u)
missing=$(comm -23 <(echo "$functions") <(echo "$called"))
if [ -n "$functions" ] && [ -z "$missing" ]; then
    echo "ok    each of the $(wc -l <<< "$functions") functions of parley.h is called in a program"
    echo passed >> "$stage/results"
else
    echo "FAIL  no program calls:" $missing
    echo failed >> "$stage/results"
fi

# --- The checkers find a planted leak -------------------------------------------------------------------

cat > "$stage/planted.c" <<'PLANTED'
#include <stdlib.h>
#include <parley.h>
int main(int count, char **arguments) {
    parley_transport *leaked = NULL;
    int index;
    (void)arguments;
    /* Never freed. A register may still point to the last one. */
    for (index = 0; index < 16; index++)
        if (parley_create(NULL, &leaked) != PARLEY_OK) return 3;
    leaked = NULL;
    return count > 1;
}
PLANTED
read -ra flags <<< "$(pkg-config --define-prefix --cflags --libs parley)"
gcc "$stage/planted.c" -o "$stage/planted" "${flags[@]}"
gcc -fsanitize=address "$stage/planted.c" -o "$stage/planted-asan" "${flags[@]}"
for tool in \
    "valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite $stage/planted" \
    "valgrind --quiet --error-exitcode=99 --leak-check=full --suppressions=$SUPPRESSIONS $stage/planted" \
    "$stage/planted-asan"; do
    if env -i PATH=/usr/bin:/bin LD_LIBRARY_PATH="$LIBRARIES" $tool > "$stage/planted.log" 2>&1; then
        echo "FAIL  a planted leak was not found by: $tool"
        echo failed >> "$stage/results"
    else
        echo passed >> "$stage/results"
    fi
done
echo "ok    valgrind and LeakSanitizer find a planted leak" | { grep -q failed "$stage/results" || cat; }

# --- The installed suppressions hide all that the library keeps -----------------------------------------

gcc -std=c11 -pthread -g Examples/c/hello.c -o "$stage/hello" "${flags[@]}"
for tool in "memcheck --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all" helgrind drd; do
    [ -z "${NAME-}" ] || [ "$NAME" = valgrind ] || continue
    # shellcheck disable=SC2086
    if env -i PATH=/usr/bin:/bin LD_LIBRARY_PATH="$LIBRARIES" timeout 200 valgrind --quiet \
        --error-exitcode=99 --tool=$tool --suppressions="$SUPPRESSIONS" "$stage/hello" \
        > "$stage/hello.log" 2>&1; then
        echo "ok    ${tool%% *} is quiet with the installed suppressions"
        echo passed >> "$stage/results"
    else
        echo "FAIL  ${tool%% *} with the installed suppressions"
        head -60 "$stage/hello.log" | sed 's/^/      /'
        echo failed >> "$stage/results"
    fi
done

# --- Every program in every way -------------------------------------------------------------------------

# Not secured: programs that send bytes of their own, talk to Go nodes, or choose who has an identity.
plain="parley_identity_|raw_dial|raw_send|CODEC_UNFRAMED|CODEC_GOB|PARLEY_GONODE|dlopen|PARLEY_TOOL"
for way in valgrind asan gcc clang g++ secured; do
    for file in "$programs"/*.c; do
        name=$(basename "$file" .c)
        [ -z "${NAME-}" ] || [ "$NAME" = "$name" ] || continue
        if [ "$way" = secured ]; then
            grep -qE '(loopback|multiplexed|multiplexed_pair)\(\)' "$file" || continue
            ! grep -qE "$plain" "$file" || continue
        fi
        echo "$name $way"
    done
done | xargs -r -P 2 -L 1 "$0" --run

grep -h 'median' "$stage"/startup-gcc.log 2>/dev/null || true
passed=$(grep -c passed "$stage/results" || true)
failed=$(grep -c failed "$stage/results" || true)
printf '%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
