"""Makes faults out of the source: comparisons, constants and dropped lines.

Three kinds of change, all in one build: a comparison takes or loses its equal case, or is turned around; a
number is one more, a truth is its opposite; a line that is a call or an assignment is left out.
"""
import dataclasses
import re

KEYWORDS = set("return guard if while where else in case let var try await throw".split())
DECLARATION = re.compile(
    r"(public |package |private |fileprivate |static )*"
    r"(protocol|struct|enum|class|extension|func|init|typealias)\b"
)
COMPARISONS = {"<": "less", "<=": "lessOrEqual", ">": "greater", ">=": "greaterOrEqual"}
PAIRS = {"(": ")", "[": "]", "{": "}"}
CLOSERS = {closer: opener for opener, closer in PAIRS.items()}


@dataclasses.dataclass
class Change:
    number: int  # of its first fault
    count: int
    start: int
    end: int
    kind: str
    line: int
    parts: tuple = ()

    def render(self, text, inside):
        """The source with this change behind a switch. `inside` renders a part of the text."""
        old = inside(self.start, self.end)
        if self.kind == "number":
            return f"Mutant.int({self.number}, {text[self.start:self.end]})"
        if self.kind == "truth":
            return f"Mutant.not({self.number}, {text[self.start:self.end]})"
        if self.kind == "equality":
            return f"Mutant.not({self.number}, {old})"
        if self.kind == "line":
            return f"if !Mutant.on({self.number}) {{ {old} }}"
        (left_start, left_end), (right_start, right_end) = self.parts
        left, right = inside(left_start, left_end), inside(right_start, right_end)
        return f"Mutant.{self.kind}({self.number}, {left}, {right})"


def masked(text):
    """The text with comments and string literals as blanks, so that positions stay."""
    pattern = r'//[^\n]*|/\*.*?\*/|"""(?:.|\n)*?"""|"(?:\\\((?:[^()]|\([^()]*\))*\)|\\.|[^"\\\n])*"'
    def blank(match):
        return "".join(character if character == "\n" else "~" for character in match[0])
    return re.sub(pattern, blank, text)


def changes(text, first):
    """The changes of one file; their faults are numbered from `first` on."""
    code = masked(text)
    found = []
    offset = 0
    for line_number, line in enumerate(code.split("\n"), 1):
        stripped = line.strip()
        is_excluded = (
            not stripped or stripped.startswith(("@", "#", "case ", "import ", "~"))
            or DECLARATION.match(stripped)
        )
        if not is_excluded or stripped.startswith("case ") and ": " in stripped:
            lower = line.find(": ") if stripped.startswith("case ") else 0
            found += comparisons(code, line, offset, lower, line_number)
            found += constants(line, offset, lower, line_number)
        if change := dropped(code, line, stripped, offset, line_number):
            found.append(change)
        offset += len(line) + 1
    found.sort(key=lambda change: (change.start, -change.end))
    number = first
    for change in found:
        change.number = number
        number += change.count
    return found, number


def comparisons(code, line, offset, lower, line_number):
    for match in re.finditer(r" (<=|>=|==|!=|<|>) ", line):
        if match.start() < lower:
            continue
        left = left_end(code, offset + match.start(), offset + lower)
        right = right_end(code, offset + match.end(), offset + len(line))
        if left is None or right is None or left >= offset + match.start():
            continue
        operator = match[1]
        if operator in COMPARISONS:
            parts = ((left, offset + match.start()), (offset + match.end(), right))
            yield Change(0, 2, left, right, COMPARISONS[operator], line_number, parts)
        else:
            yield Change(0, 1, left, right, "equality", line_number)


def left_end(code, position, limit):
    """Where the operand before a comparison begins."""
    depth, index = 0, position - 1
    while index >= limit:
        character = code[index]
        if character in CLOSERS:
            depth += 1
        elif character in PAIRS:
            if depth == 0:
                break
            depth -= 1
        elif depth == 0:
            if character in ",;:=" or code[index - 1:index + 1] in ("&&", "||"):
                break
            if character == "?" and code[index - 1] == " ":
                break
            word = re.search(r"(\w+)$", code[limit:index + 1])
            if word and code[index + 1] == " " and word[1] in KEYWORDS:
                break
        index -= 1
    else:
        index = limit - 1
    if depth:
        return None
    start = index + 1
    while start < position and code[start] == " ":
        start += 1
    if code[start:position].startswith("!"):
        return None
    return start


def right_end(code, position, limit):
    """Where the operand after a comparison ends."""
    depth, index = 0, position
    while index < limit:
        character = code[index]
        if character in PAIRS:
            if character == "{" and depth == 0:
                break
            depth += 1
        elif character in CLOSERS:
            if depth == 0:
                break
            depth -= 1
        elif depth == 0:
            if character in ",;:" or code[index:index + 2] in ("&&", "||"):
                break
            if character == "?" and code[index - 1] == " ":
                break
            if code[index:index + 5] == " else":
                break
        index += 1
    if depth:
        return None
    while index > position and code[index - 1] == " ":
        index -= 1
    return index if index > position else None


def constants(line, offset, lower, line_number):
    if re.search(r"\bcase \.|\bif case\b|\bguard case\b", line):
        return
    for match in re.finditer(r"(?<![\w.$])(0x[0-9a-fA-F_]+|\d[\d_]*)(?!\w|\.\d)", line):
        if match.start() >= lower:
            yield Change(0, 1, offset + match.start(), offset + match.end(), "number", line_number)
    for match in re.finditer(r"(?<![\w.])(true|false)\b", line):
        if match.start() >= lower:
            yield Change(0, 1, offset + match.start(), offset + match.end(), "truth", line_number)


STARTS = re.compile(
    r"(let|var|return|guard|if|case|else|func|throw|defer|switch|for|while|repeat|do|init|super|break|continue"
    r"|public|private|package|fileprivate|static|mutating|struct|enum|class|extension|default|import|try\?)\b"
)


def dropped(code, line, stripped, offset, line_number):
    """A line that is a whole call or assignment."""
    if STARTS.match(stripped) or not re.match(r"[A-Za-z_$]", stripped):
        return None
    # A constant has to be set.
    target = re.match(r"(self\.)?(\w+) = ", stripped)
    if target and re.search(rf"\blet {target[2]}\b", code):
        return None
    is_call = re.fullmatch(r"(try )?(await )?[\w.$\[\]!?]+(\(.*\))+", stripped)
    is_assignment = re.fullmatch(r"(self\.)?[\w.$\[\]!?(), ]+ (=|\+=|-=|&\+=|&-=|\|=) [^{]+", stripped)
    if not is_call and not is_assignment:
        return None
    if any(stripped.count(opener) != stripped.count(closer) for opener, closer in PAIRS.items()):
        return None
    if stripped.endswith((",", "&&", "||", "+", "?", ":")):
        return None
    start = offset + line.index(stripped)
    return Change(0, 1, start, start + len(stripped), "line", line_number)


def compiled_in(text, found):
    """The text with all changes behind switches. A change inside another is rendered inside it."""
    def inside(start, end, outer=None):
        pieces, position = [], start
        for change in found:
            is_part = start <= change.start and change.end <= end and change is not outer
            if outer is not None and (change.start, change.end) == (outer.start, outer.end) \
                    and found.index(change) <= found.index(outer):
                is_part = False
            if not is_part or change.start < position:
                continue
            pieces.append(text[position:change.start])
            pieces.append(change.render(text, lambda a, b, change=change: inside(a, b, change)))
            position = change.end
        pieces.append(text[position:end])
        return "".join(pieces)
    return inside(0, len(text))
