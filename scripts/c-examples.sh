#!/usr/bin/env bash
# Builds the programs in Examples/c with the flags that pkg-config prints, and lets them talk to each other.
# Nothing here sleeps: each step waits for a line of output or for the end of a program, and fails after a
# time limit.
set -euo pipefail
cd "$(dirname "$0")/.."
read -ra compiler <<< "${CC:-cc}"
limit_seconds=180
work=$(mktemp -d)

cleanup() {
    for process in $(jobs -p); do
        kill -KILL "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "c-examples.sh: $*" >&2; exit 1; }

make --no-print-directory -s install PREFIX="$work/usr" DESTDIR=
export PKG_CONFIG_PATH=$work/usr/lib/pkgconfig LD_LIBRARY_PATH=$work/usr/lib
for example in hello chat sendfile epoll streams libp2p; do
    [ "$(wc -l < "Examples/c/$example.c")" -lt 120 ] || fail "$example.c is too long for an example"
    # pkg-config's output must be split into words.
    # shellcheck disable=SC2046
    "${compiler[@]}" -O2 -Wall -Wextra -Wpedantic -Werror -pthread "Examples/c/$example.c" \
        -o "$work/$example" $(pkg-config --cflags --libs parley)
done

# start NAME DESCRIPTOR PROGRAM ARGUMENT...: starts a program. Its output is read from DESCRIPTOR, its input
# is written to DESCRIPTOR + 1, and its process number is in $started.
start() {
    local name=$1 output=$2 input=$(($2 + 1))
    mkfifo "$work/$name.in" "$work/$name.out"
    "${@:3}" < "$work/$name.in" > "$work/$name.out" 2>&1 &
    started=$!
    eval "exec $input> \"\$work/$name.in\" $output< \"\$work/$name.out\""
}

# expect DESCRIPTOR PATTERN: reads lines until one matches, and stores that one in $line.
expect() {
    local status
    while :; do
        status=0
        read -r -t "$limit_seconds" line <&"$1" || status=$?
        [ "$status" -le 128 ] || fail "no line for $limit_seconds s, instead of: $2"
        [ "$status" = 0 ] || fail "a program ended before it printed: $2"
        echo "    $line"
        # shellcheck disable=SC2254
        case $line in $2) return ;; esac
    done
}

# expect_end PROCESS STATUS NAME: waits for a process and checks its exit status.
expect_end() {
    local status=0
    wait "$1" || status=$?
    [ "$status" = "$2" ] || fail "$3 ended with $status instead of $2"
}

echo "hello:"
"$work/hello" | tee "$work/hello.out" | sed 's/^/    /'
printf 'the server hears: %s\n' hello 'how are you?' > "$work/hello.expected"
printf 'the client hears: fine, thank you\n' >> "$work/hello.expected"
cmp "$work/hello.expected" "$work/hello.out"

echo "chat:"
start ada 3 "$work/chat" 127.0.0.1:0
ada=$started
expect 3 "listening on *"
address=${line#listening on }
start ben 5 "$work/chat" 127.0.0.1:0 "$address"
ben=$started
expect 5 "$address is here"
expect 3 "127.0.0.1:* is here"
echo "good morning" >&6
expect 3 "127.0.0.1:*> good morning"
printf 'and a bell \a and \302\233 to you\n' >&4
expect 5 "$address> and a bell [?] and *[?] to you"

echo "epoll, with chat:"
start eva 7 "$work/epoll" "$address"
eva=$started
expect 3 "127.0.0.1:* is here"
echo "from an epoll loop" >&8
expect 3 "127.0.0.1:*> from an epoll loop"
echo "to all" >&4
expect 5 "$address> to all"
expect 7 "to all"
# More than a socket and its buffers hold. Nobody reads the chat's output yet, so the epoll program must wait
# for room.
bytes=16000000
{ head -c "$bytes" /dev/zero | tr '\0' x >&8; } 8>&8 &
flood=$!
exec 8>&-
timeout "$limit_seconds" sed '/ is gone: /q' <&3 > "$work/flood" || fail "the flood did not end"
received=$(sed -n 's/^[^ ]*> //p' "$work/flood" | tr -d '\n' | wc -c)
[ "$received" = "$bytes" ] || fail "of $bytes bytes, $received arrived"
echo "    $received bytes"
expect_end "$flood" 0 "the writer"
expect_end "$eva" 0 epoll
exec 6>&-
expect_end "$ben" 0 chat
expect 3 "127.0.0.1:* is gone: *"
exec 4>&-
expect_end "$ada" 0 chat

echo "sendfile:"
mkdir "$work/inbox"
start receiver 3 "$work/sendfile" receive 127.0.0.1:0 "$work/inbox"
receiver=$started
expect 3 "listening on *"
address=${line#listening on }
head -c 20000000 /dev/urandom > "$work/letter"
"$work/sendfile" send "$work/letter" "$address" 2>&1 | tr '\r' '\n' | tail -n 1 | sed 's/^/    /'
cmp "$work/letter" "$work/inbox/letter"
# A second file of the same name and a hidden name are refused.
status=0
"$work/sendfile" send "$work/letter" "$address" 2> "$work/refusal" || status=$?
[ "$status" = 1 ] || fail "a second file of the same name ended with $status"
tr '\r' '\n' < "$work/refusal" | tail -n 1 | sed 's/^/    /'
cp "$work/letter" "$work/.hidden"
if "$work/sendfile" send "$work/.hidden" "$address" 2> /dev/null; then fail "a hidden name was accepted"; fi
[ "$(find "$work/inbox" -type f)" = "$work/inbox/letter" ] || fail "the inbox holds something else"
kill -TERM "$receiver"
expect_end "$receiver" 143 sendfile
# The receiver has ended.
if "$work/sendfile" send "$work/letter" "$address" 2> "$work/refusal"; then fail "sent to nobody"; fi
sed 's/^/    /' "$work/refusal"

echo "streams:"
start shouter 3 "$work/streams" serve 127.0.0.1:0
shouter=$started
expect 3 "listening on *"
"$work/streams" ask "${line#listening on }" good morning to all | tee "$work/shouts" | sed 's/^/    /'
printf '%s\n' GOOD MORNING TO ALL | cmp - "$work/shouts"
kill -TERM "$shouter"
expect_end "$shouter" 143 streams

echo "libp2p:"
start echoing 5 "$work/libp2p" serve 127.0.0.1:0
echoing=$started
expect 5 "/ip4/127.0.0.1/tcp/*/p2p/12D3KooW*"
printf 'said over %s\n' Noise yamux | "$work/libp2p" ask "$line" | tee "$work/echoed" | sed 's/^/    /'
printf 'said over %s\n' Noise yamux | cmp - "$work/echoed"
kill -TERM "$echoing"
expect_end "$echoing" 143 libp2p
