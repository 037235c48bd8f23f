"""A result as a table: for the terminal, and for Markdown."""

import results as results_of


def number(value, unit):
    """Three digits that matter, with a word for the magnitude where it is large."""
    if value is None:
        return "-"
    if unit == "x":
        return f"{value:.2f}" if value < 10 else _three_digits(value)
    for limit, divisor, suffix in ((1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            return _three_digits(value / divisor) + suffix
    return _three_digits(value)


def _three_digits(value):
    if value == 0:
        return "0"
    magnitude = abs(value)
    places = 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 1 else 3
    return f"{value:.{places}f}"


def ratio(result, name, other):
    """The median of a ratio and its quartiles."""
    spread = results_of.ratio(result, name, other)
    if not spread:
        return "-"
    median = number(spread["median"], "x")
    return median if name == other else f"{median} ({number(spread['q1'], 'x')} - {number(spread['q3'], 'x')})"


def heading(figure):
    unit = figure["unit"]
    return figure["title"] + (f", {unit}" if unit not in ("", "x", "/s", "GB/s") else "")


def yardstick(result):
    """The title of whom ratios are to."""
    titles = {candidate["name"]: candidate["title"] for candidate in result["candidates"]}
    return titles.get(result["yardstick"], result["yardstick"])


def rounds(result):
    count, runs = result["settings"]["rounds"], result.get("runs", 1)
    return ("one round" if count == 1 else f"medians of {count} rounds") + (f" in {runs} runs" if runs > 1 else "")


def rows(result):
    """The head, and a row for each candidate."""
    figures = result["figures"]
    first = figures[0]
    head = ["", heading(first), "min - max", f"to {yardstick(result)}", "to the best peer"]
    head += [heading(figure) for figure in figures[1:]]
    body = []
    for candidate in result["candidates"]:
        values = candidate["figures"]
        main = values.get(first["key"])
        row = [candidate["title"]]
        if main:
            row += [
                number(main["median"], first["unit"]),
                f"{number(main['min'], first['unit'])} - {number(main['max'], first['unit'])}",
                ratio(result, candidate["name"], result["yardstick"]),
                ratio(result, candidate["name"], result["best_peer"]),
            ]
        else:
            row += ["failed" if candidate["failed_rounds"] else "-", "-", "-", "-"]
        for figure in figures[1:]:
            value = values.get(figure["key"])
            row.append(number(value["median"], figure["unit"]) if value else "-")
        body.append(row)
    return head, body


def text(result):
    head, body = rows(result)
    widths = [max(len(row[i]) for row in [head] + body) for i in range(len(head))]
    lines = [f"{result['title']} ({result['pinning']}; {rounds(result)})"]
    for row in [head] + body:
        lines.append(
            "  " + row[0].ljust(widths[0]) + "".join("  " + cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))
        )
    return "\n".join(lines + [f"  note: {note}" for note in result["notes"]])


def markdown(result):
    head, body = rows(result)
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for candidate, row in zip(result["candidates"], body):
        if candidate["kind"] == "parley":
            row = [f"**{row[0]}**"] + row[1:]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)
