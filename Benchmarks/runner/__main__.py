"""python3 Benchmarks/runner [quick | docs | pages | goals] [--workloads a,pingpong,...] [--rounds N] [--seconds S] ..."""

import argparse
import os
import signal
import sys
import time

import docs
import goals
import machine
import results as results_of
import tables
from candidates import BY_NAME, CANDIDATES, YARDSTICK
from children import ROOT, Failed, end_all
from suite import chosen
from workloads import Settings

MEASURED = os.path.join(ROOT, ".build", "results")

#: What the quick run compares: one of each kind, so that two rounds fit into the time.
QUICK = {
    "pingpong": ("c-uv", "go-reference", "nio-handler", "zeromq", "parley-c-callback", "parley-c-consume",
                 "parley-loop", "parley-task"),
    "pingpong-cross": ("c-uv", "go-reference", "parley-c-callback", "parley-loop", "parley-task"),
    "oneway": ("c-uv", "go-bufio", "zeromq", "parley-c-callback", "parley-c-consume", "parley-batches",
               "parley-loop", "parley-task"),
    "send": ("c-uv", "zeromq", "parley-c-callback", "parley-loop", "parley-task"),
}
QUICK_SETTINGS = Settings(rounds=2, seconds=0.4, warmup=0.2)


def main():
    options = _options()
    if options.what == "pages":
        return docs.write_pages()
    if options.what in ("docs", "goals"):
        measured = results_of.pool([results_of.load_all(folder) for folder in _words(options.runs) or [MEASURED]])
        if options.what == "goals":
            print(goals.text(measured))
        else:
            print(f"{docs.publish(measured)} workloads written to {os.path.relpath(docs.PUBLISHED)} and the pages")
        return
    machine.enter_namespace(options.congestion)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell that starts something in the background lets it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        quick() if options.what == "quick" else whole(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        end_all()


def _options():
    parser = argparse.ArgumentParser(prog="runner")
    parser.add_argument("what", nargs="?", default="bench", choices=["bench", "quick", "docs", "pages", "goals"])
    parser.add_argument("--workloads", default="", help="names, beginnings of names, or letters; all by default")
    parser.add_argument("--candidates", default="", help="names; all by default")
    parser.add_argument("--runs", default="", help="of docs and goals: folders with the results of whole runs, pooled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each window")
    parser.add_argument(
        "--congestion", default="reno",
        help="congestion control of the run, in a network namespace of its own; `system` leaves this machine's",
    )
    return parser.parse_args()


def _words(text):
    return [word for word in text.replace(",", " ").split() if word]


def _candidates(names):
    """Those that are built; a line for each that is not."""
    found = []
    for name in names:
        if name not in BY_NAME:
            continue
        if BY_NAME[name].is_built:
            found.append(BY_NAME[name])
        elif name not in _skipped:
            _skipped.add(name)
            print(f"skipped: {BY_NAME[name].title} is not built", file=sys.stderr)
    return found


_skipped = set()


def whole(options):
    where = machine.describe()
    print(machine.sentence(where))
    settings = Settings(rounds=max(1, options.rounds), seconds=options.seconds)
    wanted = _words(options.candidates)
    unknown = [name for name in wanted if name not in BY_NAME]
    if unknown:
        sys.exit(f"no such candidate: {', '.join(unknown)}; there are: {', '.join(c.name for c in CANDIDATES)}")
    for workload in chosen(_words(options.workloads)):
        names = [name for name in workload.candidates if not wanted or name in wanted or name == workload.yardstick]
        result = run(workload, _candidates(names), settings, where)
        if not wanted:
            # A part of the candidates is for the eye only: it would stand in the pages as if it were all.
            results_of.save(result, MEASURED)
            docs.draw(result, MEASURED)
        print(tables.text(result) + "\n", flush=True)
    if wanted:
        return
    print(f"JSON and charts: {os.path.relpath(MEASURED)}; `make bench-docs` puts them into the pages")
    print("Goals, from all that is measured there:\n" + goals.text(results_of.load_all(MEASURED)))


def quick():
    began = time.monotonic()
    for workload in chosen(["a", "b"]):
        if workload.name in QUICK:
            result = run(workload, _candidates(QUICK[workload.name]), QUICK_SETTINGS, {}, shows_progress=False)
            for candidate in result["candidates"]:
                ratio = results_of.ratio(result, candidate["name"], result["yardstick"])
                said = f"{ratio['median']:.3f}" if ratio else "failed"
                print(workload.name, candidate["name"], said, flush=True)
    print(f"# ratios to {YARDSTICK}, {time.monotonic() - began:.0f} s", file=sys.stderr)


def run(workload, candidates, settings, where, shows_progress=True):
    load = machine.warn_about_load()
    samples = {candidate: [] for candidate in candidates}
    notes = []
    for number in range(settings.rounds):
        # Another one begins each round, so that none is always the first or always behind the same.
        turn = candidates[number % len(candidates):] + candidates[:number % len(candidates)] if candidates else []
        for candidate in turn:
            if shows_progress:
                _progress(f"{workload.name} {number + 1}/{settings.rounds} {candidate.name}")
            samples[candidate].append(_once(workload, candidate, settings, notes))
    if shows_progress:
        _progress("")
    return results_of.collect(workload, samples, where, settings, load, notes)


def _once(workload, candidate, settings, notes):
    try:
        figures = workload.run(candidate, settings)
    except Failed as error:
        note = f"{candidate.title}: {error}"
        if note not in notes:
            notes.append(note)
        return None
    if "calls_send" in figures and figures["calls_send"] is None:
        note = "system calls are left out: neither perf nor strace may look at a process here"
        if note not in notes:
            notes.append(note)
    return figures


def _progress(line):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{line}")
        sys.stderr.flush()


if __name__ == "__main__":
    main()
