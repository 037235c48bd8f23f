#!/usr/bin/env bash
# Checks that the product Parley needs no libsodium: builds a program of Parley alone where pkg-config knows
# of none, and looks for it in what was compiled and linked.
set -euo pipefail
cd "$(dirname "$0")/.."
swift=${SWIFT:-swift}
program=ParleyInstructions

fail() {
    echo "without-sodium: $*" >&2
    exit 1
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$(pkg-config --variable=pcfiledir libuv)/libuv.pc" "$folder"
export PKG_CONFIG_LIBDIR=$folder PKG_CONFIG_PATH=
if pkg-config --exists libsodium; then fail "pkg-config still knows of libsodium"; fi
$swift build --product "$program"
build=$($swift build --show-bin-path)

# Parley's own sources include no header of it, also if nothing of it is called.
dependencies=$(find "$build/Parley.build" -name '*.d')
[ -n "$dependencies" ] || fail "there is no list of what Parley was compiled from"
found=$(xargs grep -il sodium <<< "$dependencies" || true)
[ -z "$found" ] || fail "Parley is compiled with its headers: $found"

# The program neither loads it nor calls anything of it, nor has it inside.
needed=$(readelf -d "$build/$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
grep -q libuv <<< "$needed" || fail "$program is not linked with Parley: it needs $needed"
if grep -qi sodium <<< "$needed"; then fail "$program needs $needed"; fi
symbols='(^| )_*(sodium_|crypto_(aead|auth|hash|scalarmult|sign)_|randombytes_)'
found=$(nm "$build/$program" | grep -E "$symbols" | head -n 3 || true)
[ -z "$found" ] || fail "$program has symbols of it: $found"
echo "without-sodium: $program needs only $(tr '\n' ' ' <<< "$needed")"
