"""Reads Tests/Mutants/list.txt: one small fault after another.

    @ Sources/Parley/Limits/SendBudget.swift        the file
    - available - Self.chunkBytes >= leftToOthers   what is replaced; it must be there exactly once
    + available - Self.chunkBytes > leftToOthers    by what; nothing drops it
    ! SendBudgetTests                               the test that must turn red

A fragment may have several lines, each with its `-` or `+`. White space between words does not count. `@`
holds until the next one. The test is a filter of `swift test`, or `c:NAME` for Tests/Conformance/NAME.c. Before
it, `= value` says that a fragment of whole lines is an expression, `= build` that the fault needs a build of
its own. Lines that begin with `#` are comments.
"""
import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = ROOT / "Tests/Mutants/list.txt"


class Mistake(Exception):
    """A line of the list is wrong. The text names it."""


@dataclasses.dataclass
class Fault:
    number: int
    line: int
    path: str
    old: str
    new: str
    test: str
    form: str  # "expression", "statement" or "build"
    start: int = 0
    end: int = 0

    @property
    def place(self):
        return f"{LIST.relative_to(ROOT)}:{self.line}"

    def __str__(self):
        old = " ".join(self.old.split())
        new = " ".join(self.new.split()) or "nothing"
        return f"{self.path.removeprefix('Sources/')}: {old}  ->  {new}"


def read():
    """The faults of the list whose fragments are found once, and what is wrong with the others."""
    faults, mistakes, path, entry = [], [], None, None
    for line_number, line in enumerate(LIST.read_text().splitlines(), 1):
        where = f"{LIST.relative_to(ROOT)}:{line_number}"
        if not line.strip() or line.startswith("#"):
            continue
        mark, rest = line[0], line[2:]
        if mark == "@":
            path = rest.strip()
        elif mark == "-":
            if entry is None or entry["new"] is not None:
                entry = {"line": line_number, "old": [], "new": None, "form": None}
            entry["old"].append(rest)
        elif entry is None or mark not in "+=!":
            raise Mistake(f"{where}: expected @, -, +, = or !, and a fault begins with -")
        elif mark == "+":
            entry["new"] = (entry["new"] or []) + [rest]
        elif mark == "=":
            entry["form"] = {"value": "expression", "build": "build"}.get(rest.strip())
        else:
            if entry["new"] is None:
                raise Mistake(f"{where}: the fault has no +; an empty one drops the fragment")
            fault = Fault(
                entry["line"], entry["line"], path, "\n".join(entry["old"]), "\n".join(entry["new"]),
                rest.strip(), entry["form"] or "",
            )
            entry = None
            try:
                find(fault)
            except Mistake as mistake:
                mistakes.append(str(mistake))
                continue
            faults.append(fault)
    if entry is not None:
        raise Mistake(f"{LIST.relative_to(ROOT)}: the last fault has no ! line")
    check_overlaps(faults)
    return faults, mistakes


def find(fault):
    """Sets the place of a fault's fragment. It must be there exactly once."""
    if not (ROOT / fault.path).is_file():
        raise Mistake(f"{fault.place}: there is no file {fault.path} any more")
    text = (ROOT / fault.path).read_text()
    pattern = r"\s+".join(re.escape(word) for word in fault.old.split())
    places = [match.span() for match in re.finditer(pattern, text)]
    if len(places) != 1:
        how_often = "is not found any more" if not places else f"is found {len(places)} times, not once"
        raise Mistake(f"{fault.place}: this fragment {how_often} in {fault.path}:\n    {fault.old.strip()}")
    fault.start, fault.end = places[0]
    if fault.form:
        return
    before = text[text.rfind("\n", 0, fault.start) + 1:fault.start]
    after = text[fault.end:text.find("\n", fault.end)]
    fault.form = "statement" if not before.strip() and not after.strip() else "expression"


def check_overlaps(faults):
    """Fragments of one file may be equal or apart: all are compiled in at once."""
    by_path = {}
    for fault in faults:
        if fault.form != "build":
            by_path.setdefault(fault.path, []).append(fault)
    for group in by_path.values():
        group.sort(key=lambda fault: (fault.start, fault.end))
        for one, next_one in zip(group, group[1:]):
            if (one.start, one.end) != (next_one.start, next_one.end) and one.end > next_one.start:
                raise Mistake(f"{next_one.place}: its fragment overlaps with that of {one.place}")


def compiled_in(text, faults):
    """The text of a file with all of its faults behind switches."""
    groups = {}
    for fault in faults:
        groups.setdefault((fault.start, fault.end), []).append(fault)
    for (start, end), group in sorted(groups.items(), reverse=True):
        old = text[start:end]
        for fault in group:
            old = switched(fault, old)
        text = text[:start] + old + text[end:]
    return text


def switched(fault, old):
    if fault.form == "expression":
        return f"(Mutant.on({fault.number}) ? ({fault.new}) : ({old}))"
    if not fault.new.strip():
        return f"if !Mutant.on({fault.number}) {{ {old} }}"
    return f"if Mutant.on({fault.number}) {{ {fault.new} }} else {{ {old} }}"


SWITCH = """// Which fault is on: the environment says so, once.
#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@usableFromInline
enum Mutant {
    @usableFromInline
    static let active: Int = {
        guard let text = getenv("PARLEY_MUTANT") else { return 0 }
        return Int(String(cString: text)) ?? 0
    }()

    @usableFromInline
    static func on(_ number: Int) -> Bool { active == number }

    @usableFromInline
    static func int<T: Numeric>(_ number: Int, _ value: T) -> T { on(number) ? value + 1 : value }

    @usableFromInline
    static func not(_ number: Int, _ value: Bool) -> Bool { on(number) ? !value : value }

    @usableFromInline
    static func less<T: Comparable>(_ number: Int, _ one: T, _ other: T) -> Bool {
        on(number) ? one <= other : on(number + 1) ? one >= other : one < other
    }

    @usableFromInline
    static func lessOrEqual<T: Comparable>(_ number: Int, _ one: T, _ other: T) -> Bool {
        on(number) ? one < other : on(number + 1) ? one > other : one <= other
    }

    @usableFromInline
    static func greater<T: Comparable>(_ number: Int, _ one: T, _ other: T) -> Bool {
        on(number) ? one >= other : on(number + 1) ? one <= other : one > other
    }

    @usableFromInline
    static func greaterOrEqual<T: Comparable>(_ number: Int, _ one: T, _ other: T) -> Bool {
        on(number) ? one > other : on(number + 1) ? one < other : one >= other
    }
}
"""
