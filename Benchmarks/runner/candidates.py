"""Who is measured. A candidate is a program and, for each role, the door it goes through."""

import os
import shutil
from dataclasses import dataclass, field

from children import ROOT

BIN = os.path.join(ROOT, ".build", "bin")
RELEASE = os.path.join(ROOT, ".build", "release")


@dataclass(frozen=True, eq=False)
class Candidate:
    name: str
    title: str
    #: c (the yardsticks), peer (what one would take otherwise), parley
    kind: str
    program: str
    #: Role to door; a role that is not here is one it does not have.
    doors: dict = field(default_factory=dict)
    #: frames: talks to every other candidate with frames; reference: a type byte alone; own: only to itself;
    #: parley: to Parley's secured candidates; none: its two ends are not connected at all
    wire: str = "frames"
    #: Options of the command line in every role.
    options: dict = field(default_factory=dict)

    @property
    def is_built(self):
        return os.access(self.program, os.X_OK)

    def can(self, *roles):
        return all(role in self.doors for role in roles)


def _all(door="", *but):
    roles = [
        "serve", "ping", "flood", "bulk-serve", "bulk", "file-serve", "file", "greet-serve", "greet", "serve-many",
    ]
    return {role: door for role in roles if role not in but}


def _bin(name):
    return os.path.join(BIN, name)


def _release(name):
    return os.path.join(RELEASE, name)


def _c(door):
    return {**_all(door, *_FILES), "bulk-serve": "", "bulk": ""}


def _streams(door=""):
    return {
        role: door
        for role in ("streams-serve", "streams-bulk", "streams-beside", "streams-open", "streams-hold")
    }


def _asks(door):
    return {"answer": door, "ask": door}


_FILES = ("file-serve", "file")
_SWIFT = _release("parley-swift")
_TOOL = os.path.join(os.path.dirname(ROOT), ".build", "release", "parley")
# zeromq and nng have a type of socket for each job.
_SOCKETS = {
    "serve": "", "echo": "echo", "ping": "", "answer": "", "ask": "", "flood": "", "bulk-serve": "",
    "bulk": "", "greet-serve": "", "greet": "", "serve-many": "", "open": "",
}

# Both ends show keys to each other, and what is sent is sealed.
_SECURED = {"secured": "yes"}

CANDIDATES = [
    Candidate("c-raw", "C, sockets", "c", _bin("c-raw"), {**_all(), "serve-many": "epoll"}),
    Candidate("c-raw-each", "C, sockets, a write each", "c", _bin("c-raw"), {"flood": "each", "serve": ""}),
    Candidate("c-raw-spin", "C, sockets, spinning", "c", _bin("c-raw"), {"serve": "spin", "ping": "spin"}),
    Candidate("c-uv", "C on libuv", "c", _bin("c-uv"), _all()),
    Candidate("c-uv-thread", "C on libuv, from a thread", "c", _bin("c-uv"), {"flood": "thread", "serve": ""}),
    Candidate("c-uv-spin", "C on libuv, spinning", "c", _bin("c-uv"), {"serve": "spin", "ping": "spin"}),
    Candidate("go-reference", "Go, the reference", "peer", _bin("go-reference"), _all("", *_FILES), wire="reference"),
    Candidate("go-bufio", "Go, the reference with bufio", "peer", _bin("go-reference"), {
        role: "bufio" for role in ("serve", "ping", "flood", "serve-many")
    }),
    Candidate(
        "go-channel", "Go, bufio and a channel", "peer", _bin("go-frames"),
        {**_all(), "serve": "channel", "serve-many": "channel"},
    ),
    Candidate("go-inline", "Go, bufio alone", "peer", _bin("go-frames"), _all()),
    Candidate("nio-handler", "SwiftNIO, handlers", "peer", _release("nio-handler"), _all()),
    Candidate("nio-async", "SwiftNIO, NIOAsyncChannel", "peer", _release("nio-async"), _all("", *_FILES)),
    Candidate("zeromq", "ZeroMQ", "peer", _bin("zeromq"), _SOCKETS, wire="own"),
    Candidate("nng", "nng", "peer", _bin("nng"), _SOCKETS, wire="own"),
    Candidate("parley-c-callback", "Parley, C callback", "parley", _bin("parley-c"), _c("callback")),
    Candidate("parley-c-consume", "Parley, C blocking consume", "parley", _bin("parley-c"), _c("consume")),
    Candidate("parley-task", "Parley, for await", "parley", _SWIFT, _all("task")),
    Candidate("parley-batches", "Parley, batches", "parley", _SWIFT, {
        "serve": "batches", "ping": "batches", "serve-many": "batches", "flood": "task",
    }),
    Candidate("parley-loop", "Parley, task on the loop", "parley", _SWIFT, {
        "serve": "loop", "ping": "loop", "serve-many": "loop", "flood": "loop", "greet-serve": "loop", "greet": "loop",
    }),
    Candidate("parley-loop-spin", "Parley, task on the loop, spinning", "parley", _SWIFT, {
        "serve": "loop-spin", "ping": "loop-spin",
    }),
    Candidate("parley-c-spin", "Parley, C callback, spinning", "parley", _bin("parley-c"), {
        "serve": "spin", "ping": "spin",
    }),
    Candidate("parley-loops", "Parley, a task on each of a loop per core", "parley", _SWIFT, {
        "serve": "loops", "serve-many": "loops",
    }),
    Candidate("parley-loops-batches", "Parley, batches on each of a loop per core", "parley", _SWIFT, {
        "serve": "loops-batches", "serve-many": "loops-batches",
    }),
    Candidate("parley-c-loops", "Parley, C callback on a loop per core", "parley", _bin("parley-c"), {
        "serve": "loops", "serve-many": "loops",
    }),
    Candidate("parley-stream", "Parley, framed stream", "parley", _SWIFT, _all("framed")),
    Candidate("sodium", "libsodium alone", "c", _bin("sodium"), {
        role: "" for role in ("serve", "flood", "bulk-serve", "bulk", "greet-serve")
    }, wire="none"),
    Candidate("zeromq-curve", "ZeroMQ, CURVE", "peer", _bin("zeromq"), _SOCKETS, wire="own", options=_SECURED),
    Candidate("go-noise", "Go with flynn/noise", "peer", _bin("go-noise"), _all("", *_FILES, "serve-many"), wire="own"),
    Candidate("nio-ssl", "SwiftNIO with NIOSSL", "peer", _release("nio-handler"), _all("", *_FILES, "serve-many"),
              wire="own", options={**_SECURED, "path": _bin("tls.pem")}),
    Candidate("secured-c-callback", "Parley secured, C callback", "parley", _bin("parley-c"), {
        **_c("callback"), "open": "",
    }, wire="parley", options=_SECURED),
    Candidate("secured-c-consume", "Parley secured, C blocking consume", "parley", _bin("parley-c"), _c("consume"),
              wire="parley", options=_SECURED),
    Candidate("secured-task", "Parley secured, for await", "parley", _SWIFT, _all("task"), wire="parley",
              options=_SECURED),
    Candidate("secured-batches", "Parley secured, batches", "parley", _SWIFT, {
        "serve": "batches", "ping": "batches", "serve-many": "batches",
    }, wire="parley", options=_SECURED),
    Candidate("secured-loop", "Parley secured, task on the loop", "parley", _SWIFT, {
        "serve": "loop", "ping": "loop", "serve-many": "loop",
    }, wire="parley", options=_SECURED),
    Candidate("secured-stream", "Parley secured, framed stream", "parley", _SWIFT, _all("framed"), wire="parley",
              options=_SECURED),
    Candidate("request-c-callback", "Parley request, C callback", "parley", _bin("parley-c"),
              _asks("callback")),
    Candidate("request-c-consume", "Parley request, C blocking", "parley", _bin("parley-c"),
              _asks("consume")),
    Candidate("request-loop", "Parley request, task on the loop", "parley", _SWIFT, _asks("loop")),
    Candidate("request-task", "Parley request, ordinary task", "parley", _SWIFT, _asks("task")),
    Candidate("go-yamux", "Go with hashicorp/yamux", "peer", _bin("go-yamux"), _streams(), wire="own"),
    Candidate("mux-c", "Parley multiplexed, C callback", "parley", _bin("parley-c-streams"), _streams()),
    Candidate("mux-loop", "Parley multiplexed, task on the loop", "parley", _SWIFT, _streams("loop")),
    Candidate("mux-task", "Parley multiplexed, ordinary task", "parley", _SWIFT, _streams("task")),
    Candidate("rsync", "rsync, its daemon, plain", "peer", shutil.which("rsync") or "rsync", wire="own"),
    Candidate("tool-get", "parley get from parley serve", "parley", _TOOL, wire="own"),
    Candidate("tool-send", "parley send to parley receive", "parley", _TOOL, wire="own"),
    Candidate("parley-raw-stream", "Parley, raw stream", "parley", _SWIFT, _all("raw")),
]

BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}

#: What gives load to receivers and takes it from senders, the same for all that speak frames.
LOAD = BY_NAME["c-raw"]
#: The same for Parley's secured candidates: a sender that has little to do but to seal, and one that holds many peers.
SECURED_LOAD = {
    "flood": Candidate("secured-load", "", "parley", _SWIFT, {"flood": "load"}, options=_SECURED),
    "open": BY_NAME["secured-c-callback"],
}
#: What every ratio is to.
YARDSTICK = "c-uv"
