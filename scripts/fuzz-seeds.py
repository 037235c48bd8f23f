#!/usr/bin/env python3
"""Writes Tests/Fuzz/Corpus, the seeds of the fuzzers.

Run it after a change of the golden bytes or of the format of inputs, which FuzzInput.swift,
PeerStateFuzz.swift, NoiseParties.swift and the targets in Tests/Fuzz/Targets describe.
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
def request(number, payload=b""): return frame(8, struct.pack(">I", number) + payload)
def reply(number, payload=b""): return frame(9, struct.pack(">I", number) + payload)
def refusal(number, code, reason): return frame(10, struct.pack(">II", number, code) + reason)
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
    "requests": request(1, b"one") + message(b"between") + request(2) + reply(7, b"seven") + refusal(8, 9, b"no"),
    "same-request-twice": request(1, b"one") + request(2, b"two") + request(1, b"three"),
    "request-in-a-stream": opening() + request(1),
    "request-too-short": frame(8, b"abc"),
    "refusal-too-short": frame(10, b"seven b"),
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


# --- Noise: changes of what honest nodes say, as NoiseChanges reads them ----------------------------------

flip, cut_off, pad_with, repeat, exchange, insert, remove, leave_out = range(8)


def change(kind, message=0, place=0, value=1): return struct.pack(">BHB", kind | message << 3, place, value)


low_order = [
    bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xed" + b"\xff" * 30 + b"\x7f",
    b"\xee" + b"\xff" * 30 + b"\x7f",
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def sealed(content): return struct.pack(">H", len(content)) + content


def handshakes():
    raw, changed, payload, changed_payload = 0, 2, 4, 6
    changes = {
        "honest": b"", "flipped": change(flip, 0, 5), "flipped-top-bit": change(flip, 0, 31, 0x80),
        "flipped-last": change(flip, 1, 60), "flipped-tag": change(flip, 1, 70), "cut": change(cut_off, 1, 20),
        "padded": change(pad_with, 1, 0, 3), "repeated": change(repeat), "exchanged": change(exchange, 0, 1),
        "inserted": change(insert, 1, 48), "removed": change(remove, 1, 48), "left-out": change(leave_out),
    }
    for role, name in enumerate(["listener", "dialer"]):
        for what, steps in changes.items(): yield f"{name}-{what}", fuzz_input(steps, variant=changed | role)
        for number, point in enumerate(low_order):
            content = sealed(point + bytes(64 if role else 0))
            yield f"{name}-low-order-{number}", fuzz_input(content + sealed(bytes(64)), variant=raw | role)
        yield f"{name}-noise", fuzz_input(sealed(b"x" * 96) * 3, b"\0", raw | role)
        yield f"{name}-too-long", fuzz_input(b"\x10\1" + b"x" * 40, variant=raw | role)
        yield f"{name}-empty", fuzz_input(b"\0" * 8, variant=raw | role)
    yield "dialer-expects", fuzz_input(b"", variant=changed | 1 | 1 << 3)
    yield "dialer-expects-another", fuzz_input(b"", variant=changed | 1 | 2 << 3)
    key, signature = b"\x0a\x24\x08\1\x12\x20" + bytes(32), b"\x12\x40" + bytes(64)
    payloads = {
        "unsigned": key, "wrongly-signed": key + signature, "second-key": key + key + signature,
        "extensions": key + signature + b"\x22\x0e\x12\x0c/yamux/1.0.0", "short-key": b"\x0a\3\x08\1\x12",
        "endless-varint": b"\xff" * 12, "endless-field": b"\x0a\xff\xff\xff\xff\x0f", "group": b"\x0b\x0c",
    }
    for name, content in payloads.items(): yield f"payload-{name}", fuzz_input(content, variant=payload)
    for name, steps in {
        "honest": b"", "flipped-key": change(flip, 0, 20), "flipped-signature": change(flip, 0, 60),
        "cut": change(cut_off, 0, 50), "padded": change(pad_with, 0, 0, 8), "unknown-field": change(
            insert, 0, 0, 0) + change(insert, 0, 0, 0x18),
    }.items():
        yield f"payload-changed-{name}", fuzz_input(steps, variant=changed_payload)


def secured_frames():
    text = bytes(range(256)) * 2
    raw, large = 0x80, 0x40
    changes = {
        "untouched": b"", "flipped": change(flip, 1, 9), "flipped-tag": change(flip, 0, 60),
        "flipped-length": change(flip, 1, 1, 4), "longer": change(flip, 0, 0), "cut": change(cut_off, 7, 12),
        "padded": change(pad_with, 0, 0, 20), "repeated": change(repeat, 1), "exchanged": change(exchange, 0, 1),
        "inserted": change(insert, 2, 30), "removed": change(remove, 2, 30), "left-out": change(leave_out, 1),
    }
    for name, steps in changes.items():
        for sizes, variant in {"": 62, "-in-pieces": 63}.items():
            yield name + sizes, fuzz_input(text, steps, variant)
    yield "large", fuzz_input(text * 20, b"", large | 4)
    yield "zeros", fuzz_input(bytes(300), change(flip, 0, 9), 40)
    yield "raw", fuzz_input(sealed(b"x" * 40) * 2, variant=raw)
    yield "raw-empty", fuzz_input(sealed(b""), variant=raw)
    yield "raw-short", fuzz_input(sealed(b"x" * 15), variant=raw)
    yield "raw-tag-alone", fuzz_input(sealed(bytes(16)), variant=raw)
    yield "raw-longest", fuzz_input(b"\xff\xff" + bytes(10_000), variant=raw)

# --- yamux --------------------------------------------------------------------------------------------

syn, ack, fin, rst = 1, 2, 4, 8


def yamux(kind, flags, stream, length): return struct.pack(">BBHII", 0, kind, flags, stream, length)
def mux_data(stream, content=b"", flags=0): return yamux(0, flags, stream, len(content)) + content
def mux_update(stream, size, flags=0): return yamux(1, flags, stream, size)
def mux_ping(number, flags=syn): return yamux(2, flags, 0, number)
def mux_go_away(code): return yamux(3, 0, 0, code)


mux = {
    "stream": mux_data(1, b"hello", syn) + mux_data(1, b" there") + mux_data(1, b"", fin),
    "streams": b"".join(mux_data(each, b"x" * each, syn) for each in (1, 3, 5, 9, 7)),
    "opened-and-ended": mux_data(1, b"all", syn | fin) + mux_data(3, b"", syn | fin),
    "reset": mux_data(1, b"half", syn) + mux_update(1, 7, rst) + mux_data(1, b"late"),
    "reset-with-data": mux_data(1, b"a", syn) + mux_data(1, b"dropped", rst) + mux_data(3, b"b", syn),
    "windows": mux_update(1, 1000, syn) + mux_update(1, 1) + mux_update(1, 0xFFFFFFFF),
    "pings": b"".join(mux_ping(number) for number in range(20)) + mux_ping(1, ack),
    "go-away": mux_data(1, b"a", syn) + mux_go_away(0) + mux_data(1, b"b") + mux_data(3, b"c", syn),
    "unknown-stream": mux_data(1, b"a"),
    "stray-resets": b"".join(mux_update(each, 0, rst) for each in range(1, 20)),
    "wrong-parity": mux_data(2, b"a", syn),
    "used": mux_data(1, b"a", syn | fin) + mux_data(1, b"b", syn),
    "after-fin": mux_data(1, b"a", syn | fin) + mux_data(1, b"b"),
    "fin-twice": mux_data(1, b"a", syn | fin) + mux_data(1, b"", fin),
    "beyond-window": mux_data(1, b"a", syn) + yamux(0, 0, 1, 1 << 18) + b"rest",
    "too-long": mux_data(1, b"a", syn) + yamux(0, 0, 1, 1 << 25),
    "cut": mux_data(1, b"a", syn) + yamux(0, 0, 1, 100) + b"a part",
    "version": b"\1" + mux_ping(1)[1:],
    "type": yamux(4, 0, 0, 0),
    "flags": yamux(0, 16, 1, 0),
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "answers": mux_update(1, 0, ack) + mux_data(3, b"answer", ack | fin) + mux_update(5, 0, rst)
        + mux_ping(1, ack) + mux_data(2, b"a", syn),
}

# --- multistream --------------------------------------------------------------------------------------

def line(name):
    length = len(name) + 1
    return (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + name + b"\n"


multistream = line(b"/multistream/1.0.0")
negotiations = {
    "chosen": multistream + line(b"/a") + b"\1\2\3",
    "second": multistream + line(b"na") + line(b"/noise") + b"rest",
    "third": multistream + line(b"na") * 2 + line(b"/yamux/1.0.0"),
    "unsupported": multistream + line(b"na") * 4,
    "ls": multistream + line(b"ls") + line(b"/a"),
    "without-header": line(b"/a"),
    "long": multistream + line(b"x" * 1023) + line(b"/a"),
    "too-long": multistream + line(b"x" * 1024),
    "overlong-length": b"\x93\0" + multistream[1:],
    "empty": multistream + b"\0",
    "without-newline": multistream + b"\3/a/",
    "newline-inside": multistream + b"\5a\nb\n\n",
    "not-utf8": multistream + line(b"\xff\xfe") + line(b"/a"),
    "without-end": multistream + b"".join(line(b"/%d" % number) for number in range(70)),
    "http": b"GET / HTTP/1.1\r\n\r\n",
}

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
    for number, (name, wire) in enumerate(mux.items()):
        for variant in {0, 1 if name == "answers" else 2, number * 4 & 60}:
            pieces = list(in_pieces.values())[(number + variant) % len(in_pieces)]
            write("MuxSession", f"{name}-{variant}", fuzz_input(wire, pieces, variant))
    for number, (name, wire) in enumerate(negotiations.items()):
        for variant in 0, 2:
            pieces = list(in_pieces.values())[(number + variant) % len(in_pieces)]
            write("Negotiation", f"{name}-{variant}", fuzz_input(wire, pieces, variant))
    for name, content in peer_states():
        write("PeerState", name, content)
    for name, content in handshakes():
        write("NoiseHandshake", name, content)
    for name, content in secured_frames():
        write("SecuredFrames", name, content)


if __name__ == "__main__":
    main()
