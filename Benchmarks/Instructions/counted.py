"""A program under callgrind, and how many user instructions it takes."""

import os
import select
import subprocess
import tempfile
import time

from ends import PATIENCE_SECONDS

#: Programs that run now; each is ended by its own process.
_running = set()


class Failed(Exception):
    """A program that ended, said something unexpected, or said nothing in time."""


class Counted:
    """One program; `profile` is where callgrind writes what it has counted."""

    def __init__(self, command, profile):
        self.name = " ".join(os.path.basename(word) for word in command)
        self._profile = profile
        if os.path.exists(profile):
            os.unlink(profile)
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )
        _running.add(self)

    def ready(self):
        """The port it listens on."""
        line, deadline = b"", time.monotonic() + PATIENCE_SECONDS
        while not line.endswith(b"\n"):
            output, left = self._process.stdout.fileno(), max(0, deadline - time.monotonic())
            data = os.read(output, 64) if select.select([output], [], [], left)[0] else b""
            if not data:
                raise self.failure("it did not say READY")
            line += data
        return int(line.split()[-1].split(b"=")[-1])

    def end(self):
        """Ends it and returns its instructions."""
        self._process.stdin.close()
        try:
            status = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise self.failure("it did not end with its standard input") from None
        if status != 0:
            raise self.failure(f"it ended with {status}")
        with open(self._profile) as profile:
            totals = [line for line in profile if line.startswith("totals:")]
        if not totals:
            raise self.failure("callgrind wrote no totals")
        return int(totals[-1].split()[1])

    def failure(self, what):
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        return Failed(f"{self.name}: {what}\n{said}")

    def release(self):
        """Kills it unless it has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            try:
                stream.close()
            except OSError:
                pass
        _running.discard(self)


def release_all():
    for program in list(_running):
        program.release()
