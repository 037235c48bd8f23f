"""What Parley wants to reach, and whether it does: ratios within one run, and their spread."""

from dataclasses import dataclass
from typing import Callable

import results as results_of


@dataclass(frozen=True)
class Goal:
    text: str
    #: From all results to the spread of the figure, None where something was not measured.
    figure: Callable
    at_least: float = None
    at_most: float = None

    def verdict(self, results):
        """Met when three quarters of the rounds are on the right side."""
        spread = self.figure(results)
        if spread is None:
            return None, "not measured"
        is_met = spread["q1"] >= self.at_least if self.at_least is not None else spread["q3"] <= self.at_most
        return spread, "met" if is_met else "not met"

    @property
    def limit(self):
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


def over(workload, mine, theirs, key=None):
    """One candidate's figure in terms of another's."""
    return lambda results: results_of.ratio(results.get(workload), mine, theirs, key)


def plain(workload, mine, key=None, unit=1):
    """One candidate's figure, in so many of its units."""
    return lambda results: _divided(results_of.figure(results.get(workload), mine, key), unit)


def for_each_core(workload, mine, theirs):
    ratio = over(workload, mine, theirs)
    return lambda results: _divided(ratio(results), results[workload]["machine"]["cores"] if workload in results else 1)


def _divided(spread, divisor):
    return spread and {name: spread[name] / divisor for name in ("median", "q1", "q3")}


def millions(workload, mine):
    """Its rate in millions for each second."""
    return plain(workload, mine, unit=1e6)


def thousands(workload, mine):
    """Its rate in thousands for each second."""
    return plain(workload, mine, unit=1e3)


def for_each_door(text, figure, at_least=None, at_most=None):
    """The same goal for each way to the streams; `figure` makes it of a candidate."""
    doors = (("mux-c", "C callback"), ("mux-loop", "task on the loop"), ("mux-task", "ordinary task"))
    return [Goal(f"{text}: {title}", figure(name), at_least, at_most) for name, title in doors]


LOOP, TASK, BATCHES = "parley-loop", "parley-task", "parley-batches"
CALLBACK, CONSUME = "parley-c-callback", "parley-c-consume"

GOALS = [
    Goal("ping-pong, one core: task on the loop, to C on libuv", over("pingpong", LOOP, "c-uv"), 0.93),
    Goal("ping-pong, one core: C callback, to C on libuv", over("pingpong", CALLBACK, "c-uv"), 0.97),
    Goal("ping-pong, one core: task on the loop, to Go", over("pingpong", LOOP, "go-reference"), 2.1),
    Goal("ping-pong, one core: C callback, to Go", over("pingpong", CALLBACK, "go-reference"), 2.1),
    Goal("ping-pong, one core: task on the loop, to NIO handlers", over("pingpong", LOOP, "nio-handler"), 1.7),
    Goal("ping-pong, one core: C callback, to NIO handlers", over("pingpong", CALLBACK, "nio-handler"), 1.7),
    Goal("ping-pong, one core: ordinary task, to Go", over("pingpong", TASK, "go-reference"), 1.0),
    Goal("ping-pong, across cores, busyPoll: task on the loop, to C on libuv spinning",
         over("pingpong-cross", "parley-loop-spin", "c-uv-spin"), 0.9),
    Goal("ping-pong, across cores, busyPoll: task on the loop, to Go",
         over("pingpong-cross", "parley-loop-spin", "go-reference"), 7),
    Goal("ping-pong, across cores, busyPoll: C callback, to C on libuv spinning",
         over("pingpong-cross", "parley-c-spin", "c-uv-spin"), 0.9),
    Goal("one way 64 B: C callback, to C on libuv", over("oneway", CALLBACK, "c-uv"), 0.4),
    Goal("one way 64 B: batches, to C on libuv", over("oneway", BATCHES, "c-uv"), 0.35),
    Goal("one way 64 B: for await, to C on libuv", over("oneway", TASK, "c-uv"), 0.15),
    Goal("one way 64 B: C blocking consume, to C on libuv", over("oneway", CONSUME, "c-uv"), 0.15),
    Goal("one way 64 B: for await, to ZeroMQ", over("oneway", TASK, "zeromq"), 2),
    Goal("one way 64 B: batches, to ZeroMQ", over("oneway", BATCHES, "zeromq"), 5),
    Goal("one way 64 B: batches, to Go with bufio", over("oneway", BATCHES, "go-bufio"), 8),
    Goal("one way 64 B: sending, ordinary task, to ZeroMQ", over("send", TASK, "zeromq"), 2),
    Goal("bulk, 256 KiB: raw stream, to C on libuv", over("bulk-256k", "parley-raw-stream", "c-uv"), 0.95),
    Goal("bulk, 256 KiB: framed stream, to C on libuv", over("bulk-256k", "parley-stream", "c-uv"), 0.9),
    Goal("connect-greet-close, one by one, to C on libuv", over("connect", TASK, "c-uv"), 0.9),
    Goal("connect-greet-close, 64 at once, to C on libuv", over("connect-64", TASK, "c-uv"), 0.9),
    Goal("connect-greet-close, one by one, to Go", over("connect", TASK, "go-reference"), 1.3),
    Goal("connect-greet-close, 64 at once, to Go", over("connect-64", TASK, "go-reference"), 1.3),
    Goal("memory of an idle peer at 10,000, KiB", plain("memory", TASK, "idle10000"), None, 1.2),
    Goal("CPU of a million messages, both ends: C callback, s", plain("cost", CALLBACK, "cpu"), None, 0.08),
    Goal("CPU of a million messages, both ends: for await, s", plain("cost", TASK, "cpu"), None, 0.25),
    Goal("CPU of a million messages, for await, to Go", over("cost", TASK, "go-reference", "cpu"), None, 0.2),
    Goal("growth: cost of a round trip at 10,000 idle to that at 1", plain("growth-pingpong", LOOP, "cost"), None, 1.1),
    Goal("growth: cost of a message one way at 10,000 idle to that at 1", plain("growth-oneway", TASK, "cost"),
         None, 1.1),
    Goal("growth: a loop on each core, to one loop, for each core: tasks", for_each_core(
        "growth-busy", "parley-loops", LOOP), 0.8),
    Goal("growth: the same, batches", for_each_core("growth-busy", "parley-loops-batches", BATCHES), 0.8),
    Goal("growth: the same, C callback", for_each_core("growth-busy", "parley-c-loops", CALLBACK), 0.8),
    Goal("fairness: p99 of the quiet peer beside a flood to that without", plain("fairness", TASK, "factor"), None, 5),
    Goal("fairness: the same, task on the loop", plain("fairness", LOOP, "factor"), None, 5),
    Goal("allocations of a message, receiving: for await", plain("allocations", TASK, "receive"), None, 0.05),
    Goal("allocations of a message, receiving: batches", plain("allocations", BATCHES, "receive"), None, 0.05),
    Goal("allocations of a message, receiving: C callback", plain("allocations", CALLBACK, "receive"), None, 0.05),
    Goal("allocations of a message, sending", plain("allocations", TASK, "send"), None, 0.0005),
    Goal("secured: bulk, stream, to libsodium", over("secured-bulk", "secured-stream", "sodium"), 0.8),
    Goal("secured: bulk, stream, to Go with flynn/noise", over("secured-bulk", "secured-stream", "go-noise"), 2),
    Goal("secured: bulk, stream, to NIOSSL", over("secured-bulk", "secured-stream", "nio-ssl"), 0.6),
    Goal("secured: one way 64 B, M/s: C callback", millions("secured-oneway", "secured-c-callback"), 10),
    Goal("secured: one way 64 B, M/s: batches", millions("secured-oneway", "secured-batches"), 8),
    Goal("secured: one way 64 B, M/s: for await", millions("secured-oneway", "secured-task"), 6),
    Goal("secured: one way 64 B, C callback, to CURVE",
         over("secured-oneway", "secured-c-callback", "zeromq-curve"), 10),
    Goal("secured: one way 64 B, batches, to CURVE", over("secured-oneway", "secured-batches", "zeromq-curve"), 10),
    Goal("secured: one way 64 B, for await, to CURVE", over("secured-oneway", "secured-task", "zeromq-curve"), 10),
    Goal("secured: ping-pong, one core: task on the loop, to plain",
         over("secured-pingpong", "secured-loop", LOOP), 0.75),
    Goal("secured: handshakes, C, to the sum of the primitives",
         over("secured-handshakes", "secured-c-callback", "sodium"), 0.8),
    Goal("secured: handshakes, Swift, to the sum of the primitives",
         over("secured-handshakes", "secured-task", "sodium"), 0.8),
    Goal("secured: memory of an idle peer at 10,000, KiB: C callback",
         plain("secured-memory", "secured-c-callback", "idle10000"), None, 1.6),
    Goal("secured: memory of an idle peer at 10,000, KiB: for await",
         plain("secured-memory", "secured-task", "idle10000"), None, 1.6),
    Goal("question: task on the loop, to two messages by hand", over("request", "request-loop", LOOP), 0.85),
    Goal("question: task on the loop, to nng", over("request", "request-loop", "nng"), 2),
    Goal("question: task on the loop, to ZeroMQ", over("request", "request-loop", "zeromq"), 3),
    *for_each_door("one stream, to a framed one",
                   lambda name: over("streams-one", name, "parley-stream"), 0.9),
    *for_each_door("one stream, to hashicorp/yamux", lambda name: over("streams-one", name, "go-yamux"), 3),
    *for_each_door("100 streams, to a framed one",
                   lambda name: over("streams-100", name, "parley-stream"), 0.8),
    *for_each_door("100 streams, to hashicorp/yamux", lambda name: over("streams-100", name, "go-yamux"), 3),
    *for_each_door("messages beside a full stream, p99 to that alone",
                   lambda name: plain("streams-beside", name), None, 3),
    *for_each_door("first byte of a new stream, in round trips of 20 ms",
                   lambda name: plain("streams-open", name, "trips"), None, 1.1),
    *for_each_door("streams opened, 64 at once on one core, k/s",
                   lambda name: thousands("streams-open-64", name), 50),
    Goal("memory of an idle stream, accepted, B: C callback", plain("streams-memory", "mux-c"), None, 256),
    Goal("memory of an idle stream, opened, B: C callback",
         plain("streams-memory", "mux-c", "opened"), None, 256),
    Goal("memory of an idle stream, opened, B: Swift",
         plain("streams-memory", "mux-task", "opened"), None, 256),
    Goal("memory of an idle stream, accepted and its waiting task, B: Swift",
         plain("streams-memory", "mux-task"), None, 256),
    Goal("the tool: one file got, to a secured stream", over("tool-file", "tool-get", "secured-stream"), 0.8),
    Goal("the tool: one file sent, to a secured stream", over("tool-file", "tool-send", "secured-stream"), 0.8),
    Goal("the tool: 20,000 files of 4 KiB got, to rsync", over("tool-small", "tool-get", "rsync"), 1),
    Goal("the tool: 20,000 files of 4 KiB sent, to rsync", over("tool-small", "tool-send", "rsync"), 1),
    Goal("the tool: 10,000 files of 64 KiB got, to one file of their size",
         plain("tool-files", "tool-get", "to_one"), 0.8),
]


def lines(results):
    """Goal, figure and verdict of all that this run can say something about."""
    table = []
    for goal in GOALS:
        spread, verdict = goal.verdict(results)
        table.append((goal.text, goal.limit, spread and _said(spread["median"]), spread and _quartiles(spread), verdict))
    return table


def _quartiles(spread):
    return f"{_said(spread['q1'])} - {_said(spread['q3'])}"


def _said(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def text(results):
    width = max(len(goal.text) for goal in GOALS)
    measured = [line for line in lines(results) if line[-1] != "not measured"]
    rows = [
        f"  {what.ljust(width)}  {limit:>8}  {figure:>8}  {quartiles:>15}  {verdict}"
        for what, limit, figure, quartiles, verdict in measured
    ]
    if len(measured) < len(GOALS):
        rows.append(f"  {len(GOALS) - len(measured)} other goals are not measured")
    return "\n".join(rows)


def markdown(results, only=("met", "not met")):
    """What was measured of it, or a part: the goals that are not met."""
    rows = [row for row in lines(results) if row[-1] in only]
    if not rows:
        return "Nothing." if any(row[-1] != "not measured" for row in lines(results)) else ""
    head = ["| goal | wanted | measured | quartiles | |", "|---|---:|---:|---:|---|"]
    return "\n".join(head + ["| " + " | ".join(row) + " |" for row in rows])
