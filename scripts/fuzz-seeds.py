#!/usr/bin/env python3
"""Writes Tests/Fuzz/Corpus, the seeds of the fuzzers.

Run it after a change of the golden bytes or of the format of inputs, which FuzzInput.swift and
PeerStateFuzz.swift in Tests/Fuzz/Targets describe.
"""

import pathlib
import re
import struct

root = pathlib.Path(__file__).resolve().parent.parent
corpus = root / "Tests/Fuzz/Corpus"
largest = 16 << 10  # in bytes; larger golden values are left out, since seeds should be small


def fuzz_input(wire, script=b"", variant=0):
    return bytes([variant, len(script)]) + script + wire


# --- gob: what Go writes ------------------------------------------------------------------------------

def golden():
    source = (root / "Tests/ParleyTests/GOBGolden.swift").read_text()
    for name, digits in re.findall(r'GOBGolden\(\s*"([^"]+)",\s*"""([0-9a-f\s]+)"""', source):
        yield re.sub(r"\W+", "-", name), bytes.fromhex("".join(digits.split()))


# --- gob: what Go does not write ----------------------------------------------------------------------

def uint(number):
    if number < 0x80: return bytes([number])
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - len(digits)]) + digits


def sint(number): return uint(~number << 1 | 1 if number < 0 else number << 1)
def gob_message(body): return uint(len(body)) + body
def text(string): return uint(len(string)) + string
def gob_slice(number, element): return gob_message(sint(-number) + b"\2\2" + sint(element) + b"\0\0")


def gob_struct(number, fields):
    types = b"".join(b"\1" + text(name) + b"\1" + sint(kind) + b"\0" for name, kind in fields)
    return gob_message(sint(-number) + b"\3\2" + uint(len(fields)) + types + b"\0\0")


def strange_gobs():
    nested = gob_slice(66, 66) + gob_struct(65, [(b"Foreign", 66), (b"Payload", 5)])
    for levels in 9_990, 10_010:
        value = sint(65) + b"\1" + b"\1" * levels + b"\0" + b"\1" + text(b"p") + b"\0"
        yield f"nested-{levels}", nested + gob_message(value)
    yield "too-many-types", b"".join(gob_slice(number, 6) for number in range(64, 64 + 1_025))
    yield "too-many-fields", gob_message(sint(-65) + b"\3\2" + uint(16_385) + b"\0" * 9)
    yield "long-claims", gob_message(sint(-65) + b"\3\2" + uint(1 << 40))
    yield "longest-message", uint(16 << 20) + b"\xff\x82"
    yield "too-long-message", uint(1 << 62)


# --- framed -------------------------------------------------------------------------------------------

def frame(kind, payload=b"", length=None):
    return struct.pack(">BI", kind, len(payload) if length is None else length) + payload


def message(payload): return frame(1, payload)
def opening(header=b""): return frame(2, header)
def data(content): return frame(3, content)
def abort(code, reason): return frame(5, struct.pack(">I", code) + reason)


end = frame(4)
framed = {
    "empty-message": message(b""),
    "messages": message(b"hello") + message(b"x" * 200) + message(b"!"),
    "stream": opening() + data(b"some bytes") + end,
    "stream-with-header": opening(b"file.txt") + data(b"abc") + data(b"d") + end + message(b"after"),
    "stream-of-nothing": opening() + end,
    "empty-data": opening() + data(b"") + data(b"x") + data(b"") + end,
    "two-streams": opening(b"1") + data(b"one") + end + opening(b"2") + data(b"two") + end,
    "abort": opening() + data(b"half") + abort(7, b"disk full") + message(b"after"),
    "abort-without-reason": opening() + abort(0xFFFFFFFF, b""),
    "abort-not-utf8": opening() + abort(1, b"\xff\xfe\xc3\x28") + message(b""),
    "abort-long-reason": opening() + abort(1, b"\xff" * 1024),
    "abort-too-long": opening() + abort(1, b"r" * 1025),
    "abort-too-short": opening() + frame(5, b"abc"),
    "message-in-stream": opening() + message(b"no"),
    "opening-in-stream": opening() + opening(),
    "data-without-stream": data(b"no"),
    "end-without-stream": end,
    "end-with-payload": opening() + frame(4, b"no"),
    "unknown-type": message(b"yes") + b"\x06\0\0\0\0",
    "zero": b"\0" * 12,
    "too-long": frame(1, b"short", length=(16 << 20) + 1),
    "longest": frame(1, b"a beginning", length=16 << 20),
    "cut-header": message(b"one") + b"\x01\0\0",
    "cut-payload": message(b"one") + frame(1, b"half", length=8),
    "cut-data": opening() + frame(3, b"half", length=0xFFFFFFFF),
    "over-1000": message(b"x" * 1001),
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00",
    "ssh": b"SSH-2.0-OpenSSH\r\n",
}

# --- default ------------------------------------------------------------------------------------------

default = {
    "message": b"\x01hello",
    "message-of-ones": b"\x01\x01\x01\x01",
    "stream": b"\x02",
    "streams-and-messages": b"\x02\x02\x01a",
    "longest": b"\x01" + b"p" * 1028,
    "longer": b"\x01" + b"p" * 1028 + b"\x01rest",
    "longer-than-that": b"\x01" + b"p" * 1029,
    "zero": b"\0",
    "unknown-type": b"\x01a\x03b",
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "framed": message(b"hello"),
}

# --- How the bytes arrive -----------------------------------------------------------------------------

in_pieces = {"": b"", "-in-bytes": b"\0", "-in-pieces": bytes([0, 4, 1, 6, 11]), "-in-two": bytes([2, 195])}

# Steps of a PeerState, as PeerExercise.take reads them: the low four bits are the step, the high four its
# argument.
def step(number, argument=0): return number | argument << 4


some, much, all_of_it = 5, 12, 15
receive, decode, decode_all, read, read_on = 0, 4, 5, 6, 7
close, handshake_done, fill, pad_frame, pad, final, put_back, finish = 8, 9, 10, 11, 12, 13, 14, 15
drop = (put_back, 15)

default_form, framed_form, framed_small, gob_form, gob_small, with_handshake = 0, 1, 2, 3, 4, 8

scripts = {
    "plain": [(receive, much), (decode_all,)],
    "one-by-one": [(receive, 0), (decode, 1), (receive, 1), (decode, 0)],
    "streaming": [(receive, some), (decode_all,), (read_on, 2), (read, much)],
    "closing": [(receive, much), (decode_all,), (read, 0), (close,), (decode_all,), (read, 0), (close,),
                (close,)],
    "put-back": [(receive, much), (decode_all,), (put_back, 1), (read, 1), (put_back, 0), (read, 2),
                 (close,)],
    "put-back-late": [(receive, much), (decode_all,), (put_back, 3), (decode_all,)],
    "ending": [(receive, much), (decode, 1), (finish, 15), (read, 1), (final,), (decode_all,), (final,)],
    "reset": [(receive, much), (decode_all,), (read, 1), (finish, 14), (final,), (read_on, 1)],
    "dropped": [(receive, some), (decode_all,), drop, (receive, some), (decode_all,), (final,)],
}
handshake = [(receive, some), (read, 2), (put_back, 1), (read, 1), (handshake_done,), (decode_all,), (final,)]
large = [(receive, some), (decode_all,), (fill, some), (pad_frame, 14), (decode_all,), (pad_frame, 15),
         (pad_frame, 15), (read, 1), (decode_all,)]
ahead = [(receive, much), (decode_all,), (read, 0), (pad, 15), (pad, 15), (pad, 15), (pad, 15), (read_on, 15)]


def script(steps): return bytes(step(*each) for each in steps)


def peer_states():
    golden_bytes = dict(golden())
    conversations = {
        "default": (default_form, b"\x01hello\x02raw bytes\x01after"),
        "framed": (framed_form, framed["stream-with-header"] + framed["abort"]),
        "gob": (gob_form, golden_bytes["one-encoder-for-three"]),
    }
    for name, steps in scripts.items():
        for form, (variant, wire) in conversations.items():
            yield f"{form}-{name}", fuzz_input(wire, script(steps), variant)
    for form, (variant, wire) in conversations.items():
        yield f"{form}-handshake", fuzz_input(b"HELLO" + wire, script(handshake), variant | with_handshake)
        yield f"{form}-read-ahead", fuzz_input(wire, script(ahead), variant)
    for name, kind in {"message": 1, "opening": 2}.items():
        wire = frame(kind, b"", length=100_000)
        yield f"framed-large-{name}", fuzz_input(wire, script(large), framed_form)
    # The definition and the message's first 11 bytes, 64 KiB of filling, and the end of the value.
    gob_large = golden_bytes["one-message"][:50] + bytes.fromhex("fd01000c ff8202fd010004") + b"tail\0"
    gob_steps = [(receive, 10), (receive, 9), (receive, 4), (decode_all,), (pad_frame, 14), (fill, some)]
    yield "gob-large-message", fuzz_input(gob_large, script(gob_steps), gob_form)
    yield "framed-limit", fuzz_input(framed["over-1000"], script(scripts["plain"]), framed_small)
    yield "gob-limit", fuzz_input(
        golden_bytes["payloads-around-the-edges-of-numbers"][:1500], script(scripts["plain"]), gob_small)
    bad = opening() + b"\x07" + data(b"as if nothing had happened") + end + message(b"after")
    yield "framed-violation-in-a-stream", fuzz_input(bad, script(scripts["streaming"]), framed_form)


# --- Files --------------------------------------------------------------------------------------------

def write(target, name, content):
    if len(content) > largest: return
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def main():
    for old in corpus.glob("*/*"): old.unlink()
    for name, wire in default.items():
        write("DefaultDecoder", name, fuzz_input(wire))
    for how, pieces in in_pieces.items():
        write("DefaultDecoder", f"conversation{how}", fuzz_input(b"\x01one\x02\x01two" * 3, pieces))
        streams = framed["two-streams"] + framed["abort"]
        write("FramedDecoder", f"conversation{how}", fuzz_input(streams, pieces))
    for number, (name, wire) in enumerate(framed.items()):
        write("FramedDecoder", name, fuzz_input(wire, variant=(3 if name == "over-1000" else number & 4)))
    for number, (name, wire) in enumerate(golden()):
        pieces = list(in_pieces.values())[number % len(in_pieces)]
        write("GOBDecoder", name, fuzz_input(wire, pieces, variant=number & 4))
    for name, wire in strange_gobs():
        write("GOBDecoder", name, fuzz_input(wire))
    for name, content in peer_states():
        write("PeerState", name, content)


if __name__ == "__main__":
    main()
