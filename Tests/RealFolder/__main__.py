"""Sends a folder like a real one, is interrupted again and again, and compares what arrives.

    python3 Tests/RealFolder TOOL [--files N] [--mib N] [--interruptions N] [--seed N]

Both ways in turn: `parley send` to `parley receive`, and `parley get` from `parley serve`. An interruption ends
one side at a random time, with a random signal; then both begin again, with --resume. What is complete in
between is compared, and a new folder is filled. At the end one transfer runs without an interruption.
"""
import argparse
import os
import pathlib
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import tree

#: What may end either side. Only the last one leaves it no time to clean up.
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
START_SECONDS = 60
LEAST_FILES = 100
TRANSFER_SECONDS = 1_200


class Node:
    """One process of the tool, with an identity of its own."""

    def __init__(self, work, name, *arguments):
        self.command = arguments[0]
        self.errors = open(work / f"{name}.err", "wb+")
        environment = dict(os.environ, XDG_CONFIG_HOME=str(work / name))
        self.process = subprocess.Popen(
            [TOOL, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self.errors, preexec_fn=_heed_signals,
        )
        _running.append(self)

    def address(self):
        """Where it listens."""
        if not select.select([self.process.stdout], [], [], START_SECONDS)[0]:
            sys.exit(f"no line came within {START_SECONDS} s: {self.said()}")
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on "):
            sys.exit(f"a node does not listen: {line!r} {self.said()}")
        return line.removeprefix("listening on ").strip()

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-2_000:]

    def end(self, number=signal.SIGTERM):
        """Returns the exit code, negative for a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            sys.exit(f"{self.command} did not end {START_SECONDS} s after {number.name}: {self.said()}")
        _running.remove(self)
        self.errors.close()
        return self.process.returncode


_running = []


def _heed_signals():
    # A shell that starts something in the background lets it ignore these.
    for number in SIGNALS[:3]:
        signal.signal(number, signal.SIG_DFL)


class Transfer:
    """One attempt: two nodes, of which the one that was started last ends by itself."""

    def __init__(self, work, source, target, sends):
        if sends:
            self.waiting = Node(work, "receiver", "receive", "--into", target, "--resume", "--allow-all",
                                "--once", "--listen", "127.0.0.1:0")
            self.coming = Node(work, "sender", "send", source, "--to", self.waiting.address())
            self.receiver = self.waiting
        else:
            self.waiting = Node(work, "sender", "serve", source.parent, "--hidden", "--allow-all",
                                "--listen", "127.0.0.1:0")
            self.coming = Node(work, "receiver", "get", self.waiting.address(), source.name, "--into", target,
                               "--resume")
            self.receiver = self.coming

    def interrupt(self, seconds, choice):
        """Returns whether the receiver was killed; None when all was over before."""
        try:
            self.coming.process.wait(seconds)
            return None
        except subprocess.TimeoutExpired:
            pass
        victim, number = choice.choice([self.waiting, self.coming]), choice.choice(SIGNALS)
        victim.end(number)
        other = self.coming if victim is self.waiting else self.waiting
        other.end()
        return victim is self.receiver and number == signal.SIGKILL

    def complete(self):
        """Waits for the end, and returns how long it took; everything has to be stored."""
        began = time.monotonic()
        try:
            self.coming.process.wait(TRANSFER_SECONDS)
        except subprocess.TimeoutExpired:
            sys.exit(f"not complete after {TRANSFER_SECONDS} s: {self.coming.said()} {self.waiting.said()}")
        took = time.monotonic() - began
        if self.coming.process.returncode != 0:
            sys.exit(f"a transfer failed: {self.coming.said()} {self.waiting.said()}")
        if self.waiting is self.receiver:
            if (code := self.waiting.process.wait(START_SECONDS)) != 0:
                sys.exit(f"the receiver ended with exit code {code}: {self.waiting.said()}")
        self.coming.end()
        self.waiting.end()
        return took


def compare(expected, target, killed):
    """`killed`: how often the receiver had no time to clean up, and may have left a file of its own."""
    found = tree.contents(target / "source")
    left = [path for path in found if _is_part(path)]
    for path in left:
        del found[path]
    wrong = list(tree.differences(expected, found))
    for sentence in wrong[:20]:
        print(sentence, file=sys.stderr)
    if wrong:
        sys.exit(f"{len(wrong)} of {len(expected)} entries differ")
    if len(left) > killed:
        sys.exit(f"{len(left)} parts are left, and the receiver was killed {killed} times: {left[:5]}")


def _is_part(path):
    name = os.path.basename(path)
    return name.startswith(b".parley-") and name.endswith(b".part")


def run(options, work, choice):
    source, target = work / "source", work / "target"
    source.mkdir()
    tree.make(source, options.files, options.mib << 20, choice)
    expected = tree.contents(source)
    target.mkdir()
    took = {}
    for sends in (True, False):
        took[sends] = Transfer(work, source, _new(target), sends).complete()
        compare(expected, target, 0)
    print(f"{len(expected)} entries, {options.mib} MiB: sent in {took[True]:.1f} s, got in {took[False]:.1f} s",
          flush=True)

    interruptions = killed = completed = 0
    _new(target)
    while interruptions < options.interruptions:
        sends = choice.random() < 0.5
        transfer = Transfer(work, source, target, sends)
        outcome = transfer.interrupt(choice.uniform(0, took[sends]), choice)
        if outcome is None:
            transfer.complete()
            compare(expected, target, killed)
            completed, killed = completed + 1, 0
            _new(target)
        else:
            interruptions, killed = interruptions + 1, killed + outcome
    Transfer(work, source, target, choice.random() < 0.5).complete()
    compare(expected, target, killed)
    print(f"identical after {interruptions} interruptions; {completed} transfers were complete in between")


def _new(target):
    shutil.rmtree(target)
    target.mkdir()
    return target


def main():
    global TOOL
    parser = argparse.ArgumentParser(prog="RealFolder")
    parser.add_argument("tool", type=pathlib.Path)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--mib", type=int, default=2_048)
    parser.add_argument("--interruptions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    if options.files < LEAST_FILES:
        parser.error(f"--files has to be at least {LEAST_FILES}")
    TOOL = options.tool.resolve()
    print(f"seed {options.seed}", flush=True)
    # In memory where there is room: some disks take minutes to remove a folder.
    parent = "/dev/shm" if os.path.isdir("/dev/shm") else None
    if parent and shutil.disk_usage(parent).free < 3 * options.mib << 20:
        parent = None
    with tempfile.TemporaryDirectory(prefix="parley-folder-", dir=parent) as work:
        try:
            run(options, pathlib.Path(work), random.Random(options.seed))
        finally:
            for node in _running:
                node.process.kill()
                node.process.wait()


if __name__ == "__main__":
    main()
