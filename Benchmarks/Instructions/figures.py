"""The committed figures: `figures.txt`, and the table of them that the pages show."""

import os

FIGURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures.txt")
YARDSTICK = "C on libuv"

#: What the project wants, at most.
GOALS = {
    "echo: C callback": 1_400,
    "echo: C blocking consume": 4_000,
    "echo: task on the loop": 3_000,
    "echo: ordinary task": 5_000,
    "receive: for await": 120,
    "receive: batches": 50,
    "send: send(message:)": 150,
    "accept, greet, close: Swift": 20_000,
    "dial, greet, close: Swift": 36_000,
}


def load():
    """The setting, and the figure of each row."""
    if not os.path.exists(FIGURES):
        return None, {}
    where, figures = None, {}
    with open(FIGURES) as file:
        for line in file:
            if line.startswith("# on "):
                where = line[len("# on "):].strip()
            elif line.strip() and not line.startswith("#"):
                figure, name = line.split(None, 1)
                figures[name.strip()] = float(figure.replace(",", ""))
    return where, figures


def save(figures, setting):
    with open(FIGURES, "w") as file:
        file.write(
            "# User instructions for each message of 64 bytes, or for each connection.\n"
            "# `make instructions` compares with them; `make instructions-update` writes them.\n"
            f"# on {setting}\n"
        )
        for name, figure in figures.items():
            file.write(f"{number(figure):>9}  {name}\n")


def number(figure):
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"


def markdown():
    where, figures = load()
    lines = [f"| on {where} | instructions | to {YARDSTICK} | wanted | |", "|---|---:|---:|---:|---|"]
    for name, figure in figures.items():
        goal = GOALS.get(name)
        lines.append(
            f"| {name} | {number(figure)} | {figure / figures[name.split(': ')[0] + ': ' + YARDSTICK]:.1f} | "
            + (f"<= {number(goal)} | {'met' if figure <= goal else 'not met'} |" if goal else "| |")
        )
    return "\n".join(lines)
