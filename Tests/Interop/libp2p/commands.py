"""What a foreign node is told on its standard input, one command a line, and what it answers.

It says `listening ID PORT` first, and `cannot-reset` behind that if it cannot reset a stream. Each command is
answered with `ok` and perhaps more words, or with `failed` and the reason. Streams to it and from it carry the
bytes of `pattern`.

    /echo/1.0.0    and /echo/2.0.0: the bytes come back as they arrive, and then the end
    /count/1.0.0   the end is answered with how many bytes came, in decimal
    /reset/1.0.0   is reset when the first byte has come
    /silent/1.0.0  is read and never answered
"""

import os
import sys


def next_line():
    return sys.stdin.readline()


def say(text):
    print(text, flush=True)


def pattern(count):
    """The same in main.swift: byte i is (i * 7 + i / 251) modulo 256."""
    block = bytes((i * 7 + i // 251) & 0xFF for i in range(251 * 256))
    return (block * (count // len(block) + 1))[:count]


class Node:
    def __init__(self):
        self.peer = None

    async def run(self):
        for name, handler in [
            ("/echo/1.0.0", self.echoes),
            ("/echo/2.0.0", self.echoes),
            ("/count/1.0.0", self.counts),
            ("/reset/1.0.0", self.resets),
            ("/silent/1.0.0", self.is_silent),
        ]:
            self.handle(name, self.or_reset(handler))
        say(f"listening {self.listening}")
        while words := (await self.next_command()).split():
            try:
                answer = await getattr(self, "do_" + words[0])(*words[1:])
                say(f"ok {answer or ''}".strip())
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                say(f"failed {text}")
        # Nothing of the node is waited for.
        os._exit(0)

    # What it does for others.

    @staticmethod
    def or_reset(handler):
        async def call(stream):
            try:
                await handler(stream)
            except Exception as error:
                print(f"a stream failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                await stream.reset()

        return call

    async def echoes(self, stream):
        while data := await stream.read():
            await stream.write(data)
        await stream.close()

    async def counts(self, stream):
        count = 0
        while data := await stream.read():
            count += len(data)
        await stream.write(str(count).encode())
        await stream.close()

    async def resets(self, stream):
        await stream.read()
        await stream.reset()

    async def is_silent(self, stream):
        while await stream.read():
            pass

    # What it is told to do.

    async def do_dial(self, address):
        self.peer = await self.connect(address)

    async def do_meet(self, peer):
        """The peer has dialed this node."""
        self.peer = peer

    async def do_ping(self, count):
        await self.ping(self.peer, int(count))

    async def do_identified(self):
        """The protocols that the peer has said it speaks; `skipped` and why where a node cannot tell."""
        return " ".join(await self.identified(self.peer))

    async def identified(self, peer):
        return ["skipped", "it", "does", "not", "show", "what", "others", "speak"]

    async def do_echo(self, count):
        await self.echo(int(count))

    async def do_many(self, streams, count):
        await self.gather([self.echo(int(count)) for _ in range(int(streams))])

    async def echo(self, count):
        stream = await self.open(self.peer, "/echo/1.0.0")
        sent = pattern(count)

        async def write():
            for start in range(0, count, 65_536):
                await stream.write(sent[start : start + 65_536])
            if stream.can_half_close:
                await stream.finish()

        received = bytearray()

        async def read():
            while len(received) < count:
                data = await stream.read()
                if not data:
                    break
                received.extend(data)

        await self.gather([write(), read()])
        if bytes(received) != sent:
            raise RuntimeError(f"{len(received)} of {count} bytes came back, or others")
        if stream.can_half_close and await stream.read():
            raise RuntimeError("bytes came behind the end")
        await stream.close()

    async def do_count(self, count):
        """Ends its side, and then reads the answer."""
        stream = await self.open(self.peer, "/count/1.0.0")
        if not stream.can_half_close:
            return "skipped it cannot end one direction of a stream"
        await stream.write(pattern(int(count)))
        await stream.finish()
        answer = b""
        while data := await stream.read():
            answer += data
        await stream.close()
        if answer != count.encode():
            raise RuntimeError(f"the answer is {answer}")

    async def do_pieces(self, streams, count):
        """Has all of an answer before it reads it in small pieces: a node that grants more window with each
        read does so for streams that the other side has done with."""
        for _ in range(int(streams)):
            stream = await self.open(self.peer, "/echo/1.0.0")
            if not stream.can_half_close:
                return "skipped it cannot end one direction of a stream"
            await stream.write(pattern(int(count)))
            await stream.finish()
            # Answered behind the echo.
            await self.echo(1)
            received = bytearray()
            while data := await stream.read(64):
                received.extend(data)
            await stream.close()
            if bytes(received) != pattern(int(count)):
                raise RuntimeError(f"{len(received)} of {count} bytes came back, or others")

    async def do_reset(self):
        """Is reset."""
        stream = await self.open(self.peer, "/reset/1.0.0")
        await stream.write(b"x")
        try:
            data = await stream.read()
        except Exception:
            return
        raise RuntimeError(f"read {data!r} instead of a reset")

    async def do_wrong(self):
        """Proposes a protocol that the peer does not speak."""
        try:
            stream = await self.open(self.peer, "/nothing/1.0.0")
            # A node may propose it with its first bytes.
            await stream.write(b"x")
            data = await stream.read()
        except Exception:
            return
        raise RuntimeError(f"read {data!r} instead of a refusal")
