#!/usr/bin/env python3
"""Compiles the code on the pages: every block marked swift or c in the Markdown pages and in documentation
comments, and the indented example at the top of parley.h.

A block whose page names its source (`<!-- Examples/c/hello.c -->`) is a whole program: check-examples.sh
compares it, and the build compiles it. A block under `<!-- fragment of Package.swift -->` is no code of a
program. Every other block becomes a function beside Tests/Snippets/Prelude.swift or prelude.h. Errors name
the page and the line.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build-docs" / "snippets"


def blocks(path, lines):
    """Yields (language, number of the first line, code) of each block that is to be compiled."""
    language, start, code, mark = None, 0, [], ""
    for number, line in enumerate(lines, 1):
        if language is None:
            if match := re.fullmatch(r"\s*```(\w*)\s*", line):
                language, start, code = match[1] or "text", number + 1, []
            elif line.strip():
                mark = line.strip()
        elif line.strip() == "```":
            is_marked = re.fullmatch(r"<!-- (fragment of )?[A-Za-z./]+ ?.*-->", mark)
            if language in ("swift", "c") and not is_marked:
                yield language, start, code
            language, mark = None, ""
        else:
            code.append(line)
    if language is not None:
        sys.exit(f"{path}:{start}: this block has no end")


def pages():
    """Yields (path, lines) of every page, and of the documentation comments of every Swift file."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", "Sources/*.swift"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()
    for name in sorted(tracked):
        lines = (ROOT / name).read_text().splitlines()
        if name.endswith(".swift"):
            # A line that is no comment ends no block: it is left empty, so that the numbers stay.
            lines = [re.sub(r"^\s*/// ?", "", line) if re.match(r"^\s*///", line) else "" for line in lines]
        yield name, lines
    header = "Sources/CParley/include/parley.h"
    lines = (ROOT / header).read_text().splitlines()
    yield header, [re.sub(r"^ \* ?", "", line) if line.startswith(" *     ") else "" for line in lines]


def swift(name, start, code):
    """The source of one block: a function, or the declarations themselves where Swift wants them outside."""
    imports = [line.strip() for line in code if line.strip().startswith("import ")]
    code = ["" if line.strip().startswith("import ") else line for line in code]
    identifier = re.sub(r"\W", "_", f"{name}_{start}")
    body = "\n".join([f'#sourceLocation(file: "{name}", line: {start})', *code, "#sourceLocation()"])
    if any(re.match(r"(public )?(extension|protocol) ", line) for line in code):
        return imports, body
    return imports, f"func {identifier}() async throws {{\n    do {{\n{body}\n    }}\n}}"


def c(name, start, code):
    identifier = re.sub(r"\W", "_", f"{name}_{start}")
    body = "\n".join([f'#line {start} "{name}"', *code])
    if any(line.startswith("#include") for line in code):
        return body
    return f"void {identifier}(void);\nvoid {identifier}(void) {{\n{body}\n}}"


def main():
    binaries, target = sys.argv[1], sys.argv[2]
    BUILD.mkdir(parents=True, exist_ok=True)
    modules = {"Parley", "ParleyMetrics", "ParleyService"} | {
        path.name for path in (ROOT / "Sources").iterdir()
        if path.name.startswith("Parley") and path.name not in ("ParleyABI", "ParleyCLI")
    }
    imports = {f"import {module}" for module in modules} | {"import ServiceLifecycle", "import Logging"}
    of_swift, of_c = [], []
    for name, lines in pages():
        if name.endswith(".h"):
            code = [line[4:] for line in lines if line]
            start = next(number for number, line in enumerate(lines, 1) if line)
            # The example of the header, up to the first line that is less indented.
            example = []
            for line in lines[start - 1:]:
                if not line:
                    break
                example.append(line[4:])
            of_c.append(c(name, start, example))
            continue
        for language, start, code in blocks(name, lines):
            if language == "c":
                of_c.append(c(name, start, code))
            else:
                more, text = swift(name, start, code)
                imports.update(more)
                of_swift.append(text)
    (BUILD / "Snippets.swift").write_text("\n".join(sorted(imports)) + "\n\n" + "\n\n".join(of_swift) + "\n")
    (BUILD / "snippets.c").write_text('#include "prelude.h"\n\n' + "\n\n".join(of_c) + "\n")

    includes = ["-I", f"{binaries}/Modules", "-I", "CLibUV"]
    for folder in ("CSodium",):
        if (ROOT / folder).is_dir():
            includes += ["-I", folder]
    includes += subprocess.run(
        ["pkg-config", "--cflags-only-I", "libuv"], capture_output=True, text=True, check=True
    ).stdout.split()
    environment = dict(os.environ)
    swiftc = environment.get("SWIFTC", "swiftc")
    subprocess.run(
        [swiftc, "-c", "-parse-as-library", "-wmo", "-Onone", "-swift-version", "6", "-suppress-warnings",
         "-module-name", "Snippets", "-target", target, *includes,
         str(BUILD / "Snippets.swift"), "Tests/Snippets/Prelude.swift", "-o", str(BUILD / "Snippets.o")],
        cwd=ROOT, check=True,
    )
    subprocess.run(
        [environment.get("CC", "cc"), "-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
         "-Wno-unused-variable", "-Wno-unused-result", "-I", "Sources/CParley/include", "-I",
         "Tests/Snippets", str(BUILD / "snippets.c")],
        cwd=ROOT, check=True,
    )
    print(f"the code on the pages compiles: {len(of_swift)} pieces of Swift, {len(of_c)} of C")


try:
    main()
except subprocess.CalledProcessError as error:
    sys.exit(error.returncode)
