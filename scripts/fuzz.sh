#!/usr/bin/env bash
# Runs each fuzz target for SECONDS and prints how many inputs it has tried. An input that fails is kept in
# Tests/Fuzz/Failures, where `make test` replays it. The corpus that libFuzzer finds is kept in .build-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/fuzz.sh SECONDS" >&2; exit 2; }
build=.build-fuzz
# A crash that Swift's backtracer handles does not reach libFuzzer.
export SWIFT_BACKTRACE=enable=no

# The wire forms, and what they use: their error, the trial before a large buffer, memory, times.
# Then what a secured link is made of: ParleyNoise without its files, and what it has of Parley.
sources=(
    Sources/Parley/Wire/*.swift Sources/Parley/Wire/*/*.swift Sources/Parley/ParleyError.swift
    Sources/Parley/Memory/*.swift
    Sources/Parley/Concurrency/MonotonicTime.swift
    Sources/Parley/PeerID.swift Sources/Parley/SocketAddress.swift
    Sources/Parley/Security/Security.swift Sources/Parley/Security/LinkSecurity.swift
)
for each in Sources/ParleyNoise/*.swift; do
    [ "$each" = Sources/ParleyNoise/Identity+Files.swift ] || sources+=("$each")
done
read -ra sodium <<< "$(pkg-config --cflags --libs libsodium)"

# compile: builds the fuzzers, one program that runs the target whose name it has. All of it is one module, so
# that the optimiser sees it whole; it has the name of the library, since an import of the module itself is
# ignored.
compile() {
    swiftc -O -wmo -num-threads 2 -parse-as-library -module-name Parley -package-name parley \
        -swift-version 6 -enable-upcoming-feature NonisolatedNonsendingByDefault \
        -enable-upcoming-feature ExistentialAny \
        -sanitize=fuzzer -use-ld=lld -D FUZZ -import-objc-header Tests/Fuzz/Harness/heap.h \
        -suppress-warnings -I CSodium "${sodium[@]}" \
        "${sources[@]}" Tests/Fuzz/Harness/Entry.swift Tests/Fuzz/Targets/*.swift \
        "$build/heap.o" -o "$build/fuzzers"
}

# enlarge TARGET: writes inputs of almost 1 MiB, for which libFuzzer would need days.
enlarge() {
    local folder=$build/large/$1 seed name
    rm -rf "$folder" && mkdir -p "$folder"
    for seed in "Tests/Fuzz/Corpus/$1"/*; do
        name=$folder/$(basename "$seed")
        # The first two bytes say how the input is used; the rest is repeated.
        tail -c +3 "$seed" > "$name.part"
        [ -s "$name.part" ] || continue
        while [ "$(wc -c < "$name.part")" -lt 500000 ]; do
            cat "$name.part" "$name.part" > "$name.twice" && mv "$name.twice" "$name.part"
        done
        head -c 2 "$seed" > "$name" && head -c 1048000 "$name.part" >> "$name" && rm "$name.part"
    done
}

# run TARGET SECONDS MAX_LENGTH OPTION...: runs a fuzzer and adds to `executions`, or prints the failure and
# exits.
run() {
    local target=$1 log=$build/$1.log failures=Tests/Fuzz/Failures/$1 failure
    touch "$build/started"
    if ! "$build/$target" -timeout=30 -rss_limit_mb=256 -max_total_time="$2" -max_len="$3" \
        -artifact_prefix="$failures/" -print_final_stats=1 "${@:4}" > "$log" 2>&1; then
        grep -aE "Fatal error|ERROR: libFuzzer" "$log" >&2 || tail -n 20 "$log" >&2
        failure=$(find "$failures" -type f -newer "$build/started" ! -name .gitkeep -print -quit)
        echo "$target: failed; the whole report is in $log" >&2
        echo "replay it with: SWIFT_BACKTRACE=enable=no $build/$target ${failure:-FILE}" >&2
        exit 1
    fi
    executions=$((executions + $(sed -n 's/^stat::number_of_executed_units: //p' "$log")))
}

mkdir -p "$build"
clang -O2 -c Tests/Fuzz/Harness/heap.c -o "$build/heap.o"
compile
total=0
for corpus in Tests/Fuzz/Corpus/*/; do
    target=$(basename "$corpus")
    found=$build/corpus/$target
    mkdir -p "$found" "Tests/Fuzz/Failures/$target"
    ln -f "$build/fuzzers" "$build/$target"
    enlarge "$target"
    executions=0
    started=$(date +%s)
    # A tenth of the time goes to large inputs.
    run "$target" $((seconds - seconds / 10)) 4096 \
        "$found" "Tests/Fuzz/Corpus/$target" "Tests/Fuzz/Failures/$target"
    run "$target" $((seconds / 10 + 1)) 1048575 -len_control=0 "$build/large/$target"
    echo "$target: $executions executions in $(($(date +%s) - started)) s, no failure"
    total=$((total + executions))
done
echo "all targets: $total executions, no failure"
