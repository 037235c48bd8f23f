#!/usr/bin/env bash
# Builds the C library and the tool so that they run on machines without Swift:
#
#     library.sh VERSION FOLDER    writes libparley.so.VERSION, two symlinks, libparley.a, parley and its
#                                  completions to FOLDER
#
# The shared library contains the Swift runtime and exports only parley_*. The archive holds one object,
# linked from the same parts. Its other names are local, so it does not conflict with other libraries of a
# program.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: library.sh VERSION FOLDER}
folder=${2:?usage: library.sh VERSION FOLDER}
swift=${SWIFT:-swift}
# A library above 8 MiB links something that it should not.
limit_bytes=8388608

fail() { echo "library.sh: $*" >&2; exit 1; }

[ "$(uname)" = Linux ] || fail "the C library is built on Linux only; Swift packages use Parley anywhere"

soname=libparley.so.${version%%.*}
scratch=.build-lib

# libsodium is linked statically: pkg-config names a folder that holds only its archive.
sodium=$(pkg-config --variable=libdir libsodium)/libsodium.a
[ -f "$sodium" ] || fail "$sodium is missing: the library contains libsodium"
mkdir -p "$scratch/sodium"
ln -sf "$sodium" "$scratch/sodium/libsodium.a"
cat > "$scratch/sodium/libsodium.pc" <<END
Name: libsodium
Description: the archive of libsodium
Version: $(pkg-config --modversion libsodium)
Cflags: $(pkg-config --cflags libsodium)
Libs: -L$PWD/$scratch/sodium -lsodium
END
export PKG_CONFIG_PATH=$PWD/$scratch/sodium${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}

# The loader gets the places that it has to adjust as a bitmap, which saves a fourteenth of the library's
# size. Loaders know that since glibc 2.36, and the linker lld can write it. A library that is built with an
# older glibc is larger, and the limit does not hold for it.
linker=() packed=()
if printf '2.36\n%s\n' "$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)" | sort -V -C; then
    linker=(-Xswiftc -use-ld=lld)
    packed=(-Xlinker -z -Xlinker pack-relative-relocs)
    # Left out: hashes that the compiler compares with an earlier build's, which nothing in the library reads.
    # Memory that is 0 until the runtime reports a crash does not have to be in the file.
    cat > "$scratch/sections.ld" <<'END'
SECTIONS { /DISCARD/ : { *(.swift_modhash) } } INSERT AFTER .text;
SECTIONS { swift5_backtrace (NOLOAD) : { *(swift5_backtrace) } } INSERT BEFORE .bss;
END
    packed+=(-Xlinker -T -Xlinker "$scratch/sections.ld")
fi

# One set of compiler flags, so that the library and the tool share their objects. A separate scratch folder
# leaves .build unchanged.
# -z now: the loader looks all functions up at the start, and then makes the table of their addresses
# read-only.
build() {
    "$swift" build -c release --scratch-path "$scratch" --disable-local-rpath -Xswiftc -static-stdlib \
        -Xlinker -z -Xlinker now "${linker[@]}" "$@"
}

# libdispatch, whose threads Swift's tasks run on, opens /proc/THREAD/stat now and then to see whether a
# thread runs, and ends the process when it cannot: when descriptors run out, or where there is no /proc. It
# gets a descriptor that cannot be read instead, and takes the thread for one that does not run.
wrapped=$scratch/open.o
"${CC:-cc}" -O2 -fPIC -c -x c -o "$wrapped" - <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(more, mode_t) : 0;
    va_end(more);
    int descriptor = __real_open(path, flags, mode);
    if (descriptor >= 0 || strncmp(path, "/proc/", 6) != 0) return descriptor;
    const char *rest = path + 6 + strspn(path + 6, "0123456789");
    return strcmp(rest, "/stat") == 0 ? INT_MAX : descriptor;
}
END
wrap=(-Xlinker --wrap=open -Xlinker "$wrapped")
build --product parley "${wrap[@]}"

# Leaves out Unicode's names of characters, a fifteenth of the library's size. Nothing in it looks one up; a
# look-up would find no name.
"${CC:-cc}" -O2 -fPIC -c -x c -o "$scratch/nameless.o" - <<'END'
#include <stdint.h>
intptr_t __wrap__swift_stdlib_getScalarName(uint32_t scalar, uint8_t *buffer, intptr_t capacity) {
    return (void)scalar, (void)buffer, (void)capacity, 0;
}
END
# --icf=safe merges functions with identical instructions, -O2 texts that end alike.
# -z nodelete: the library stays loaded after dlclose(3). Its threads, thread-specific data and fork handler
# point into its code.
build --product parley-shared -Xlinker -soname="$soname" -Xlinker -z -Xlinker nodelete \
    -Xlinker --version-script=Sources/CParley/parley.map -Xlinker --icf=safe \
    "${packed[@]}" -Xlinker -O2 "${wrap[@]}" \
    -Xlinker --wrap=_swift_stdlib_getScalarName -Xlinker "$scratch/nameless.o"
products=$(build --show-bin-path)

mkdir -p "$folder"
rm -f "$folder"/libparley.* "$folder"/parley

# --- The tool and the shared library ---------------------------------------------------------------------

strip -o "$folder/parley" "$products/parley"
strip --strip-unneeded --remove-section=.comment -o "$folder/libparley.so.$version" \
    "$products/libparley-shared.so"
ln -s "libparley.so.$version" "$folder/$soname"
ln -s "$soname" "$folder/libparley.so"

# Completions for shells, so that installing needs to run nothing.
mkdir -p "$folder/completions"
for shell in bash zsh fish; do
    "$folder/parley" --generate-completion-script "$shell" > "$folder/completions/$shell"
done

# --- The archive -----------------------------------------------------------------------------------------

objects=$products/parley-shared.product/Objects.LinkFileList
runtime=$("${SWIFTC:-swiftc}" -static-stdlib -print-target-info \
    | sed -n 's/^ *"runtimeResourcePath": "\(.*\)".*/\1/p')/linux
architecture=$("${SWIFTC:-swiftc}" -print-target-info | sed -n 's/^ *"arch": "\(.*\)".*/\1/p')
registration=$runtime/$architecture/swiftrt.o
[ -f "$registration" ] || fail "this toolchain has no static Swift runtime: $registration is missing"

# The libraries that the objects and the runtime need, if they belong to the toolchain, and libsodium. libuv
# and the system's libraries stay outside.
libraries=()
extract=$(dirname "$(readlink -f "$(command -v "${SWIFTC:-swiftc}")")")/swift-autolink-extract
[ -x "$extract" ] || extract="swift-autolink-extract"
"$extract" -o "$scratch/autolink" "@$objects"
for library in $(cat "$scratch/autolink" "$runtime/static-stdlib-args.lnk"); do
    case $library in -l*) ;; *) continue ;; esac
    [ -f "$runtime/lib${library#-l}.a" ] || continue
    case " ${libraries[*]-} " in *" $library "*) ;; *) libraries+=("$library") ;; esac
done

# Without --force-group-allocation, the linker would drop the archive's local inline functions of the C++
# library in favour of a program's.
ld -r --force-group-allocation --wrap=open -o "$scratch/parley.o" -L"$runtime" "$registration" "$wrapped" \
    --start-group "@$objects" "${libraries[@]}" "$sodium" --end-group
objcopy --wildcard --keep-global-symbol='parley_*' --strip-unneeded \
    --remove-section=.swift1_autolink_entries "$scratch/parley.o"

# --- Checks ----------------------------------------------------------------------------------------------

for file in "$folder/libparley.so.$version" "$folder/parley"; do
    dynamic=$(readelf -d "$file")
    needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<< "$dynamic")
    expected='^(libuv|libc|libm|libstdc\+\+|libgcc_s|ld-linux[a-z0-9_-]*)\.so\.[0-9]+$'
    others=$(grep -vE "$expected" <<< "$needed" || true)
    [ -z "$others" ] || fail "$file needs libraries that users would have to install: $others"
    grep -qE '\((RPATH|RUNPATH)\)' <<< "$dynamic" \
        && fail "$file searches folders of the machine that built it"
done
dynamic=$(readelf -d "$folder/libparley.so.$version")
grep -qF "[$soname]" <<< "$dynamic" || fail "the soname is not $soname"
grep -q 'NODELETE' <<< "$dynamic" || fail "the library can be unloaded"
size=$(wc -c < "$folder/libparley.so.$version")
[ "$size" -le "$limit_bytes" ] || [ ${#packed[@]} = 0 ] \
    || fail "libparley.so.$version has $size bytes, more than $limit_bytes"

# Written last: make takes this file as the sign that all files exist and have passed the checks.
ar rcsD "$folder/libparley.a" "$scratch/parley.o"
