"""python3 Benchmarks/Instructions PROGRAMS [--only ROW] [--update]

User instructions for each message, beside the committed ones. PROGRAMS is the folder with the programs that
`make instructions` has built: uv, parley-c and ParleyInstructions.
"""

import argparse
import os
import platform
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Callable

import ends
from counted import Counted, Failed, release_all
from figures import FIGURES, YARDSTICK, load, number, save

TOLERANCE = 0.05
#: Where threads meet on their own, the count depends on when they do.
TOLERANCE_OF_THREADS = 0.12
#: How often a row that is worse is measured again. Threads may have met badly; a real rise is in all of them.
REPETITIONS = 3


@dataclass(frozen=True)
class Counts:
    """How many messages, or connections, a short and a long run have."""

    short: int
    long: int


ROUND_TRIPS = Counts(2_000, 12_000)
ONE_WAY = Counts(50_000, 300_000)
CONNECTIONS = Counts(100, 600)


@dataclass(frozen=True)
class Row:
    group: str
    what: str
    #: The program and its arguments; the count comes behind them unless the program knows no count.
    command: tuple
    load: Callable
    counts: Counts
    tolerance: float = TOLERANCE

    @property
    def name(self):
        return f"{self.group}: {self.what}"


def _group(group, load, counts, *rows):
    return [Row(group, row[0], row[1:3], load, counts, *row[3:]) for row in rows]


SWIFT = "ParleyInstructions"
ROWS = [
    *_group(
        "echo", ends.echo, ROUND_TRIPS,
        (YARDSTICK, "uv", "echo"),
        ("C callback", "parley-c", "callback"),
        ("C blocking consume", "parley-c", "consume"),
        ("task on the loop", SWIFT, "echo-loop"),
        ("ordinary task", SWIFT, "echo", TOLERANCE_OF_THREADS),
    ),
    *_group(
        "receive", ends.flood, ONE_WAY,
        (YARDSTICK, "uv", "receive"),
        ("for await", SWIFT, "for-await"),
        ("batches", SWIFT, "batches"),
    ),
    *_group(
        "send", ends.sink, ONE_WAY,
        (YARDSTICK, "uv", "send"),
        ("send(message:)", SWIFT, "send"),
    ),
    *_group(
        "accept, greet, close", ends.greet, CONNECTIONS,
        (YARDSTICK, "uv", "accept"),
        ("Swift", SWIFT, "accept"),
    ),
    *_group(
        "dial, greet, close", ends.be_dialed, CONNECTIONS,
        (YARDSTICK, "uv", "dial"),
        ("Swift", SWIFT, "dial"),
    ),
]


# --- Measuring ------------------------------------------------------------------------------------------


def measure(row, programs):
    """Instructions of one message: the slope between two runs, so that start and end do not count."""
    short, long = (_run(row, programs, count) for count in (row.counts.short, row.counts.long))
    return (long - short) / (row.counts.long - row.counts.short)


def _run(row, programs, count):
    program, role = row.command
    command = [os.path.join(programs, program)]
    profiles = os.path.join(programs, "profiles")
    os.makedirs(profiles, exist_ok=True)
    profile = os.path.join(profiles, f"{program}-{role}.callgrind")
    if program == "parley-c":
        command += ["serve", "--door", role]
    else:
        command += [role, str(count)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if role == "dial":
            command.append(str(listener.getsockname()[1]))
        measured = Counted(command, profile)
        try:
            row.load(listener if role == "dial" else measured.ready(), count)
            return measured.end()
        except (OSError, EOFError) as error:
            raise measured.failure(f"the other end failed: {error!r}") from error
        finally:
            measured.release()


# --- What the figures belong to -------------------------------------------------------------------------------


def setting():
    """What they belong to besides the sources."""
    return ", ".join([
        platform.machine(),
        "Swift " + _version(os.environ.get("SWIFT", "swift").split() + ["--version"]),
        "libuv " + _version(["pkg-config", "--modversion", "libuv"]),
        " ".join(platform.libc_ver()),
        "valgrind " + _version(["valgrind", "--version"]),
    ])


def _version(command):
    """The first thing that looks like a version in what a program says."""
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return found.group() if found else "unknown"


# --- The table -------------------------------------------------------------------------------------------


def is_worse(row, figure, committed):
    return row.what != YARDSTICK and committed is not None and figure > committed * (1 + row.tolerance)


def verdict(row, figure, committed):
    if committed is None:
        return "new"
    if row.what == YARDSTICK:
        return "as it was" if abs(figure / committed - 1) <= row.tolerance else "other libraries"
    if is_worse(row, figure, committed):
        return f"WORSE by more than {row.tolerance:.0%}"
    return "better" if figure < committed * (1 - row.tolerance) else "ok"


LINE = "{:<34} {:>12} {:>8} {:>10} {:>8}  {}"


def describe(row, figure, yardstick, committed):
    return LINE.format(
        row.name, number(figure), f"{figure / yardstick:.1f}",
        "-" if committed is None else number(committed),
        "-" if committed is None else f"{figure / committed - 1:+.1%}",
        verdict(row, figure, committed),
    )


def main():
    parser = argparse.ArgumentParser(prog="instructions")
    parser.add_argument("programs", help="folder of the measured programs")
    parser.add_argument("--only", default="", help="a part of the names of the rows to measure")
    parser.add_argument("--update", action="store_true", help="writes figures.txt; with all rows only")
    options = parser.parse_args()
    rows = chosen(options.only)
    if not rows or (options.update and len(rows) < len(ROWS)):
        parser.error("no such row" if not rows else "an update needs all rows")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settle_order()
    try:
        sys.exit(run(rows, options.programs, options.update))
    except Failed as error:
        sys.exit(f"instructions: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        release_all()


def settle_order():
    """Lets threads take turns in one order, however busy the machine is.

    Both ends share one core, and a thread that wakes another one goes on until it blocks (SCHED_BATCH).
    Children inherit both. Otherwise the instructions of a hand-over between threads vary by a tenth.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def chosen(part):
    """The rows with this part of a name, and what they are compared with."""
    groups = {row.group for row in ROWS if part in row.name}
    return [row for row in ROWS if part in row.name or (row.what == YARDSTICK and row.group in groups)]


def run(rows, programs, updates):
    where, committed = load()
    print(LINE.format("", "instructions", "to C", "committed", "change", ""), flush=True)
    figures, yardstick, worse = {}, 1, []
    for row in rows:
        before = committed.get(row.name)
        figure = measure(row, programs)
        for _ in range(0 if updates else REPETITIONS):
            if not is_worse(row, figure, before):
                break
            figure = min(figure, measure(row, programs))
        figures[row.name] = figure
        if row.what == YARDSTICK:
            yardstick = figure
        print(describe(row, figure, yardstick, before), flush=True)
        if is_worse(row, figure, before):
            worse.append(row.name)
    if updates:
        save(figures, setting())
        print(f"written to {os.path.relpath(FIGURES)}")
        return 0
    if where is not None and where != setting():
        print(f"The committed figures are of {where}; this is {setting()}.")
    unknown = [name for name in figures if name not in committed]
    if unknown:
        print(f"not in figures.txt: {'; '.join(unknown)}", file=sys.stderr)
    if worse:
        print(f"more instructions than committed: {'; '.join(worse)}", file=sys.stderr)
        print(f"The profiles in {programs}/profiles are for callgrind_annotate.", file=sys.stderr)
    return 1 if worse or unknown else 0


main()
