"""The list: every workload, who runs it, and what a table shows of it."""

from folders import many_files, one_file
from workloads import (
    IDLE, Figure, Workload, active, allocations, beside_a_stream, bulk, busy, connect, cost, fairness, files,
    growth, handshakes, idle_streams, memory, opening, opening_at_once, ping_pong, question, receive, send,
    streams,
)

_PEERS = ("go-reference", "go-bufio", "go-channel", "go-inline", "nio-handler", "nio-async", "zeromq", "nng")
_FRAMED_PEERS = ("go-bufio", "go-channel", "go-inline", "nio-handler", "nio-async")
_DOORS = ("parley-c-callback", "parley-c-consume", "parley-loop", "parley-batches", "parley-task")

_RATE = (Figure("rate", "messages/s", "/s"),)
_TRIPS = (
    Figure("rate", "round trips/s", "/s"), Figure("p50", "p50", "us", False), Figure("p99", "p99", "us", False),
    Figure("p999", "p99.9", "us", False),
)
_CPU = Figure("cpu", "CPU, both ends", "us", False)
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
    "parley-loop", "parley-task",
)
_LOOPS = ("parley-loops", "parley-loops-batches", "parley-c-loops")
_MANY = ("c-raw", "c-uv", "go-reference") + _FRAMED_PEERS + _DOORS
_RECEIVERS_OF_MANY_ON_ONE = tuple(name for name in _MANY if name != "go-reference")
_RECEIVERS_OF_MANY = _RECEIVERS_OF_MANY_ON_ONE + _LOOPS
_SECURED_PEERS = ("go-noise", "nio-ssl", "zeromq-curve")
_SECURED = ("secured-c-callback", "secured-c-consume", "secured-loop", "secured-batches", "secured-task")
_MULTIPLEXED = ("go-yamux", "mux-c", "mux-loop", "mux-task")
_ASKING = ("request-c-callback", "request-c-consume", "request-loop", "request-task")
_TOOLS = ("rsync", "tool-get", "tool-send")
_FOLDER = (Figure("rate", "files/s", "/s"), Figure("to_one", "to one file of their size", "x"))
_ONE_CORE, _TWO_CORES, _ALL_CORES = (
    "both ends on one core", "each end on a core of its own", "both ends on all cores"
)


def tool(run):
    """The tool's candidates, beside the stream that their files go over, which may use all cores too."""
    stream = bulk(256 << 10, None, None)
    return lambda candidate, settings: (stream if candidate.can("bulk") else run)(candidate, settings)


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
             _RECEIVERS_OF_MANY_ON_ONE, _GROWTH, growth("flood", 1), _TWO_CORES),
    Workload("growth-active", "g", "1,000 peers in ping-pong at once", _MANY,
             (Figure("rate", "round trips/s", "/s"),), active, _TWO_CORES),
    Workload("growth-busy", "g", "16 peers one way at once, 64 B", _RECEIVERS_OF_MANY, _RATE, busy,
             _ALL_CORES),
    Workload("fairness", "h", "A quiet peer beside one that floods",
             _RECEIVERS_OF_MANY_ON_ONE, (
                 Figure("factor", "p99 with to without", "x", False), Figure("alone", "p99 alone", "us", False),
                 Figure("flooded", "p99 beside the flood", "us", False),
                 Figure("rate", "its round trips/s then", "/s")), fairness, _TWO_CORES),
    Workload("allocations", "i", "Allocations of a message, 64 B",
             ("c-raw", "c-uv") + _PEERS + _DOORS,
             (Figure("receive", "receiving", "", False), Figure("send", "sending", "", False)), allocations,
             _TWO_CORES),
    Workload("secured-bulk", "j", "Secured: stream, 256 KiB writes",
             ("sodium",) + _SECURED_PEERS + ("secured-stream", "secured-c-consume"),
             (Figure("rate", "GB/s", "GB/s"),), bulk(256 << 10), _TWO_CORES, "sodium"),
    Workload("secured-oneway", "j", "Secured: one way, 64 B, receiving", ("sodium",) + _SECURED_PEERS + _SECURED, _RATE,
             receive(64), _TWO_CORES, "zeromq-curve"),
    Workload("secured-pingpong", "j", "Secured: ping-pong, 64 B, one core",
             ("c-uv",) + _SECURED_PEERS + _DOORS + _SECURED, _TRIPS, ping_pong(0, 0), _ONE_CORE, "parley-loop"),
    Workload("secured-handshakes", "j", "Secured: handshakes, the side that listens",
             ("sodium",) + _SECURED_PEERS + ("secured-c-callback", "secured-task"),
             (Figure("rate", "handshakes for each CPU second", "/s"), Figure("both", "both sides at work", "/s")),
             handshakes, _TWO_CORES, "sodium"),
    Workload("secured-memory", "j", "Secured: memory of a peer",
             ("zeromq-curve",) + _DOORS[:1] + _DOORS[-1:] + ("secured-c-callback", "secured-task"), _MEMORY, memory,
             _TWO_CORES, "parley-c-callback"),
] + [
    Workload(f"streams-{name}", "k", f"Multiplexed: {title}, 256 KiB writes",
             ("c-uv", "parley-stream") + _MULTIPLEXED,
             (Figure("rate", "GB/s", "GB/s"), Figure("cpu", "CPU of a GB, both ends", "s", False)),
             streams(count),
             _TWO_CORES, "parley-stream")
    for name, title, count in (("one", "one stream", 1), ("100", "100 streams at once", 100))
] + [
    Workload("streams-beside", "k", "Multiplexed: messages beside a full stream", _MULTIPLEXED, (
        Figure("factor", "p99 with to without", "x", False), Figure("alone", "p99 alone", "us", False),
        Figure("beside", "p99 beside the stream", "us", False),
        Figure("rate", "its round trips/s then", "/s"),
        Figure("stream", "the stream's GB/s then", "GB/s")), beside_a_stream, _TWO_CORES, "go-yamux"),
    Workload("streams-open", "k", "Multiplexed: open, a byte there and back, close, one by one",
             _MULTIPLEXED, (
                 Figure("rate", "streams/s", "/s"), Figure("p50", "first byte, p50", "us", False),
                 Figure("p99", "p99", "us", False), _CPU,
                 Figure("trips", "p50 in round trips of 20 ms", "x", False)), opening, _ONE_CORE, "go-yamux"),
    Workload("streams-open-64", "k", "Multiplexed: open, a byte there and back, close, 64 at once",
             _MULTIPLEXED, (
                 Figure("rate", "streams/s", "/s"), Figure("cross", "each end on its own core", "/s"), _CPU),
             opening_at_once, _ONE_CORE, "go-yamux"),
    Workload("streams-memory", "k", "Multiplexed: memory of an idle stream", _MULTIPLEXED, (
        Figure("accepted", "accepted", "B", False), Figure("opened", "opened", "B", False)), idle_streams,
        _TWO_CORES, "go-yamux"),
    Workload("request", "l", "Question and answer, 64 B, one core",
             ("c-uv", "zeromq", "nng", "parley-c-callback", "parley-c-consume", "parley-loop", "parley-task")
             + _ASKING, _TRIPS + (_CPU,), question(0, 0), _ONE_CORE, "parley-loop"),
    Workload("tool-file", "m", "The tool: a file of 1 GiB", ("secured-stream",) + _TOOLS,
             (Figure("rate", "GB/s", "GB/s"),), tool(one_file(1 << 30)), _ALL_CORES, "secured-stream"),
    Workload("tool-small", "m", "The tool: a folder of 20,000 files of 4 KiB", _TOOLS, _FOLDER,
             many_files(20_000, 4 << 10), _ALL_CORES, "rsync"),
    Workload("tool-files", "m", "The tool: a folder of 10,000 files of 64 KiB", _TOOLS, _FOLDER,
             many_files(10_000, 64 << 10), _ALL_CORES, "rsync"),
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
