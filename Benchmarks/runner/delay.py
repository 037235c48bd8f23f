"""A line with a long way: a relay that holds what passes through it for a while, in each direction."""

import queue
import socket
import threading
import time

READ_BYTES = 1 << 16


def relay(port, seconds):
    """The port of a relay to `port` that takes one connection; `seconds` is for one direction."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_join, args=(listener, port, seconds), daemon=True).start()
    return listener.getsockname()[1]


def _join(listener, port, seconds):
    with listener:
        near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", port))
    for source, target in ((near, far), (far, near)):
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        under_way = queue.SimpleQueue()
        threading.Thread(target=_take, args=(source, under_way, seconds), daemon=True).start()
        threading.Thread(target=_give, args=(target, under_way), daemon=True).start()


def _take(source, under_way, seconds):
    """Ends with an empty part, however the connection ends."""
    part = b"begin"
    while part:
        try:
            part = source.recv(READ_BYTES)
        except OSError:
            part = b""
        under_way.put((time.monotonic() + seconds, part))


def _give(target, under_way):
    part = b"begin"
    while part:
        due, part = under_way.get()
        time.sleep(max(0, due - time.monotonic()))
        try:
            target.sendall(part) if part else target.close()
        except OSError:
            return
