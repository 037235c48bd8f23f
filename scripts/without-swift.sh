#!/usr/bin/env bash
# Proves that a C program with Parley runs on a machine without Swift. Installs into a folder and builds
# Examples/c/hello.c, linked in each of the documented ways, with only the flags that pkg-config prints. Runs
# it without this shell's environment, in a root folder that holds only the libraries that it needs. At the
# end it uninstalls, and no file may be left.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra compiler <<< "${CC:-cc}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/usr/local

fail() { echo "without-swift.sh: $*" >&2; exit 1; }
make() { command make --no-print-directory -s PREFIX=/usr/local DESTDIR="$work" "$@"; }
# The staged tree is not at its prefix; a real installation needs no --define-variable.
flags() { PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-variable=prefix="$prefix" "$@" parley; }
bare() { env -i PATH=/usr/bin:/bin LD_LIBRARY_PATH="$prefix/lib" "$@"; }

make install

# --- Linked as the manual says ---------------------------------------------------------------------------

# pkg-config's output must be split into words.
# shellcheck disable=SC2046
{
    "${compiler[@]}" Examples/c/hello.c -o "$work/shared" $(flags --cflags --libs)
    "${compiler[@]}" Examples/c/hello.c -o "$work/archive" \
        -Wl,--as-needed -l:libparley.a $(flags --static --cflags --libs)
}
if grep -q libparley <<< "$(readelf -d "$work/archive")"; then
    fail "linked with the archive, it needs libparley.so"
fi
# A C++ program and the archive both contain inline functions of the C++ library.
cat > "$work/groups.cpp" <<'END'
#include <map>
#include <parley.h>
#include <string>
#include <vector>
int main() {
    std::map<std::string, std::vector<std::string>> names{{"a", {"b", std::string(100, 'c')}}};
    parley_transport *node;
    if (parley_create(nullptr, &node) < 0 || parley_listen(node) < 0) return 1;
    names[parley_version_string()].push_back("d");
    return parley_free(node) == PARLEY_OK && names.size() == 2 ? 0 : 1;
}
END
# shellcheck disable=SC2046
"${CXX:-c++}" -std=c++17 -O0 "$work/groups.cpp" -o "$work/groups" \
    -Wl,--as-needed -l:libparley.a $(flags --static --cflags --libs)
bare "$work/groups" || fail "a C++ program with the archive failed"

# --- On a machine without Swift --------------------------------------------------------------------------

PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
    isolate=(unshare --mount)
elif unshare --map-root-user --mount true 2>/dev/null; then
    isolate=(unshare --map-root-user --mount)
else
    isolate=()
    echo "this user may not change the root folder: only the environment is cleared"
fi

# run_isolated PROGRAM ARGUMENT...: runs it in a root folder with the libraries that ldd lists, and /proc,
# which libdispatch reads.
run_isolated() {
    local root library
    root=$(mktemp -d "$work/root.XXXXXX")
    mkdir "$root/proc"
    for library in $(bare ldd "$1" | grep -oE '/[^ ]+'); do
        install -D "$library" "$root$library"
    done
    cp "$1" "$root/program"
    # shellcheck disable=SC2016
    "${isolate[@]}" sh -c 'mount --rbind /proc "$0/proc" && exec "$@"' "$root" \
        env -i LD_LIBRARY_PATH="$prefix/lib" "$(command -v chroot)" "$root" /program "${@:2}"
}

# run NAME EXPECTED PROGRAM ARGUMENT...: runs a program and checks its libraries and its output.
run() {
    local libraries
    libraries=$(bare ldd "$3")
    if grep -iE 'swift|not found' <<< "$libraries" >&2; then
        fail "$1 needs libraries that users do not have"
    fi
    [ "$(bare "${@:3}")" = "$2" ] || fail "$1 did not print: $2"
    if [ "${#isolate[@]}" != 0 ]; then
        [ "$(run_isolated "${@:3}")" = "$2" ] || fail "$1 did not print, in a root folder of its own: $2"
    fi
    printf '%s runs with only: %s\n' "$1" \
        "$(awk '!/vdso/ { sub(".*/", "", $1); print $1 }' <<< "$libraries" | LC_ALL=C sort | xargs)"
}
expected=$'the server hears: hello\nthe server hears: how are you?\nthe client hears: fine, thank you'
version=$(sed -n 's/^Version: //p' "$prefix/lib/pkgconfig/parley.pc")
run "a C program" "$expected" "$work/shared"
run "a C program with the archive" "$expected" "$work/archive"
run "the tool" "$version" "$prefix/bin/parley" --version

make uninstall
left=$(find "$work/usr" ! -type d)
[ -z "$left" ] || fail "make uninstall left: $left"
