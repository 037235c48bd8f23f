"""The programs that are measured: started, asked for figures, and ended, whatever happens."""

import os
import selectors
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Every child that runs now, so that all of them can be ended.
_running = set()


class Failed(Exception):
    """A program that ended, said something unexpected, or said nothing in time."""


class Child:
    """One program in one role, pinned to a core unless `core` is None."""

    def __init__(self, program, role, core=None, nice=0, env=None, **options):
        self.name = f"{os.path.basename(program)} {role}"
        command = [program, role]
        for key, value in options.items():
            if value not in (None, ""):
                command += [f"--{key}", str(value)]
        if core is not None:
            command = ["taskset", "-c", str(core)] + command
        if nice:
            command = ["nice", "-n", str(nice)] + command
        self._errors = tempfile.TemporaryFile()
        self._unread = b""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(env or {})},
        )
        _running.add(self)
        os.set_blocking(self.process.stdout.fileno(), False)

    @property
    def pid(self):
        # taskset and nice put the program in their own place.
        return self.process.pid

    def expect(self, word, timeout=10):
        """The rest of the next line, which has to begin with `word`, as a dictionary of what has a `=`."""
        line = self._line(time.monotonic() + timeout)
        if not line.startswith(word):
            raise Failed(f"{self.name} says {line!r} where {word} was expected")
        return dict(part.split("=", 1) for part in line.split() if "=" in part)

    def ready(self, timeout=10):
        """The port it listens on."""
        return int(self.expect("READY", timeout)["port"])

    def mark(self):
        """Its figures so far."""
        self.tell("mark")
        return {key: int(value) for key, value in self.expect("MARK").items()}

    def tell(self, word):
        try:
            self.process.stdin.write(f"{word}\n".encode())
            self.process.stdin.flush()
        except OSError as error:
            raise Failed(f"{self.name} has ended: {self._said()}") from error

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def end(self):
        """Lets it end by itself, and ends it when it does not."""
        if self not in _running:
            return
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            print(f"warning: {self.name} did not end by itself", file=sys.stderr)
            self.process.kill()
            self.process.wait()
        _running.discard(self)
        self.process.stdout.close()
        self._errors.close()

    def _line(self, deadline):
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"{self.name} says nothing in time: {self._said()}")
                if selector.select(left):
                    data = os.read(self.process.stdout.fileno(), 65536)
                    if not data:
                        raise Failed(f"{self.name} has ended: {self._said()}")
                    self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return line.decode()

    def _said(self):
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip() or "it says nothing"


def end_all():
    """Clients first: they came last, and a server that goes away first makes them complain."""
    for child in sorted(_running, key=lambda child: -child.pid):
        child.end()


class Window:
    """What one program did between two marks."""

    def __init__(self, before, after):
        self.seconds = (after["ns"] - before["ns"]) / 1e9
        self.messages = after["messages"] - before["messages"]
        self.bytes = after["bytes"] - before["bytes"]
        self.cpu_seconds = (after["cpu_us"] - before["cpu_us"]) / 1e6
        self.allocations = after["allocations"] - before["allocations"]
        self.p50, self.p99, self.p999 = (after[key] / 1e3 for key in ("p50_ns", "p99_ns", "p999_ns"))

    @property
    def rate(self):
        return self.messages / self.seconds


def measure(children, seconds, warmup=0.0):
    """A window of each child, all of the same time."""
    time.sleep(warmup)
    before = [child.mark() for child in children]
    time.sleep(seconds)
    return [Window(then, child.mark()) for then, child in zip(before, children)]


def syscalls_per_second(pid, seconds):
    """How many system calls a process makes, by perf or strace; None when neither may look."""
    command = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", str(pid)]
    try:
        result = subprocess.run(
            command + ["--timeout", str(int(seconds * 1000))], capture_output=True, text=True, timeout=seconds + 10
        )
        for line in result.stderr.splitlines():
            if "raw_syscalls:sys_enter" in line and line.split(",")[0].isdigit():
                return int(line.split(",")[0]) / seconds
    except (OSError, subprocess.TimeoutExpired):
        pass
    return _by_strace(pid, seconds)


def _by_strace(pid, seconds):
    try:
        tracer = subprocess.Popen(
            ["strace", "-f", "-c", "-p", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except OSError:
        return None
    try:
        time.sleep(seconds)
        tracer.terminate()
        _, said = tracer.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        tracer.kill()
        tracer.wait()
        return None
    for line in said.splitlines():
        parts = line.split()
        if parts and parts[-1] == "total":
            return int(parts[3] if len(parts) > 4 else parts[2]) / seconds
    return None
