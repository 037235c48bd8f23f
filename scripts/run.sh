#!/usr/bin/env bash
# Lets two processes on this machine exchange messages, files and a folder: run.sh PARLEY [FILE]
#
# Each has an identity of its own, in a temporary folder, and lets the other one in by its id alone.
#
# PARLEY is the built tool. FILE is the file to send and to serve, by default the tool itself. The last line
# says that what was received equals it. Nothing here sleeps: each step waits for a line of output or for the
# end of a process, and fails after a time limit.
set -euo pipefail

tool=${1:?usage: run.sh PARLEY [FILE]}
file=${2:-$tool}
line_seconds=180
file_seconds=600

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

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

# Reads the next line of file descriptor $1 into $line, within $2 seconds. Fails at the end of the output.
next_line() {
    local status=0
    read -r -t "${2:-$line_seconds}" line <&"$1" || status=$?
    if [ "$status" -gt 128 ]; then fail "no line for ${2:-$line_seconds} s"; fi
    return "$status"
}

# Reads lines of file descriptor $1 until one ends with $2. Prints them after the name $3.
expect() {
    while next_line "$1"; do
        echo "$3: $line"
        case $line in *"$2") return ;; esac
    done
    fail "$3 ended before it printed: $2"
}

# Waits until process $1 has closed its output, file descriptor $2. Its exit code must be $3.
expect_exit() {
    local status=0
    while next_line "$2" "$file_seconds"; do echo "$4: $line"; done
    wait "$1" || status=$?
    [ "$status" -eq "$3" ] || fail "$4 ended with exit code $status instead of $3"
}

# as NAME ARGUMENT...: runs the tool with the identity of NAME.
as() { XDG_CONFIG_HOME=$work/$1 exec "$tool" "${@:2}"; }

hostess=$(as hostess id 2>/dev/null)
guest=$(as guest id 2>/dev/null)

# Messages: one process listens, the other dials it.
mkfifo "$work/listen.in" "$work/listen.out" "$work/dial.in" "$work/dial.out"
as hostess listen --allow "$guest" 127.0.0.1:0 <"$work/listen.in" >"$work/listen.out" &
listener=$!
exec 3>"$work/listen.in" 4<"$work/listen.out"
next_line 4 || fail "parley listen did not start"
echo "listen: $line"
address=${line#listening on }
[ "${address%@*}" = "$hostess" ] || fail "parley listen names another id than parley id: $hostess"

as guest dial "$address" <"$work/dial.in" >"$work/dial.out" &
dialer=$!
exec 5>"$work/dial.in" 6<"$work/dial.out"
expect 6 "connected to $address" dial
echo "good morning" >&5
expect 4 "> good morning" listen
echo "and to you" >&3
expect 6 "> and to you" dial
exec 5>&-
expect_exit "$dialer" 6 0 dial
kill -TERM "$listener"
expect_exit "$listener" 4 143 listen
exec 3>&- 4<&- 6<&-

# Sends $1 from one process to another, which stores it and ends.
transfer() {
    as hostess receive --allow "$guest" --once --listen 127.0.0.1:0 --into "$work/received" \
        >"$work/receive.out" 2>"$work/receive.err" &
    receiver=$!
    exec 4<"$work/receive.out"
    next_line 4 || fail "parley receive did not start: $(cat "$work/receive.err")"
    echo "receive: $line"
    address=${line#listening on }

    as guest send "$1" --to "$address" >"$work/send.out" &
    sender=$!
    exec 6<"$work/send.out"
    expect_exit "$sender" 6 0 send
    expect_exit "$receiver" 4 0 receive
    exec 4<&- 6<&-
}

mkdir "$work/received"
mkfifo "$work/receive.out" "$work/send.out"

# A folder, with a link and a folder in it.
mkdir -p "$work/folder/inner/empty"
seq 1000 >"$work/folder/inner/numbers"
ln -s inner/numbers "$work/folder/link"
transfer "$work/folder"
diff -r --no-dereference "$work/folder" "$work/received/folder"

# A file.
transfer "$file"
cmp "$file" "$work/received/$(basename "$file")"

# One process serves a folder, the other lists it, and gets it and the file.
mkdir "$work/served" "$work/got"
cp -a "$work/folder" "$work/served/folder"
cp "$file" "$work/served/file"
mkfifo "$work/serve.out" "$work/get.out"
as hostess serve "$work/served" --listen 127.0.0.1:0 --allow "$guest" >"$work/serve.out" &
server=$!
exec 4<"$work/serve.out"
next_line 4 || fail "parley serve did not start"
echo "serve: $line"
address=${line#listening on }
for arguments in "ls $address folder" "get $address folder file --into $work/got"; do
    # shellcheck disable=SC2086
    as guest $arguments >"$work/get.out" &
    getter=$!
    exec 6<"$work/get.out"
    expect_exit "$getter" 6 0 "${arguments%% *}"
    exec 6<&-
done
kill -TERM "$server"
expect_exit "$server" 4 143 serve
exec 4<&-
diff -r --no-dereference "$work/served" "$work/got"
echo "verified: $(($(wc -c <"$file"))) bytes identical"
