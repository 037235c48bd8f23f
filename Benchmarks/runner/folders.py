"""The tool beside rsync: files and folders, from the start of a process to its end, in memory where there is room.

Both begin with nothing at the other end. rsync's daemon speaks plainly; the tool's link is secured.
"""

import contextlib
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time

from children import Failed

START_SECONDS = 10
TRANSFER_SECONDS = 300


def one_file(byte_count):
    """GB/s of one file."""

    def run(candidate, settings):
        with _place(2 * byte_count) as place:
            _write(place, "source", byte_count)
            return {"rate": byte_count / _seconds(candidate, place, "source") / 1e9}

    return run


def many_files(count, byte_count):
    """Files a second of a folder with so many files, and what that is of the speed of one file of their size."""

    def run(candidate, settings):
        with _place(4 * count * byte_count) as place:
            os.mkdir(os.path.join(place, "folder"))
            for number in range(count):
                _write(place, f"folder/{number}", byte_count)
            _write(place, "file", count * byte_count)
            folder, file = (_seconds(candidate, place, name) for name in ("folder", "file"))
            return {"rate": count / folder, "to_one": file / folder}

    return run


def _write(place, name, byte_count):
    block = os.urandom(min(byte_count, 1 << 20))
    with open(os.path.join(place, name), "wb") as file:
        while byte_count > 0:
            byte_count -= file.write(block[:byte_count])


@contextlib.contextmanager
def _place(byte_count):
    parent = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > byte_count else None
    with tempfile.TemporaryDirectory(prefix="parley-bench-", dir=parent) as place:
        yield place


def _seconds(candidate, place, name):
    """How long it takes to move what has that name into a folder of its own."""
    target = os.path.join(place, f"target of {name}")
    os.mkdir(target)
    with {"rsync": _rsync, "tool-get": _get, "tool-send": _send}[candidate.name](candidate, place, name, target) as mover:
        began = time.monotonic()
        try:
            said = subprocess.run(
                mover, env=_environment(place, "mover"), capture_output=True, text=True, timeout=TRANSFER_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"nothing is complete after {TRANSFER_SECONDS} s") from error
        took = time.monotonic() - began
    if said.returncode != 0:
        raise Failed(said.stderr.strip() or f"exit code {said.returncode}")
    if not os.path.exists(os.path.join(target, name)):
        raise Failed(f"{name} has not arrived")
    return took


@contextlib.contextmanager
def _get(candidate, place, name, target):
    server = [candidate.program, "serve", place, "--listen", "127.0.0.1:0", "--allow-all"]
    with _running(server, place) as process:
        yield [candidate.program, "get", _address(process), name, "--into", target]


@contextlib.contextmanager
def _send(candidate, place, name, target):
    receiver = [candidate.program, "receive", "--into", target, "--listen", "127.0.0.1:0", "--allow-all"]
    with _running(receiver, place) as process:
        yield [candidate.program, "send", os.path.join(place, name), "--to", _address(process)]


@contextlib.contextmanager
def _rsync(candidate, place, name, target):
    port = _free_port()
    settings = os.path.join(place, "rsyncd.conf")
    with open(settings, "w") as file:
        file.write(f"use chroot = no\n[files]\npath = {place}\nread only = yes\n")
        if os.getuid() == 0:
            file.write("uid = root\ngid = root\n")
    daemon = [
        candidate.program, "--daemon", "--no-detach", f"--port={port}", "--address=127.0.0.1", f"--config={settings}"
    ]
    with _running(daemon, place):
        _wait_for(port)
        yield [candidate.program, "-a", f"rsync://127.0.0.1:{port}/files/{name}", target]


@contextlib.contextmanager
def _running(command, place):
    process = subprocess.Popen(
        command, env=_environment(place, "waiter"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _environment(place, name):
    """Each end has an identity of its own."""
    return dict(os.environ, XDG_CONFIG_HOME=os.path.join(place, name))


def _address(process):
    if not select.select([process.stdout], [], [], START_SECONDS)[0]:
        raise Failed("the tool says nothing in time")
    return process.stdout.readline().decode().removeprefix("listening on ").strip()


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for(port):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise Failed("rsync does not listen in time")
