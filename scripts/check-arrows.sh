#!/usr/bin/env bash
# The arrows between the folders of Sources/Parley: who may name whose types. The compiler does not check
# them, since all folders are one module.
#
# FOLDER: the folders whose types it may not name.
set -euo pipefail
cd "$(dirname "$0")/../Sources/Parley"
# Memory, Concurrency, Wire and Loop are below all of these.
above="TCP InMemory Files Inbox Connection Streams Security LibP2P Node Reconnecting Statistics"
rules="
Memory: $above Loop Wire Wire/Gob Limits Concurrency
Concurrency: $above Loop Wire Wire/Gob Limits
Wire: $above Loop Limits Concurrency
Wire/Gob: $above Loop Limits Concurrency
Wire/Mux: $above Loop Limits Concurrency
Wire/Negotiation: $above Loop Limits Concurrency
Wire/LibP2P: $above Loop Limits Concurrency
Loop: $above Wire Wire/Gob Wire/Mux Wire/Negotiation
Inbox: TCP InMemory Files Connection Streams Security LibP2P Node Reconnecting Limits
Connection: TCP InMemory Reconnecting
Streams: TCP InMemory Inbox Reconnecting
LibP2P: Loop TCP InMemory Files Inbox Streams Security Limits Reconnecting Statistics
Security: TCP InMemory Inbox LibP2P Limits Reconnecting Statistics
Node: TCP InMemory
Limits: TCP
Reconnecting: TCP InMemory
Statistics: TCP
"
# Names that every folder may use. ReadBlock is memory of a loop's context that only sockets fill. The
# transports are extended in the folder of each extension's subject.
allowed="ReadBlock TCPTransport InMemoryTransport"

# The types that the files of a folder declare at their top level.
types() {
    local modifiers='(@[A-Za-z@() ]+ )?((public|package|fileprivate|final|indirect) )*'
    local kinds='(struct|class|enum|protocol|typealias)'
    sed -nE "s/^$modifiers$kinds ([A-Z][A-Za-z0-9]*).*/\\3 \\5/p" "$1"/*.swift \
        | awk '$1 != "fileprivate" { print $NF }' | sort -u
}

fail=0
while IFS=: read -r folder others; do
    [ -n "$folder" ] || continue
    for other in $others; do
        for type in $(types "$other"); do
            case " $allowed " in *" $type "*) continue ;; esac
            # Comments may name what they like.
            found=$(grep -nw "$type" "$folder"/*.swift | grep -vE "//.*\b$type\b" | head -n 3 || true)
            if [ -n "$found" ]; then
                echo "$folder/ must not know $other/, but names $type:" >&2
                echo "$found" >&2
                fail=1
            fi
        done
    done
done <<< "$rules"
# The values that a connection is made of decide without help from anywhere.
for value in Lifecycle Intake SendQueue Health; do
    if grep -nE '^(@[a-z]+ |public |package )*import ' "Connection/$value.swift" >&2; then
        echo "Connection/$value.swift must import nothing" >&2
        fail=1
    fi
done
[ "$fail" = 0 ] && echo "the arrows between folders point one way"
exit "$fail"
