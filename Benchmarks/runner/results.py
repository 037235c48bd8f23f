"""From samples to medians, spreads and ratios, and the JSON that everything else is made from."""

import json
import os
import statistics


def collect(workload, samples, machine, settings, load, notes):
    """`samples`: candidate to the figures of its rounds, None for a round that failed."""
    best = _best_peer(workload, samples)
    return {
        "schema": 1,
        "workload": workload.name,
        "title": workload.title,
        "letter": workload.letter,
        "pinning": workload.pinning,
        "machine": machine,
        "other_load": load,
        "settings": {"rounds": settings.rounds, "seconds": settings.seconds, "warmup": settings.warmup},
        "figures": [
            {"key": f.key, "title": f.title, "unit": f.unit, "more_is_better": f.more} for f in workload.figures
        ],
        "yardstick": workload.yardstick,
        "best_peer": best,
        "notes": notes,
        "candidates": [_candidate(workload, candidate, rounds) for candidate, rounds in samples.items()],
    }


def _best_peer(workload, samples):
    first = workload.figures[0]
    peers = [
        (statistics.median(values), candidate.name)
        for candidate, rounds in samples.items()
        if candidate.kind == "peer" and (values := _known(_values(rounds, first.key)))
    ]
    if not peers:
        return None
    return (max if first.more else min)(peers)[1]


def _values(rounds, key):
    """One for each round, None where it failed."""
    return [figures.get(key) if figures else None for figures in rounds]


def _known(values):
    return [value for value in values if value is not None]


def _candidate(workload, candidate, rounds):
    figures = {figure.key: _figure(_values(rounds, figure.key)) for figure in workload.figures}
    return {
        "name": candidate.name,
        "title": candidate.title,
        "kind": candidate.kind,
        "failed_rounds": sum(1 for figures in rounds if not figures),
        "figures": {key: figure for key, figure in figures.items() if figure},
    }


def _figure(values):
    """The spread of the rounds, and the value of each; None when all failed."""
    known = _known(values)
    return spread(known) | {"min": min(known), "max": max(known), "samples": values} if known else None


def spread(values):
    """The median and the quartiles."""
    quarters = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": statistics.median(values), "q1": quarters[0], "q3": quarters[2]}


def save(result, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, result["workload"] + ".json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


def load_all(folder):
    results = {}
    if os.path.isdir(folder):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".json"):
                with open(os.path.join(folder, name)) as file:
                    result = json.load(file)
                results[result["workload"]] = result
    return results


def pool(runs):
    """Several whole runs as one, with all their samples."""
    return {workload: _pool([run[workload] for run in runs if workload in run]) for run in runs for workload in run}


def _pool(results):
    pooled = dict(results[-1])
    pooled["runs"] = len(results)
    pooled["settings"] = dict(pooled["settings"], rounds=sum(result["settings"]["rounds"] for result in results))
    pooled["other_load"] = max((result["other_load"] for result in results), key=lambda load: load or 0)
    pooled["notes"] = list(dict.fromkeys(note for result in results for note in result["notes"]))
    pooled["candidates"] = [
        _pool_candidate([
            other for result in results for other in result["candidates"] if other["name"] == candidate["name"]
        ])
        for candidate in pooled["candidates"]
    ]
    if len({result["best_peer"] for result in results}) > 1:
        _choose_best_peer(pooled)
    return pooled


def _choose_best_peer(pooled):
    """Where the runs disagree about it: by the medians of all."""
    first = pooled["figures"][0]
    peers = [
        (candidate["figures"][first["key"]]["median"], candidate["name"])
        for candidate in pooled["candidates"]
        if candidate["kind"] == "peer" and first["key"] in candidate["figures"]
    ]
    pooled["best_peer"] = (max if first["more_is_better"] else min)(peers)[1]


def _pool_candidate(runs):
    pooled = dict(runs[-1], failed_rounds=sum(run["failed_rounds"] for run in runs))
    keys = dict.fromkeys(key for run in runs for key in run["figures"])
    pooled["figures"] = {
        key: _figure([value for run in runs if key in run["figures"] for value in run["figures"][key]["samples"]])
        for key in keys
    }
    return pooled


def figure(result, name, key=None):
    """One figure of a candidate, the first when none is named; None when it was not measured."""
    if not result:
        return None
    key = key or result["figures"][0]["key"]
    return next((other["figures"].get(key) for other in result["candidates"] if other["name"] == name), None)


def ratio(result, name, other, key=None):
    """The spread of a candidate's figure in terms of another one's; None when one was not measured.

    It is that of the ratios within each round: what a machine does from minute to minute goes out of them.
    """
    mine, theirs = figure(result, name, key), figure(result, other, key)
    if not mine or not theirs:
        return None
    pairs = list(zip(mine["samples"], theirs["samples"]))
    if len(mine["samples"]) != len(theirs["samples"]):
        # Pooled runs, not all of which have both.
        pairs = [(mine["median"], theirs["median"])]
    ratios = [value / their for value, their in pairs if value is not None and their]
    return spread(ratios) if ratios else None
