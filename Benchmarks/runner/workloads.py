"""What is measured. A workload runs one candidate once and returns its figures."""

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from typing import Callable

from candidates import LOAD, BIN
from children import Child, Failed, end_all, measure, syscalls_per_second

MANY_HOSTS = 32


@dataclass(frozen=True)
class Figure:
    key: str
    title: str
    unit: str
    #: Whether more of it is better.
    more: bool = True


@dataclass(frozen=True)
class Workload:
    name: str
    #: The letter it has in the list of what is to be measured; `W=a` runs all that have it.
    letter: str
    title: str
    candidates: tuple
    #: The first one is what candidates are compared by.
    figures: tuple
    run: Callable
    #: Where both ends run.
    pinning: str


@dataclass
class Settings:
    rounds: int = 5
    seconds: float = 1.0
    warmup: float = 0.3
    file_bytes: int = 1 << 30


def start(candidate, role, core, door=None, **options):
    """A program of this candidate in a role, by the door that it has for it."""
    door = candidate.doors[role] if door is None else door
    # These are names for a door of the same program role.
    role = "serve" if role in ("serve-many", "echo") else role
    wire = "reference" if candidate.wire == "reference" and "wire" not in options else None
    return Child(candidate.program, role, core, door=door, **{"wire": wire, **options})


def load(candidate, role, core, port, door="", **options):
    """The other end of a candidate: the fastest there is where the wire form allows, so that its own end counts."""
    if candidate.wire == "own":
        return start(candidate, role, core, port=port, **options)
    wire = "reference" if candidate.wire == "reference" else None
    return Child(LOAD.program, role, core, port=port, door=door, wire=wire, **options)


def ended(body):
    """However a run goes, none of its programs is left."""

    def run(candidate, settings):
        try:
            return body(candidate, settings)
        finally:
            end_all()

    return run


# --- (a) Round trips ---------------------------------------------------------------------------------------------


def ping_pong(server_core, client_core):
    @ended
    def run(candidate, settings):
        role = "echo" if candidate.can("echo") else "serve"
        server = start(candidate, role, server_core)
        client = start(candidate, "ping", client_core, port=server.ready())
        client.ready()
        (window,) = measure([client], settings.seconds, settings.warmup)
        return {"rate": window.rate, "p50": window.p50, "p99": window.p99, "p999": window.p999}

    return run


# --- (b) One way -------------------------------------------------------------------------------------------------


def receive(payload):
    @ended
    def run(candidate, settings):
        server = start(candidate, "serve", 0)
        client = load(candidate, "flood", 1, server.ready(), door="load", bytes=payload)
        client.ready()
        (window,) = measure([server], settings.seconds, settings.warmup)
        return {"rate": window.rate}

    return run


def send(payload):
    @ended
    def run(candidate, settings):
        server = load(candidate, "serve", 0, 0, bytes=payload)
        client = start(candidate, "flood", 1, port=server.ready(), bytes=payload)
        client.ready()
        # What has arrived counts, not what was accepted.
        (window,) = measure([server], settings.seconds, settings.warmup)
        return {"rate": window.rate}

    return run


# --- (c) Streams -------------------------------------------------------------------------------------------------


def bulk(chunk):
    @ended
    def run(candidate, settings):
        server = start(candidate, "bulk-serve", 0)
        client = start(candidate, "bulk", 1, port=server.ready(), chunk=chunk)
        client.ready()
        (window,) = measure([server], settings.seconds, settings.warmup)
        return {"rate": window.bytes / window.seconds / 1e9}

    return run


@ended
def files(candidate, settings):
    # In memory where there is room: it is the transport that is measured, not a disk.
    parent = "/dev/shm" if shutil.disk_usage("/dev/shm").free > 3 * settings.file_bytes else None
    with tempfile.TemporaryDirectory(prefix="parley-bench-", dir=parent) as folder:
        source, target = os.path.join(folder, "source"), os.path.join(folder, "target")
        os.mkdir(target)
        with open(source, "wb") as file:
            for _ in range(settings.file_bytes >> 20):
                file.write(bytes(1 << 20))
        server = start(candidate, "file-serve", 0, path=target)
        client = start(candidate, "file", 1, port=server.ready(), path=source)
        client.ready()
        (window,) = measure([server], max(2, settings.seconds), settings.warmup)
        end_all()
    return {"rate": window.bytes / window.seconds / 1e9}


# --- (d) Connecting ----------------------------------------------------------------------------------------------


def connect(at_once, server_core, client_core):
    @ended
    def run(candidate, settings):
        server = start(candidate, "greet-serve", server_core, hosts=MANY_HOSTS)
        client = start(
            candidate, "greet", client_core, port=server.ready(), hosts=MANY_HOSTS, peers=at_once
        )
        client.ready()
        (window,) = measure([client], settings.seconds, settings.warmup)
        return {"rate": window.rate}

    return run


# --- (e) Memory --------------------------------------------------------------------------------------------------


def until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(what)
        time.sleep(0.02)


def rss_kb(server):
    """When it has come to rest."""
    before = -1
    while (now := server.mark()["rss_kb"]) != before:
        before = now
        time.sleep(0.3)
    return now


def open_peers(candidate, server, port, count):
    sockets = server.descriptors()
    opener = load(candidate, "open", 1, port, peers=count)
    opener.ready(60)
    # Connected is not accepted.
    until(lambda: server.descriptors() >= sockets + count, 30, f"{server.name} accepts too few peers")
    return opener


@ended
def memory(candidate, settings):
    figures = {}
    for count in (5_000, 10_000):
        server = start(candidate, "serve-many", 0)
        port = server.ready()
        # What the first peers bring with them belongs to the program, not to a peer.
        tell_all(server, open_peers(candidate, server, port, 100), 100)
        base = rss_kb(server)
        opener = open_peers(candidate, server, port, count)
        figures[f"idle{count}"] = (rss_kb(server) - base) / count
        tell_all(server, opener, count)
        figures[f"used{count}"] = (rss_kb(server) - base) / count
        end_all()
    return figures


def tell_all(server, opener, count):
    """One message from each, and until all have arrived."""
    wanted = server.mark()["messages"] + count
    opener.tell("go")
    opener.expect("SENT", 30)
    until(lambda: server.mark()["messages"] >= wanted, 30, f"{server.name} gets too few messages")


# --- (f) What a million messages cost ----------------------------------------------------------------------------


@ended
def cost(candidate, settings):
    server = start(candidate, "serve", 0)
    client = start(candidate, "flood", 1, port=server.ready())
    client.ready()
    received, sent = measure([server, client], settings.seconds, settings.warmup)
    # The reference merges messages on the way, so there the sender's count is the right one.
    millions = (sent if candidate.wire == "reference" else received).messages / 1e6
    figures = {
        "cpu": (received.cpu_seconds + sent.cpu_seconds) / millions,
        "cpu_receive": received.cpu_seconds / millions,
        "cpu_send": sent.cpu_seconds / millions,
    }
    for key, child in (("calls_receive", server), ("calls_send", client)):
        calls = syscalls_per_second(child.pid, settings.seconds / 2)
        figures[key] = calls and calls / (millions / received.seconds)
    return figures


# --- (g) Growth --------------------------------------------------------------------------------------------------

IDLE = (1, 100, 1_000, 10_000)


def growth(role, client_core):
    @ended
    def run(candidate, settings):
        figures, opened = {}, 0
        server = start(candidate, "serve-many", 0)
        port = server.ready()
        client = load(candidate, role, client_core, port, door="load")
        client.ready()
        measured = client if role == "ping" else server
        for count in IDLE:
            open_peers(candidate, server, port, count - opened)
            opened = count
            (window,) = measure([measured], settings.seconds, settings.warmup)
            figures[f"with{count}"] = window.rate
        figures["cost"] = figures["with1"] / figures[f"with{IDLE[-1]}"]
        return figures

    return run


@ended
def active(candidate, settings):
    server = start(candidate, "serve-many", 0)
    client = load(candidate, "active", 1, server.ready(), peers=1_000)
    client.ready(30)
    (window,) = measure([client], settings.seconds, settings.warmup)
    return {"rate": window.rate}


# --- (h) Fairness ------------------------------------------------------------------------------------------------


@ended
def fairness(candidate, settings):
    server = start(candidate, "serve-many", 0)
    port = server.ready()
    quiet = load(candidate, "ping", 1, port)
    quiet.ready()
    (alone,) = measure([quiet], settings.seconds, settings.warmup)
    # The flood gives way on the core it shares with the quiet one: what is measured is the server.
    load(candidate, "flood", 1, port, door="load", nice=19).ready()
    (flooded,) = measure([quiet], settings.seconds, settings.warmup)
    return {"factor": flooded.p99 / alone.p99, "alone": alone.p99, "flooded": flooded.p99, "rate": flooded.rate}


# --- (i) Allocations ---------------------------------------------------------------------------------------------


@ended
def allocations(candidate, settings):
    # Go does not allocate by malloc, and counts for itself when it is asked to.
    env = {"LD_PRELOAD": os.path.join(BIN, "malloccount.so"), "BENCH_ALLOCATIONS": "1"}
    figures = {"receive": None, "send": None}
    if candidate.can("serve") and candidate.wire != "reference":
        server = start(candidate, "serve", 0, env=env)
        load(candidate, "flood", 1, server.ready(), door="load").ready()
        (window,) = measure([server], settings.seconds, settings.warmup)
        figures["receive"] = window.allocations / window.messages
        end_all()
    server = load(candidate, "serve", 0, 0)
    client = start(candidate, "flood", 1, port=server.ready(), env=env)
    client.ready()
    (window,) = measure([client], settings.seconds, settings.warmup)
    figures["send"] = window.allocations / window.messages
    return figures


# --- The list ----------------------------------------------------------------------------------------------------

_PEERS = ("go-reference", "go-bufio", "go-channel", "go-inline", "nio-handler", "nio-async", "zeromq", "nng")
_FRAMED_PEERS = ("go-bufio", "go-channel", "go-inline", "nio-handler", "nio-async")
_DOORS = ("parley-c-callback", "parley-c-consume", "parley-loop", "parley-batches", "parley-task")

_RATE = (Figure("rate", "messages/s", "/s"),)
_TRIPS = (
    Figure("rate", "round trips/s", "/s"), Figure("p50", "p50", "us", False), Figure("p99", "p99", "us", False),
    Figure("p999", "p99.9", "us", False),
)
_GROWTH = tuple(Figure(f"with{n}", f"{n:,} idle", "/s") for n in IDLE) + (
    Figure("cost", "cost at 10,000 to that at 1", "x", False),
)
_MEMORY = tuple(
    Figure(f"{state}{n}", f"{n:,} {word}", "KiB", False)
    for n in (10_000, 5_000)
    for state, word in (("idle", "idle"), ("used", "after a message"))
)

_RECEIVERS = ("c-raw", "c-uv") + _FRAMED_PEERS + ("zeromq", "nng") + _DOORS
_SENDERS = (
    "c-raw", "c-raw-each", "c-uv", "c-uv-thread", "go-reference", "go-bufio", "go-inline", "nio-handler", "nio-async",
    "zeromq", "nng", "parley-c-callback", "parley-c-consume", "parley-loop", "parley-task",
)
_STREAMS = (
    "c-raw", "c-uv", "go-reference", "go-inline", "nio-handler", "nio-async", "zeromq", "nng", "parley-raw-stream",
    "parley-stream", "parley-c-consume",
)
_CONNECTORS = (
    "c-raw", "c-uv", "go-reference", "go-inline", "nio-handler", "nio-async", "zeromq", "nng", "parley-c-callback",
    "parley-task",
)
_MANY = ("c-raw", "c-uv", "go-reference") + _FRAMED_PEERS + _DOORS
_ONE_CORE, _TWO_CORES = "both ends on one core", "each end on a core of its own"

WORKLOADS = [
    Workload("pingpong", "a", "Ping-pong, 64 B, one core", ("c-raw", "c-uv") + _PEERS + _DOORS, _TRIPS,
             ping_pong(0, 0), _ONE_CORE),
    Workload("pingpong-cross", "a", "Ping-pong, 64 B, across cores",
             ("c-raw", "c-uv", "c-raw-spin", "c-uv-spin") + _PEERS + _DOORS + ("parley-loop-spin", "parley-c-spin"),
             _TRIPS, ping_pong(0, 1), _TWO_CORES),
    Workload("oneway", "b", "One way, 64 B, receiving", _RECEIVERS, _RATE, receive(64), _TWO_CORES),
    Workload("oneway-1k", "b", "One way, 1 KiB, receiving", _RECEIVERS, _RATE, receive(1024), _TWO_CORES),
    Workload("send", "b", "One way, 64 B, sending", _SENDERS, _RATE, send(64), _TWO_CORES),
    Workload("send-1k", "b", "One way, 1 KiB, sending", _SENDERS, _RATE, send(1024), _TWO_CORES),
] + [
    Workload(f"bulk-{name}", "c", f"Stream, {title} writes", _STREAMS, (Figure("rate", "GB/s", "GB/s"),), bulk(size),
             _TWO_CORES)
    for name, title, size in (("64k", "64 KiB", 64 << 10), ("256k", "256 KiB", 256 << 10), ("1m", "1 MiB", 1 << 20))
] + [
    Workload("file", "c", "File to file, 1 GiB", ("c-raw", "c-uv", "go-inline", "nio-handler", "parley-stream"),
             (Figure("rate", "GB/s", "GB/s"),), files, _TWO_CORES),
    Workload("connect", "d", "Connect, greet, close, one by one", _CONNECTORS,
             (Figure("rate", "connections/s", "/s"),), connect(1, 0, 0), _ONE_CORE),
    Workload("connect-64", "d", "Connect, greet, close, 64 at once", _CONNECTORS,
             (Figure("rate", "connections/s", "/s"),), connect(64, 0, 1), _TWO_CORES),
    Workload("memory", "e", "Memory of a peer", ("c-raw", "c-uv") + _PEERS[:-1] + _DOORS, _MEMORY, memory,
             _TWO_CORES),
    Workload("cost", "f", "A million messages, 64 B", ("c-raw", "c-raw-each", "c-uv") + _PEERS + _DOORS, (
        Figure("cpu", "CPU, both ends", "s", False), Figure("cpu_receive", "receiving", "s", False),
        Figure("cpu_send", "sending", "s", False), Figure("calls_receive", "calls receiving", "", False),
        Figure("calls_send", "calls sending", "", False)), cost, _TWO_CORES),
    Workload("growth-pingpong", "g", "Ping-pong beside idle peers", _MANY, _GROWTH, growth("ping", 0), _ONE_CORE),
    Workload("growth-oneway", "g", "One way beside idle peers",
             tuple(name for name in _MANY if name != "go-reference"), _GROWTH, growth("flood", 1), _TWO_CORES),
    Workload("growth-active", "g", "1,000 peers in ping-pong at once", _MANY + ("parley-loops",),
             (Figure("rate", "round trips/s", "/s"),), active, _TWO_CORES),
    Workload("fairness", "h", "A quiet peer beside one that floods",
             tuple(name for name in _MANY if name != "go-reference"), (
                 Figure("factor", "p99 with to without", "x", False), Figure("alone", "p99 alone", "us", False),
                 Figure("flooded", "p99 beside the flood", "us", False),
                 Figure("rate", "its round trips/s then", "/s")), fairness, _TWO_CORES),
    Workload("allocations", "i", "Allocations of a message, 64 B",
             ("c-raw", "c-uv") + _PEERS + _DOORS,
             (Figure("receive", "receiving", "", False), Figure("send", "sending", "", False)), allocations,
             _TWO_CORES),
]


def chosen(words):
    """Workloads by name, by the beginning of a name, or by letter; all for none."""
    if not words:
        return WORKLOADS
    found = [
        workload for workload in WORKLOADS
        if any(workload.letter == word or len(word) > 1 and workload.name.startswith(word) for word in words)
    ]
    if not found:
        raise SystemExit("no such workload; there are: " + ", ".join(workload.name for workload in WORKLOADS))
    return found
