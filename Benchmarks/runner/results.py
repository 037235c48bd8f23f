"""From samples to medians, spreads and ratios, and the JSON that everything else is made from."""

import json
import os
import statistics

from candidates import YARDSTICK


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
        "yardstick": YARDSTICK,
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
        quarters = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        figures[figure.key] = {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
            "q1": quarters[0],
            "q3": quarters[2],
            "samples": values,
            "to_yardstick": ratio(rounds, by_name.get(YARDSTICK), figure.key),
            "to_best_peer": ratio(rounds, by_name.get(best), figure.key),
        }
    return {
        "name": candidate.name,
        "title": candidate.title,
        "kind": candidate.kind,
        "failed_rounds": sum(1 for figures in rounds if not figures),
        "figures": figures,
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


def median(result, name, key=None):
    """The median of one figure, the first when none is named; None when it was not measured."""
    if not result:
        return None
    key = key or result["figures"][0]["key"]
    for candidate in result["candidates"]:
        if candidate["name"] == name and key in candidate["figures"]:
            return candidate["figures"][key]["median"]
    return None
