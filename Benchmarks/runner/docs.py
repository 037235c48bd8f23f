"""Puts what was measured into the pages that show it, between markers; no figure is typed.

    <!-- bench:table pingpong -->  a table        <!-- bench:goals -->    goals and whether they are met
    <!-- bench:chart pingpong -->  its chart      <!-- bench:behind -->   those that are not
    <!-- bench:machine -->  where the figures come from     <!-- bench:instructions -->  those of a message
    ...
    <!-- bench:end -->
"""

import os
import re
import sys
import textwrap

import chart
import goals
import machine
import results as results_of
import tables
from children import ROOT

sys.path.append(os.path.join(ROOT, "Instructions"))
import figures  # noqa: E402, of `make instructions`

PUBLISHED = os.path.join(ROOT, "Results")
PAGES = [os.path.join(ROOT, "README.md"), os.path.join(os.path.dirname(ROOT), "README.md")]
_BLOCK = re.compile(r"(<!-- bench:(table|chart|goals|behind|machine|instructions)(?: ([\w-]+))? -->\n).*?(<!-- bench:end -->)", re.S)


def publish(measured):
    """Copies results into the repository, draws their charts, and writes the pages anew."""
    for result in measured.values():
        results_of.save(result, PUBLISHED)
        draw(result, PUBLISHED)
    write_pages()
    return len(measured)


def draw(result, folder):
    with open(os.path.join(folder, result["workload"] + ".svg"), "w") as file:
        file.write(chart.svg(result))


def write_pages():
    published = results_of.load_all(PUBLISHED)
    for page in PAGES:
        with open(page) as file:
            before = file.read()
        after = _BLOCK.sub(lambda match: _block(match, published, page), before)
        if after != before:
            with open(page, "w") as file:
                file.write(after)


def _block(match, published, page):
    kind, name = match[2], match[3]
    if kind == "goals":
        content = goals.markdown(published)
    elif kind == "behind":
        content = goals.markdown(published, only=("not met",))
    elif kind == "machine":
        content = _machines(published)
    elif kind == "instructions":
        content = figures.markdown()
    elif name not in published:
        content = f"{name} has not been measured yet: `make bench W={name}`, then `make bench-docs`."
    elif kind == "table":
        content = tables.markdown(published[name])
    else:
        path = os.path.relpath(os.path.join(PUBLISHED, name + ".svg"), os.path.dirname(page))
        content = f"![{published[name]['title']}]({path})"
    content = content or "Not measured yet: `make bench`, then `make bench-docs`."
    return match[1] + content + "\n" + match[4]


def _machines(published):
    """Where each workload was measured: one line, unless they come from several runs."""
    runs = {}
    for result in published.values():
        runs.setdefault(machine.sentence(result["machine"], when=False), []).append(result)
    return "\n".join(
        textwrap.fill(
            f"- {where}, {results[0]['machine']['date'][:10]}"
            + (": " + ", ".join(result["workload"] for result in results) if len(runs) > 1 else ""),
            110, subsequent_indent="  ", break_on_hyphens=False,
        )
        for where, results in runs.items()
    )
