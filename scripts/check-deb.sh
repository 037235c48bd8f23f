#!/usr/bin/env bash
# Checks the Debian packages that scripts/deb.sh has built. lintian must find nothing, apt must be able to
# install them, and they must hold the files of `make install`. The tool runs from the unpacked packages, and
# a C program is built with them, linked with each of the two libraries.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra compiler <<< "${CC:-cc}"
packages=("$PWD"/.build-deb/*.deb)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
libraries=$root/usr/lib/$multiarch

fail() { echo "check-deb.sh: $*" >&2; exit 1; }

[ ${#packages[@]} = 3 ] || fail "there are ${#packages[@]} packages instead of 3"

# --- Packages ------------------------------------------------------------------------------------------

lintian --fail-on error,warning "${packages[@]}"
echo "lintian finds neither errors nor warnings"

apt-get -qq --simulate install "${packages[@]}" > /dev/null
echo "apt finds everything that they depend on"

# --- Files ---------------------------------------------------------------------------------------------

for package in "${packages[@]}"; do
    dpkg-deb -x "$package" "$root"
    dpkg-deb --fsys-tarfile "$package" | tar -t | grep -v '/$' >> "$work/names"
done
twice=$(sort "$work/names" | uniq -d)
[ -z "$twice" ] || fail "several packages hold $twice"

# Prints the files of a folder with the targets of links.
list() { (cd "$1" && find usr ! -type d -printf '%p %l\n'); }

# Debian has its own folders for libraries and for completions of zsh, and compresses manual pages.
make --no-print-directory -s install PREFIX=/usr/local DESTDIR="$work/made"
list "$work/made" | sed -E -e 's|^usr/local/|usr/|' -e "s|^usr/lib/|usr/lib/$multiarch/|" \
    -e 's|zsh/site-functions|zsh/vendor-completions|' -e '/share\/man/s/\.([13])( |$)/.\1.gz\2/g' \
    | LC_ALL=C sort > "$work/expected"
list "$root" | grep -v '^usr/share/doc/' | LC_ALL=C sort > "$work/packed"
diff "$work/expected" "$work/packed" >&2 || fail "the packages do not hold the files of make install"
echo "they hold the $(wc -l < "$work/packed") files of make install"

# --- Programs ------------------------------------------------------------------------------------------

# pkg-config leaves out the system's own folders, which are meant to be those of $root.
flags() {
    PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$libraries/pkgconfig \
        PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config "$@" parley
}

version=$(flags --modversion)
[ "$("$root/usr/bin/parley" --version)" = "$version" ] || fail "the tool does not print $version"
echo "parley --version: $version"
[ -f "$(flags --variable=valgrind_suppressions)" ] || fail "parley.pc names suppressions that are not there"

# pkg-config's output must be split into words.
# shellcheck disable=SC2046
{
    "${compiler[@]}" Examples/c/hello.c -o "$work/shared" $(flags --cflags --libs)
    "${compiler[@]}" Examples/c/hello.c -o "$work/archive" \
        -Wl,--as-needed -l:libparley.a $(flags --static --cflags --libs)
}
expected=$'the server hears: hello\nthe server hears: how are you?\nthe client hears: fine, thank you'
for program in shared archive; do
    [ "$(LD_LIBRARY_PATH=$libraries "$work/$program")" = "$expected" ] || fail "hello.c, $program, failed"
done
loaded=$(LD_LIBRARY_PATH=$libraries ldd "$work/shared")
grep -qF "=> $libraries/libparley.so" <<< "$loaded" \
    || fail "hello.c does not run with the library of the package"
echo "hello.c runs with the shared and the static library"
