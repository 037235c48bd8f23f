"""One SVG for each workload, with nothing but the standard library."""

import math
from xml.sax.saxutils import escape

import results as results_of
from tables import heading, number, rounds, yardstick

COLOURS = {"parley": "#d9480f", "c": "#495057", "peer": "#74a9cf"}
KINDS = (("parley", "Parley"), ("c", "C, the yardsticks"), ("peer", "what else there is"))
WIDTH, LEFT, RIGHT, TOP, ROW = 860, 230, 150, 76, 26
FONT = "font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\""


def svg(result):
    keys = [figure["key"] for figure in result["figures"]]
    steps = [key for key in keys if key.startswith("with")]
    return _lines(result, steps) if steps else _bars(result)


# --- Bars --------------------------------------------------------------------------------------------------------


def _bars(result):
    figure = result["figures"][0]
    bars = [
        (candidate, candidate["figures"][figure["key"]])
        for candidate in result["candidates"]
        if figure["key"] in candidate["figures"]
    ]
    bars.sort(key=lambda bar: bar[1]["median"], reverse=figure["more_is_better"])
    height = TOP + ROW * max(1, len(bars)) + 52
    better = "more" if figure["more_is_better"] else "less"
    body = _head(result, f"{heading(figure)}, {better} is better (in brackets: to {yardstick(result)})")
    if not bars:
        return _page(height, body)
    scale, ticks, note = _scale([bar["max"] for _, bar in bars], [bar["median"] for _, bar in bars])
    bottom = TOP + ROW * len(bars) + 4
    for tick in ticks:
        x = LEFT + scale(tick)
        body.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" stroke="#e9ecef"/>')
        body.append(_text(x, bottom + 16, number(tick, figure["unit"]), "middle", 11, "#868e96"))
    if note:
        body.append(_text(LEFT, bottom + 34, note, "start", 11, "#868e96"))
    for index, (candidate, bar) in enumerate(bars):
        y = TOP + ROW * index
        end = LEFT + scale(bar["median"])
        colour = COLOURS[candidate["kind"]]
        weight = "600" if candidate["kind"] == "parley" else "400"
        body.append(_text(LEFT - 10, y + 15, candidate["title"], "end", 13, "#212529", weight))
        body.append(
            f'<rect x="{LEFT}" y="{y + 2}" width="{max(1, end - LEFT):.1f}" height="{ROW - 9}" rx="2" fill="{colour}"/>'
        )
        low, high = LEFT + scale(bar["min"]), LEFT + scale(bar["max"])
        middle = y + 2 + (ROW - 9) / 2
        body.append(
            f'<path d="M{low:.1f} {middle - 4}v8M{low:.1f} {middle}H{high:.1f}M{high:.1f} {middle - 4}v8" '
            'stroke="#212529" stroke-width="1.2" fill="none" opacity="0.65"/>'
        )
        label = number(bar["median"], figure["unit"])
        ratio = results_of.ratio(result, candidate["name"], result["yardstick"])
        if ratio and candidate["name"] != result["yardstick"]:
            label += f"  ({number(ratio['median'], 'x')} x)"
        body.append(_text(max(end, high) + 8, y + 15, label, "start", 12, "#495057"))
    return _page(height, body)


def _scale(highs, values):
    """From a value to a length; logarithmic where a linear one would hide the small ones."""
    room = WIDTH - LEFT - RIGHT
    most = max(highs + [1e-12])
    least = min([value for value in values if value > 0] or [most])
    if most / least > 60:
        low = 10 ** math.floor(math.log10(least) - 0.3)
        span = math.log10(most / low)
        ticks = [low * 10**n for n in range(int(span) + 1)]
        return (
            lambda value: room * max(0.0, math.log10(max(value, low) / low)) / span,
            ticks,
            "logarithmic: a step is ten times as much",
        )
    step = 10 ** math.floor(math.log10(most))
    step = next(step * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if most / (step * part) <= 6)
    ticks = [step * n for n in range(int(most / step) + 1)]
    return (lambda value: room * value / most), ticks, ""


# --- Lines, for what is measured at several sizes ------------------------------------------------------------------


def _lines(result, keys):
    titles = {figure["key"]: figure["title"] for figure in result["figures"]}
    lines = []
    for candidate in result["candidates"]:
        values = [candidate["figures"][key]["median"] for key in keys if key in candidate["figures"]]
        if len(values) == len(keys):
            lines.append((candidate, values))
    height, right, left = 470, 250, 80
    plot_top, plot_bottom, plot_right = TOP, height - 56, WIDTH - right
    body = _head(result, "messages/s, more is better, by how many other peers are connected and idle")
    if not lines:
        return _page(height, body)
    low = 10 ** (math.log10(min(min(values) for _, values in lines)) - 0.08)
    high = 10 ** (math.log10(max(max(values) for _, values in lines)) + 0.08)
    x = [left + n * (plot_right - left) / (len(keys) - 1) for n in range(len(keys))]

    def y(value):
        return plot_bottom - (plot_bottom - plot_top) * math.log10(value / low) / math.log10(high / low)

    for tick in (part * 10**power for power in range(0, 10) for part in (1, 2, 5)):
        if low <= tick <= high:
            body.append(
                f'<line x1="{left}" y1="{y(tick):.1f}" x2="{plot_right}" y2="{y(tick):.1f}" stroke="#e9ecef"/>'
            )
            body.append(_text(left - 8, y(tick) + 4, number(tick, ""), "end", 11, "#868e96"))
    for key, place in zip(keys, x):
        body.append(_text(place, plot_bottom + 20, titles[key], "middle", 12, "#495057"))
    body.append(_text(left, height - 12, "logarithmic", "start", 11, "#868e96"))
    dashes = ["", "6 3", "2 3", "8 3 2 3", "1 2", "10 4"]
    counts, labels = {}, []
    for candidate, values in lines:
        colour = COLOURS[candidate["kind"]]
        dash = dashes[counts.get(candidate["kind"], 0) % len(dashes)]
        counts[candidate["kind"]] = counts.get(candidate["kind"], 0) + 1
        points = " ".join(f"{place:.1f},{y(value):.1f}" for place, value in zip(x, values))
        body.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        body += [f'<circle cx="{place:.1f}" cy="{y(value):.1f}" r="2.6" fill="{colour}"/>'
                 for place, value in zip(x, values)]
        labels.append([y(values[-1]), candidate["title"], colour, y(values[-1])])
    labels.sort()
    for above, label in zip(labels, labels[1:]):
        label[0] = max(label[0], above[0] + 15)
    # What went below the plot is pushed up again.
    overflow = max(0, labels[-1][0] - plot_bottom - 10)
    for label in labels:
        place = label[0] - overflow
        body.append(
            f'<path d="M{plot_right + 4} {label[3]:.1f}L{plot_right + 20} {place:.1f}" stroke="{label[2]}" '
            'stroke-width="0.8" fill="none"/>'
        )
        body.append(_text(plot_right + 24, place + 4, label[1], "start", 12, label[2]))
    return _page(height, body)


# --- The page ----------------------------------------------------------------------------------------------------


def _head(result, subtitle):
    machine = result["machine"]
    body = [
        _text(20, 28, result["title"], "start", 18, "#212529", "600"),
        _text(20, 48, f"{subtitle}; {result['pinning']}; {rounds(result)}",
              "start", 12, "#495057"),
        _text(WIDTH - 16, 28, f"{machine['commit']}, {machine['congestion_control']}", "end", 11, "#868e96"),
    ]
    place = WIDTH - 16
    for kind, name in reversed(KINDS):
        place -= 7 * len(name)
        body.append(_text(place, 66, name, "start", 11, "#495057"))
        body.append(f'<rect x="{place - 15}" y="57" width="10" height="10" rx="2" fill="{COLOURS[kind]}"/>')
        place -= 30
    return body


def _text(x, y, what, anchor, size, colour, weight="400"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{colour}" {FONT}>{escape(what)}</text>'
    )


def _page(height, body):
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>",
            "",
        ]
    )
