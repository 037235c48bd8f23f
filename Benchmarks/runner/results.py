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
        "candidates": [
            _candidate(workload, candidate, rounds, samples, best) for candidate, rounds in samples.items()
        ],
    }


def _values(rounds, key):
    return [figures[key] for figures in rounds if figures and figures.get(key) is not None]


def _best_peer(workload, samples):
    first = workload.figures[0]
    peers = [
        (statistics.median(values), candidate.name)
        for candidate, rounds in samples.items()
        if candidate.kind == "peer" and (values := _values(rounds, first.key))
    ]
    if not peers:
        return None
    return (max if first.more else min)(peers)[1]


def _candidate(workload, candidate, rounds, samples, best):
    by_name = {other.name: rounds for other, rounds in samples.items()}
    figures = {}
    for figure in workload.figures:
        values = _values(rounds, figure.key)
        if not values:
            continue
        figures[figure.key] = _spread(values) | {
            "to_yardstick": ratio(rounds, by_name.get(workload.yardstick), figure.key),
            "to_best_peer": ratio(rounds, by_name.get(best), figure.key),
        }
    return {
        "name": candidate.name,
        "title": candidate.title,
        "kind": candidate.kind,
        "failed_rounds": sum(1 for figures in rounds if not figures),
        "figures": figures,
    }


def _spread(values):
    quarters = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "q1": quarters[0],
        "q3": quarters[2],
        "samples": values,
    }


def ratio(rounds, others, key):
    """The median of the ratios of each round: what a machine does from minute to minute goes out of it."""
    if not others:
        return None
    ratios = [
        mine[key] / theirs[key]
        for mine, theirs in zip(rounds, others)
        if mine and theirs and mine.get(key) is not None and theirs.get(key)
    ]
    return statistics.median(ratios) if ratios else None


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
    """Several whole runs as one: all their samples, and of each ratio the median of the runs."""
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
    """Where the runs disagree about it: by the medians of all, and so are the ratios to it."""
    first = pooled["figures"][0]
    peers = [
        (candidate["figures"][first["key"]]["median"], candidate["name"])
        for candidate in pooled["candidates"]
        if candidate["kind"] == "peer" and first["key"] in candidate["figures"]
    ]
    pooled["best_peer"] = (max if first["more_is_better"] else min)(peers)[1]
    for candidate in pooled["candidates"]:
        for key, figure in candidate["figures"].items():
            best = median(pooled, pooled["best_peer"], key)
            figure["to_best_peer"] = figure["median"] / best if best else None


def _pool_candidate(runs):
    pooled = dict(runs[-1], failed_rounds=sum(run["failed_rounds"] for run in runs))
    keys = dict.fromkeys(key for run in runs for key in run["figures"])
    pooled["figures"] = {
        key: _pool_figure([run["figures"][key] for run in runs if key in run["figures"]]) for key in keys
    }
    return pooled


def _pool_figure(runs):
    pooled = _spread([value for run in runs for value in run["samples"]])
    for ratio in ("to_yardstick", "to_best_peer"):
        known = [run[ratio] for run in runs if run[ratio] is not None]
        pooled[ratio] = statistics.median(known) if known else None
    return pooled


def median(result, name, key=None):
    """The median of one figure, the first when none is named; None when it was not measured."""
    if not result:
        return None
    key = key or result["figures"][0]["key"]
    for candidate in result["candidates"]:
        if candidate["name"] == name and key in candidate["figures"]:
            return candidate["figures"][key]["median"]
    return None
