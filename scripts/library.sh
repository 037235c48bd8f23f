#!/usr/bin/env bash
# Builds the C library and the tool so that nothing of Swift has to be on the machine that runs them:
#
#     library.sh VERSION FOLDER    leaves libparley.so.VERSION, its two symlinks, libparley.a and parley in FOLDER
#
# The shared library has the Swift runtime inside and exports parley_* alone. The archive holds one object, linked
# from the same parts, in which every other name is local: it gets along with whatever else a program links.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: library.sh VERSION FOLDER}
folder=${2:?usage: library.sh VERSION FOLDER}
swift=${SWIFT:-swift}
# 8 MB; what has grown beyond that links something it should not.
limit_bytes=8000000

fail() { echo "library.sh: $*" >&2; exit 1; }

[ "$(uname)" = Linux ] || fail "the C library is built on Linux only; Swift packages use Parley anywhere"

soname=libparley.so.${version%%.*}
scratch=.build-lib
# One set of compiler flags, so that the library and the tool share their objects; a folder of its own keeps .build
# as it is.
build() {
    "$swift" build -c release --scratch-path "$scratch" --disable-local-rpath -Xswiftc -static-stdlib "$@"
}
build --product parley

# What the library does without: Unicode's names of characters, a fifteenth of it. Nothing asks for one, and would get
# the answer that there is none.
"${CC:-cc}" -O2 -fPIC -c -x c -o "$scratch/nameless.o" - <<'END'
#include <stdint.h>
intptr_t __wrap__swift_stdlib_getScalarName(uint32_t scalar, uint8_t *buffer, intptr_t capacity) {
    return (void)scalar, (void)buffer, (void)capacity, 0;
}
END
# Functions that are the same, instruction by instruction, are kept once.
build --product parley-shared -Xlinker -soname="$soname" \
    -Xlinker --version-script=Sources/CParley/parley.map -Xlinker --icf=safe \
    -Xlinker --wrap=_swift_stdlib_getScalarName -Xlinker "$scratch/nameless.o"
products=$(build --show-bin-path)

mkdir -p "$folder"
rm -f "$folder"/libparley.* "$folder"/parley

# --- The tool and the shared library ---------------------------------------------------------------------

strip -o "$folder/parley" "$products/parley"
strip --strip-unneeded -o "$folder/libparley.so.$version" "$products/libparley-shared.so"
ln -s "libparley.so.$version" "$folder/$soname"
ln -s "$soname" "$folder/libparley.so"

# --- The archive -----------------------------------------------------------------------------------------

objects=$products/parley-shared.product/Objects.LinkFileList
runtime=$("${SWIFTC:-swiftc}" -static-stdlib -print-target-info \
    | sed -n 's/^ *"runtimeResourcePath": "\(.*\)".*/\1/p')/linux
architecture=$("${SWIFTC:-swiftc}" -print-target-info | sed -n 's/^ *"arch": "\(.*\)".*/\1/p')
registration=$runtime/$architecture/swiftrt.o
[ -f "$registration" ] || fail "this toolchain has no static Swift runtime: $registration is missing"

# What the objects ask for and what the runtime itself does, as far as it belongs to the toolchain: libuv and the
# system's libraries stay outside.
libraries=()
extract=$(dirname "$(readlink -f "$(command -v "${SWIFTC:-swiftc}")")")/swift-autolink-extract
[ -x "$extract" ] || extract="swift-autolink-extract"
"$extract" -o "$scratch/autolink" "@$objects"
for library in $(cat "$scratch/autolink" "$runtime/static-stdlib-args.lnk"); do
    case $library in -l*) ;; *) continue ;; esac
    [ -f "$runtime/lib${library#-l}.a" ] || continue
    case " ${libraries[*]-} " in *" $library "*) ;; *) libraries+=("$library") ;; esac
done

# Groups are dissolved: inline functions of the C++ library, local here, must not be dropped in favour of a program's.
ld -r --force-group-allocation -o "$scratch/parley.o" -L"$runtime" "$registration" \
    --start-group "@$objects" "${libraries[@]}" --end-group
objcopy --wildcard --keep-global-symbol='parley_*' --strip-unneeded \
    --remove-section=.swift1_autolink_entries "$scratch/parley.o"

# --- What was promised -----------------------------------------------------------------------------------

for file in "$folder/libparley.so.$version" "$folder/parley"; do
    needed=$(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    strangers=$(grep -vE '^(libuv|libc|libm|libstdc\+\+|libgcc_s|ld-linux[a-z0-9_-]*)\.so\.[0-9]+$' <<< "$needed" || true)
    [ -z "$strangers" ] || fail "$file needs libraries that users would have to install: $strangers"
    readelf -d "$file" | grep -qE '\((RPATH|RUNPATH)\)' && fail "$file searches folders of the machine that built it"
done
readelf -d "$folder/libparley.so.$version" | grep -qF "[$soname]" || fail "the soname is not $soname"
size=$(wc -c < "$folder/libparley.so.$version")
[ "$size" -le "$limit_bytes" ] || fail "libparley.so.$version has $size bytes, more than $limit_bytes"

# The last file, by which make knows that all of it is there and as it should be.
ar rcsD "$folder/libparley.a" "$scratch/parley.o"
