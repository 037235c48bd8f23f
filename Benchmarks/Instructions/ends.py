"""The other end of a measured program: plain sockets, outside valgrind. Every wait has a time-out."""

import socket
import struct

PATIENCE_SECONDS = 120
PAYLOAD_BYTES = 64
HEADER_BYTES = 5
#: The first byte of a message's frame.
MESSAGE = 1
GREETING = b"greeting"
#: Messages of one write. Writes are larger than a read of the receiver, whose reads are full.
WRITE_MESSAGES = 4_000


def frame(purpose):
    """A message as Benchmarks/Sources/CBench/include/frames.h has it."""
    return struct.pack(">BI", MESSAGE, PAYLOAD_BYTES) + purpose + b"x" * (PAYLOAD_BYTES - 1)


ECHO, SINK = frame(b"E"), frame(b"S")


def echo(port, count):
    """Round trips, one message in flight."""
    with _connect(port) as peer:
        for _ in range(count):
            peer.sendall(ECHO)
            _read(peer, len(ECHO))


def flood(port, count):
    """Sends `count` messages and waits for the answer to the last one."""
    with _connect(port) as peer:
        batch = memoryview(SINK * WRITE_MESSAGES)
        for sent in range(0, count, WRITE_MESSAGES):
            peer.sendall(batch[: len(SINK) * min(WRITE_MESSAGES, count - sent)])
        while _read_frame(peer) != MESSAGE:
            # A node that is behind for a second says that it lives.
            pass


def sink(port, count):
    """Asks for `count` messages and reads them."""
    with _connect(port) as peer:
        peer.sendall(SINK)
        _read(peer, len(SINK) * count)


def greet(port, count):
    """Connects, greets and closes, one connection at a time."""
    for _ in range(count):
        with _connect(port) as peer:
            peer.sendall(GREETING)
            _read(peer, len(GREETING))


def be_dialed(listener, count):
    """Answers the greeting of `count` connections and waits for the end of each."""
    listener.settimeout(PATIENCE_SECONDS)
    for _ in range(count):
        peer, _ = listener.accept()
        with peer:
            _prepare(peer)
            _read(peer, len(GREETING))
            peer.sendall(GREETING)
            if peer.recv(1):
                raise ConnectionError("more bytes came than a greeting has")


def _connect(port):
    return _prepare(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS))


def _prepare(peer):
    peer.settimeout(PATIENCE_SECONDS)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def _read_frame(peer):
    """Reads a frame. Returns its type."""
    purpose, length = struct.unpack(">BI", b"".join(_pieces(peer, HEADER_BYTES)))
    _read(peer, length)
    return purpose


def _read(peer, count):
    """Reads exactly `count` bytes and drops them."""
    for _ in _pieces(peer, count):
        pass


def _pieces(peer, count):
    """The next `count` bytes, as they come."""
    while count > 0:
        piece = peer.recv(min(count, 1 << 20))
        if not piece:
            raise ConnectionError("the connection ended early")
        yield piece
        count -= len(piece)
