"""What is measured. A workload runs one candidate once and returns its figures."""

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from typing import Callable

from candidates import BIN, LOAD, SECURED_LOAD, YARDSTICK
from children import Child, Failed, end_all, measure, syscalls_per_second
from delay import relay

MANY_HOSTS = 32
MOST_OPEN = 5_000
BUSY_PEERS = 16

#: Idle streams are held by some peers; each time, every peer opens some more.
HOLDING_PEERS = 50
STREAMS_EACH_TIME = 100
TIMES = 10
#: There and back on a long line: much more than what either end works.
LONG_ROUND_TRIP = 0.02


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
    #: Whom the ratios of its table are to.
    yardstick: str = YARDSTICK


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
    return Child(candidate.program, role, core, door=door, **{"wire": wire, **candidate.options, **options})


def load(candidate, role, core, port, door="", **options):
    """The other end of a candidate: the fastest there is where the wire form allows, so that its own end counts."""
    if candidate.wire in ("own", "none"):
        return start(candidate, role, core, port=port, **options)
    if candidate.wire == "parley":
        return start(SECURED_LOAD[role], role, core, port=port, **options)
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
        return round_trips(client, server, settings)

    return run


def round_trips(client, server, settings):
    window, other = measure([client, server], settings.seconds, settings.warmup)
    return {
        "rate": window.rate, "p50": window.p50, "p99": window.p99, "p999": window.p999,
        "cpu": cpu_us(window, other),
    }


def cpu_us(window, other):
    """Of both ends for each message of the first: unlike a rate it is about the same on a busy machine."""
    return (window.cpu_seconds + other.cpu_seconds) * 1e6 / max(1, window.messages)


# --- (b) One way -------------------------------------------------------------------------------------------------


def receive(payload):
    @ended
    def run(candidate, settings):
        server = start(candidate, "serve", 0, bytes=payload)
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


def bulk(chunk, server_core=0, client_core=1):
    @ended
    def run(candidate, settings):
        server = start(candidate, "bulk-serve", server_core)
        client = start(candidate, "bulk", client_core, port=server.ready(), chunk=chunk)
        client.ready()
        windows = measure([server, client], settings.seconds, settings.warmup)
        # Two ends that are not connected are as fast as the slower one.
        ends = windows if candidate.wire == "none" else windows[:1]
        return {
            "rate": min(window.bytes / window.seconds for window in ends) / 1e9, "cpu": cpu_of_gb(*windows)
        }

    return run


def cpu_of_gb(received, sent):
    """Of both ends, in seconds."""
    return (received.cpu_seconds + sent.cpu_seconds) * 1e9 / max(1, received.bytes)


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


@ended
def handshakes(candidate, settings):
    """What one side can do: its own CPU seconds count, not those of the side that dials."""
    server = start(candidate, "greet-serve", 0, hosts=MANY_HOSTS)
    port = server.ready()
    if candidate.wire != "none":
        start(candidate, "greet", 1, port=port, hosts=MANY_HOSTS, peers=64).ready()
    (window,) = measure([server], settings.seconds, settings.warmup)
    return {"rate": window.messages / window.cpu_seconds, "both": window.rate}


# --- (e) Memory --------------------------------------------------------------------------------------------------


def until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(what)
        time.sleep(0.02)


def rss_kb(server):
    """When it has come to rest: three looks in a row at which neither memory nor work has grown."""
    before, still, deadline = server.mark(), 0, time.monotonic() + 30
    while still < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
        now = server.mark()
        is_still = now["rss_kb"] == before["rss_kb"] and now["cpu_us"] - before["cpu_us"] < 3_000
        still = still + 1 if is_still else 0
        before = now
    return before["rss_kb"]


def open_peers(candidate, server, port, count):
    """The programs that hold them: several, since a process may be allowed few descriptors, and some need two a peer."""
    sockets = server.descriptors()
    parts = [min(MOST_OPEN, count - done) for done in range(0, count, MOST_OPEN)]
    openers = [load(candidate, "open", 1, port, peers=part) for part in parts]
    for opener in openers:
        opener.ready(60)
    # Connected is not accepted.
    until(lambda: server.descriptors() >= sockets + count, 30, f"{server.name} accepts too few peers")
    return openers


@ended
def memory(candidate, settings):
    figures = {}
    for count in (5_000, 10_000):
        server = start(candidate, "serve-many", 0)
        port = server.ready()
        # What the first peers bring with them belongs to the program, not to a peer.
        tell_all(server, open_peers(candidate, server, port, 100), 100)
        base = rss_kb(server)
        openers = open_peers(candidate, server, port, count)
        figures[f"idle{count}"] = (rss_kb(server) - base) / count
        tell_all(server, openers, count)
        figures[f"used{count}"] = (rss_kb(server) - base) / count
        end_all()
    return figures


def tell_all(server, openers, count):
    """One message from each, and until all have arrived."""
    wanted = server.mark()["messages"] + count
    for opener in openers:
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
    if not millions:
        raise Failed(f"{server.name} gets no message")
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


@ended
def busy(candidate, settings):
    """On all cores: one who spreads peers over several threads or loops can show it. The load costs little."""
    server = start(candidate, "serve-many", None)
    load(candidate, "flood", None, server.ready(), door="load", peers=BUSY_PEERS).ready()
    (window,) = measure([server], settings.seconds, settings.warmup)
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
    if not flooded.messages:
        raise Failed("no round trip came to its end beside the flood")
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


# --- (k) Many streams ------------------------------------------------------------------------------------


def streams(count):
    """Bytes of as many streams together; of one where the candidate has one at a time."""

    @ended
    def run(candidate, settings):
        if not candidate.can("streams-bulk"):
            return bulk(256 << 10)(candidate, settings)
        server = start(candidate, "streams-serve", 0)
        client = start(candidate, "streams-bulk", 1, port=server.ready(), chunk=256 << 10, streams=count)
        client.ready()
        received, sent = measure([server, client], settings.seconds, settings.warmup)
        return {"rate": received.bytes / received.seconds / 1e9, "cpu": cpu_of_gb(received, sent)}

    return run


@ended
def beside_a_stream(candidate, settings):
    server = start(candidate, "streams-serve", 0)
    client = start(candidate, "streams-beside", 1, port=server.ready(), chunk=256 << 10)
    client.ready()
    (alone,) = measure([client], settings.seconds, settings.warmup)
    client.tell("go")
    beside, stream = measure([client, server], settings.seconds, settings.warmup)
    if not beside.messages:
        raise Failed("no round trip came to its end beside the stream")
    if not stream.bytes:
        raise Failed("no byte of the stream arrives")
    return {
        "factor": beside.p99 / alone.p99, "alone": alone.p99, "beside": beside.p99, "rate": beside.rate,
        "stream": stream.bytes / stream.seconds / 1e9,
    }


def first_bytes(candidate, settings, count, server_core, client_core, line=lambda port: port):
    """Streams that are opened, `count` at once, and closed when a byte is back: a window of each end."""
    server = start(candidate, "streams-serve", server_core)
    client = start(candidate, "streams-open", client_core, port=line(server.ready()), streams=count)
    client.ready()
    windows = measure([client, server], settings.seconds, settings.warmup)
    end_all()
    if not windows[0].messages:
        raise Failed("no stream has its byte back")
    return windows


@ended
def opening(candidate, settings):
    near, server = first_bytes(candidate, settings, 1, 0, 0)
    far, _ = first_bytes(candidate, settings, 1, 0, 0, lambda port: relay(port, LONG_ROUND_TRIP / 2))
    return {
        "rate": near.rate, "p50": near.p50, "p99": near.p99, "trips": far.p50 / 1e6 / LONG_ROUND_TRIP,
        "cpu": cpu_us(near, server),
    }


@ended
def opening_at_once(candidate, settings):
    client, server = first_bytes(candidate, settings, 64, 0, 0)
    cross, _ = first_bytes(candidate, settings, 64, 0, 1)
    return {"rate": client.rate, "cross": cross.rate, "cpu": cpu_us(client, server)}


@ended
def idle_streams(candidate, settings):
    """Bytes of the resident set for each stream that has come after the first ones, at either end."""
    server = start(candidate, "streams-serve", 0)
    client = start(
        candidate, "streams-hold", 1, port=server.ready(), peers=HOLDING_PEERS, streams=STREAMS_EACH_TIME
    )
    client.ready(30)
    each_time = HOLDING_PEERS * STREAMS_EACH_TIME
    hold_more(server, client, each_time)
    base = [rss_kb(end) for end in (client, server)]
    for turn in range(2, TIMES + 1):
        hold_more(server, client, turn * each_time)
    count = (TIMES - 1) * each_time
    opened, accepted = (
        (rss_kb(end) - before) * 1024 / count for end, before in zip((client, server), base)
    )
    return {"accepted": accepted, "opened": opened}


def hold_more(server, client, wanted):
    client.tell("go")
    client.expect("SENT", 30)
    until(lambda: server.mark()["messages"] >= wanted, 30, f"{server.name} holds too few streams")


# --- (l) Questions ---------------------------------------------------------------------------------------


def question(server_core, client_core):
    """Round trips of a question and its answer; of messages where the candidate has no questions."""

    @ended
    def run(candidate, settings):
        if not candidate.can("ask", "answer"):
            return ping_pong(server_core, client_core)(candidate, settings)
        server = start(candidate, "answer", server_core)
        client = start(candidate, "ask", client_core, port=server.ready())
        client.ready()
        return round_trips(client, server, settings)

    return run
