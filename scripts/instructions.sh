#!/usr/bin/env bash
# Builds the programs of `make instructions` and measures them: instructions.sh [--only ROW] [--update]
#
# valgrind cannot run the shared Swift runtime, so all of them are static: those in C link libparley.a. The
# Swift one is built with the flags and in the folder of library.sh, and shares what is compiled there.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra compiler <<< "${CC:-cc}"
programs=.build-instructions

mkdir -p "$programs"
build() {
    "${SWIFT:-swift}" build -c release --scratch-path .build-lib --disable-local-rpath \
        -Xswiftc -static-stdlib --product ParleyInstructions "$@"
}
build
install "$(build --show-bin-path)/ParleyInstructions" "$programs/"

flags=(-O2 -g -Wall -Wextra -Werror -std=gnu11 -IBenchmarks/Sources/CBench/include)
"${compiler[@]}" "${flags[@]}" Benchmarks/Instructions/uv.c -o "$programs/uv" -luv
"${compiler[@]}" "${flags[@]}" -ISources/CParley/include Benchmarks/c/parley/parley.c \
    Benchmarks/c/parley/node.c Benchmarks/Sources/CBench/bench.c -o "$programs/parley-c" \
    -Wl,--as-needed .build-lib/lib/libparley.a -luv -lstdc++ -lm -lpthread -ldl

exec python3 Benchmarks/Instructions "$programs" "$@"
