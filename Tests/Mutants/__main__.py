"""Faults that a test must notice.

    python3 Tests/Mutants check                      the list is well-formed
    python3 Tests/Mutants list [--draw N] [--only TEXT]
    python3 Tests/Mutants generated [--sample N]

All faults are compiled into one copy of the tree, each behind a switch that an environment variable turns on.
So there is one build, and then a filtered run of the tests for each fault. A fault that no test notices has
survived: a test is missing.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import resource
import shlex
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import faults as listed  # noqa: E402
import generated as made  # noqa: E402

ROOT = listed.ROOT
BUILD = ROOT / ".build-mutants"
SWIFT = shlex.split(os.environ.get("SWIFT", "swift"))
# The generated faults that did not compile the last time.
DO_NOT_COMPILE = BUILD / "do-not-compile.txt"
# A test that a fault keeps from ending counts as red after this time: so many times what it takes without a
# fault, and so many seconds at least.
PATIENCE, LEAST_SECONDS = 10, 60
# Without a fault, tests have this time.
BASELINE_SECONDS = 600
# A fault may be worth a warning.
os.environ.pop("PARLEY_STRICT", None)
# So much address space has a test: an endless loop must not take the machine's memory.
ADDRESS_BYTES = 16 << 30
# So much of what a test prints last is kept.
KEPT_BYTES = 1 << 16
LEAST = 80

# The tests of the generated faults: those that are asked first, and those that are asked about survivors.
TESTS = {
    "Wire/Gob": ("GOBViolationTests|GOBGoldenTests", "GOBEncodingTests|KeptMemoryTests", "GOB|FuzzReplayTests"),
    "Wire/Mux": (
        "MuxSessionTests|MuxStreamTests|MuxViolationTests|MuxWindowTests|RateLimitTests|UsedStreamIDsTests"
        "|YamuxHeaderTests|DefaultTests",
        "MuxChunkingTests|MuxModelTests|ChannelsTests", "ManyStreamsTests",
    ),
    "Wire/Multiplexed": ("ChannelsTests", "ManyStreamsTests"),
    "Wire/Negotiation": ("NegotiationTests", "ChannelsTests"),
    "Wire/LibP2P": ("IdentificationTests|MultiaddrTests", "IdentifyTests|LibP2PTests"),
    "Wire/": (
        "FramedDecoderTests|DefaultDecoderTests|PeerState|PeerIDTests|ByteQueueTests|WireBufferTests"
        "|MessageRunTests|WireGuessTests|PrintableTextTests|KeptMemoryTests",
        "FuzzReplayTests|FramedStreamTests|StreamTests|MemoryLimitTests|LoopsTests|LengthTests|RequestTests",
    ),
    "Connection/Lifecycle.swift": ("LifecycleTests", "EndTests|LifetimeTests|TransportBehaviourTests"),
    "Connection/SendQueue.swift": ("SendQueueTests", "SendRoomTests|TrySendTests|DirectWriteTests"),
    "Connection/Health.swift": ("HealthTests", "TimeoutTests|SlowPeerTests"),
    "Limits/": (
        "SendBudgetTests|ReceiveBufferTests|AcceptBudgetTests|BansTests|DefaultTests|GateTests|AddressTests"
        "|OptionTests",
        "LimitTests|MemoryLimitTests|UndeliveredTests|LengthTests|IntakeTests|SendRoomTests",
    ),
}


def manifest(tests):
    """What is appended to Package.swift: without the targets that these tests do not need."""
    description = json.loads(subprocess.run(
        [*SWIFT, "package", "dump-package"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout)
    targets = {target["name"]: target for target in description["targets"]}
    suites = {
        (name, suite) for name, target in targets.items() if target["type"] == "test"
        for path in (ROOT / (target.get("path") or f"Tests/{name}")).rglob("*.swift")
        for suite in re.findall(r"\bstruct (\w+Tests)\b", path.read_text())
    }
    wanted, products = set(), []
    for word in {word for test in tests for word in test.split("|")}:
        if word.startswith("c:"):
            wanted.add("ParleyABI")
        else:
            wanted |= {target for target, suite in suites if re.search(word, f"{target}.{suite}")}
    missing = list(wanted)
    while missing:
        for dependency in targets[missing.pop()]["dependencies"]:
            name = (dependency.get("byName") or dependency.get("target") or [None])[0]
            if name in targets and name not in wanted:
                wanted.add(name)
                missing.append(name)
    if "ParleyABI" in wanted:
        products.append('.library(name: "parley-shared", type: .dynamic, targets: ["ParleyABI"])')
    if "ParleyCLI" in wanted:
        products.append('.executable(name: "parley", targets: ["ParleyCLI"])')
    return f"""
package.targets.removeAll {{ !{json.dumps(sorted(wanted))}.contains($0.name) }}
package.products = [{", ".join(products)}]
"""


def copy_tree(name, changed, tests):
    """Copies what these tests need to .build-mutants/NAME. `changed` has the texts that differ, by path. A file
    that is as it was is left alone, so that the next build is incremental.
    """
    tree = BUILD / name
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "Package.swift", "CLibUV",
         "CSodium", "Sources", "Tests", "Examples/TwoNodes", "Benchmarks/Instructions/Sources",
         ":!Tests/Mutants"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")
    modules = {pathlib.Path(path).parts[1] for path in changed}
    changed = dict(changed) | {f"Sources/{module}/Mutant.swift": listed.SWITCH for module in modules}
    changed["Package.swift"] = (ROOT / "Package.swift").read_text() + manifest(tests)
    wanted = {name for name in names if name and (ROOT / name).is_file()} | set(changed)
    for path in wanted:
        place = tree / path
        content = changed[path].encode() if path in changed else (ROOT / path).read_bytes()
        if not place.is_file() or place.read_bytes() != content:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    for place in tree.rglob("*"):
        relative = place.relative_to(tree)
        if place.is_file() and relative.parts[0] != ".build" and str(relative) not in wanted \
                and relative.name != "Package.resolved":
            place.unlink()
    return tree


def build(tree, products=(), targets=()):
    """Builds some targets of the copy, then all with the tests, then some products. Returns what the compiler
    said when that fails."""
    steps = [["--target", target] for target in targets] + [["--build-tests"]]
    for arguments in steps + [["--product", product] for product in products]:
        run = subprocess.run(
            [*SWIFT, "build", "--package-path", str(tree), *arguments], capture_output=True, text=True
        )
        if run.returncode != 0:
            return run.stdout + run.stderr
    return None


def run_test(tree, test, number, seconds=BASELINE_SECONDS):
    """Runs one test with a fault. Returns (whether it failed, its output)."""
    environment = dict(os.environ, PARLEY_MUTANT=str(number), SWIFT_BACKTRACE="enable=no")
    binaries = tree / ".build/debug"
    if test.startswith("c:"):
        command = [str(BUILD / "c" / tree.name / test[2:])]
        environment |= {"LD_LIBRARY_PATH": str(binaries), "PARLEY_TOOL": str(binaries / "parley")}
    else:
        bundle = binaries / "parleyPackageTests.xctest"
        # One test at a time, as in scripts/test.sh: some block on raw sockets, each on one of the few threads
        # that all tasks share.
        command = [str(bundle), "--testing-library", "swift-testing", "--no-parallel", "--filter", test]
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, stdin=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES)),
    )
    timer = threading.Timer(seconds, os.killpg, (process.pid, 9))
    timer.start()
    # A test that a fault keeps from ending may print without end.
    printed = b""
    while more := process.stdout.read1(1 << 16):
        printed = (printed + more)[-KEPT_BYTES:]
    process.wait()
    timer.cancel()
    output = printed.decode(errors="replace")
    has_tests = test.startswith("c:") or re.search(r"Test run with [1-9]\d* test", output)
    if process.returncode == 0 and not has_tests:
        raise listed.Mistake(f"no test matches {test}")
    return process.returncode != 0, output


def c_products(tests):
    return ["parley-shared"] if any(test.startswith("c:") for test in tests) else []


def compile_c(tree, tests):
    """Compiles the C programs that the faults name, with the library of the copy."""
    folder = BUILD / "c" / tree.name
    folder.mkdir(parents=True, exist_ok=True)
    for test in sorted({test[2:] for test in tests if test.startswith("c:")}):
        flags = ["-luv"] if test == "uvloop" else []
        subprocess.run(
            [os.environ.get("CC", "cc"), "-std=c11", "-pthread", "-g",
             "-I", str(tree / "Sources/CParley/include"),
             str(tree / f"Tests/Conformance/{test}.c"), "-o", str(folder / test),
             "-L", str(tree / ".build/debug"), "-lparley-shared", "-Wl,--allow-shlib-undefined", *flags],
            check=True,
        )


def check_baseline(tree, tests):
    """Without a fault every test must pass: otherwise a red one says nothing. Returns how long each has with
    one, in seconds.
    """
    allowed = {}
    for test in sorted(tests):
        began = time.monotonic()
        failed, output = run_test(tree, test, 0)
        if failed:
            print(output[-4000:])
            sys.exit(f"{test} fails without any fault")
        allowed[test] = max(LEAST_SECONDS, PATIENCE * (time.monotonic() - began))
    return allowed


def run_all(tree, numbered, allowed):
    """Runs (number, tests, text) with all their tests, until one is red. `allowed` says how long each test may
    take. Returns the texts of the survivors.
    """
    survivors = []

    def one(item):
        number, tests, text = item
        began = time.monotonic()
        for test in tests:
            if run_test(tree, test, number, allowed[test])[0]:
                return True, time.monotonic() - began, item
        return False, time.monotonic() - began, item

    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for is_red, seconds, (number, tests, text) in pool.map(one, numbered):
            verdict = "red     " if is_red else "SURVIVED"
            print(f"{verdict} {seconds:5.1f} s  {number:4}  {text}", flush=True)
            if not is_red:
                survivors.append((number, text))
    return survivors


# --- The list ---------------------------------------------------------------------------------------------


def check(all_faults, mistakes):
    """Every fragment is found, the list is long enough, and no folder of Sources is without a fault."""
    if mistakes:
        raise listed.Mistake("\n".join(mistakes))
    if len(all_faults) < LEAST:
        raise listed.Mistake(f"the list has {len(all_faults)} faults, fewer than {LEAST}")
    with_faults = {str(pathlib.Path(fault.path).parent) for fault in all_faults}
    folders = {
        str(path.parent.relative_to(ROOT)) for path in (ROOT / "Sources").rglob("*.swift")
    }
    if missing := sorted(folders - with_faults):
        raise listed.Mistake("no fault of the list is in: " + ", ".join(missing))


def run_list(arguments):
    all_faults, mistakes = listed.read()
    chosen = [fault for fault in all_faults if arguments.only in f"{fault} {fault.test}"]
    if not arguments.draw:
        check(all_faults, mistakes)
    else:
        # A few that are lost do not stop a draw; `make mutants` and `check` fail for each.
        for mistake in mistakes:
            print(f"lost: {mistake}")
        if 10 * len(mistakes) > len(all_faults):
            raise listed.Mistake(f"{len(mistakes)} fragments of the list are lost")
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        # A build of their own, or the C library too, takes too long for a draw.
        chosen = [f for f in chosen if f.form != "build" and not f.test.startswith("c:")]
        chosen.sort(key=lambda fault: hashlib.sha256(f"{commit} {fault}".encode()).hexdigest())
        chosen = chosen[:arguments.draw]
        print(f"drawn by commit {commit[:12]}: {len(chosen)} of {len(all_faults)} faults")
    together = [fault for fault in chosen if fault.form != "build"]
    survivors = []
    if together:
        survivors += run_chosen("list", together)
    for fault in chosen:
        if fault.form == "build":
            survivors += run_alone(fault)
    for number, text in survivors:
        print(f"survived: {listed.LIST.relative_to(ROOT)}:{number}: {text}")
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} faults were noticed by the test that they name")
    return 1 if survivors else 0


def texts_with(chosen):
    by_path = {}
    for fault in chosen:
        by_path.setdefault(fault.path, []).append(fault)
    return {path: listed.compiled_in((ROOT / path).read_text(), group) for path, group in by_path.items()}


def run_chosen(name, chosen):
    tests = {fault.test for fault in chosen}
    tree = copy_tree(name, texts_with(chosen), tests)
    if message := build(tree, c_products(tests)):
        errors = [line for line in message.splitlines() if "error:" in line]
        print("\n".join(errors[:20]) or message[-4000:])
        raise listed.Mistake("the copy with all faults does not compile; see `= build` in faults.py")
    compile_c(tree, tests)
    allowed = check_baseline(tree, tests)
    return run_all(tree, [(fault.number, [fault.test], f"{fault}  ({fault.test})") for fault in chosen], allowed)


def run_alone(fault):
    text = (ROOT / fault.path).read_text()
    changed = {fault.path: text[:fault.start] + fault.new + text[fault.end:]}
    tree = copy_tree("alone", changed, {fault.test})
    if message := build(tree, c_products({fault.test})):
        print(message[-2000:])
        raise listed.Mistake(f"{fault.place}: it does not compile, so it is no fault for a test")
    compile_c(tree, [fault.test])
    return run_all(
        tree, [(fault.number, [fault.test], f"{fault}  ({fault.test})")], {fault.test: BASELINE_SECONDS}
    )


# --- The generated faults ---------------------------------------------------------------------------------


def generated_sources():
    parley = ROOT / "Sources/Parley"
    wire_and_limits = sorted([*parley.glob("Wire/**/*.swift"), *parley.glob("Limits/*.swift")])
    values = [parley / f"Connection/{name}.swift" for name in ("Lifecycle", "SendQueue", "Health")]
    return [*wire_and_limits, *values]


def equivalent():
    """The changes that no test can notice, with the reason: `KEY ## REASON`, see `key`."""
    known = {}
    for line in (ROOT / "Tests/Mutants/equivalent.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            place, reason = line.split(" ## ", 1)
            known[" ".join(place.split())] = reason
    return known


def key(path, text, change, variant):
    """Names a generated fault by what is there, so that it keeps its name when lines move."""
    name = str(path.relative_to(ROOT / "Sources/Parley"))
    line = text.split("\n")[change.line - 1]
    column = change.start - (text.rfind("\n", 0, change.start) + 1) - (len(line) - len(line.lstrip()))
    return f"{name}: {' '.join(line.split())} @ {change.kind}{variant or ''} {column}"


def run_generated(arguments):
    files, number = [], 1
    for path in generated_sources():
        text = path.read_text()
        found, number = made.changes(text, number)
        files.append((path, text, found))
    print(f"{number - 1} faults in {len(files)} files")
    # Changes that do not compile are taken out until the rest does. They are remembered, so that the next run
    # builds once.
    remembered = set(DO_NOT_COMPILE.read_text().splitlines()) if DO_NOT_COMPILE.is_file() else set()
    for index, (path, text, found) in enumerate(files):
        kept = [change for change in found if key(path, text, change, 0) not in remembered]
        files[index] = (path, text, kept)
    for _ in range(12):
        changed = {
            str(path.relative_to(ROOT)): made.compiled_in(text, found) for path, text, found in files if found
        }
        tree = copy_tree("generated", changed, {"|".join(tests) for tests in TESTS.values()})
        message = build(tree, targets=["Parley"])
        if message is None:
            break
        lines = set(re.findall(r"/(Sources/Parley/[\w/+]+\.swift):(\d+):\d+: error:", message))
        if not lines:
            print(message[-4000:])
            raise listed.Mistake("the copy with the generated faults does not compile")
        for index, (path, text, found) in enumerate(files):
            name = str(path.relative_to(ROOT))
            wrong = {int(line) for file, line in lines if file == name}
            kept = [change for change in found if change.line not in wrong]
            # Some errors are said at the beginning or at the end of what holds the change.
            reach = 3
            while len(kept) == len(found) and wrong and reach < 100:
                near = {line for place in wrong for line in range(place - reach, place + reach + 1)}
                kept = [change for change in found if change.line not in near]
                reach *= 2
            remembered |= {key(path, text, change, 0) for change in found if change not in kept}
            files[index] = (path, text, kept)
        DO_NOT_COMPILE.write_text("".join(f"{title}\n" for title in sorted(remembered)))
    else:
        raise listed.Mistake("the generated faults do not compile after twelve attempts")
    known = equivalent()
    numbered, left_out = [], 0
    for path, text, found in files:
        name = str(path.relative_to(ROOT / "Sources/Parley"))
        tests = next(tests for place, tests in TESTS.items() if name.startswith(place))
        for change in found:
            for variant in range(change.count):
                title = key(path, text, change, variant)
                if title in known:
                    left_out += 1
                    continue
                numbered.append((change.number + variant, list(tests), title))
    total = len(numbered)
    if arguments.only:
        numbered = [item for item in numbered if arguments.only in item[2]]
    if arguments.sample and arguments.sample < len(numbered):
        numbered.sort(key=lambda item: hashlib.sha256(item[2].encode()).hexdigest())
        numbered = numbered[:arguments.sample]
    print(f"{total} compile; {left_out} more are in Tests/Mutants/equivalent.txt; {len(numbered)} run")
    allowed = check_baseline(tree, {test for _, tests, _ in numbered for test in tests})
    survivors = run_all(tree, numbered, allowed)
    for _, text in survivors:
        print(f"survived: {text}")
    share = 100 * (len(numbered) - len(survivors)) / max(1, len(numbered))
    print(f"{len(numbered) - len(survivors)} of {len(numbered)} generated faults were noticed: {share:.1f} %")
    return 0 if share >= 95 else 1


def main():
    parser = argparse.ArgumentParser(prog="python3 Tests/Mutants")
    parser.add_argument("what", choices=["check", "list", "generated"])
    parser.add_argument("--draw", type=int, default=0, help="so many faults, drawn by the commit")
    parser.add_argument("--sample", type=int, default=0, help="so many of the generated faults")
    parser.add_argument("--only", default="", help="faults whose line contains this text")
    arguments = parser.parse_args()
    if arguments.what == "check":
        all_faults, mistakes = listed.read()
        check(all_faults, mistakes)
        print(f"the list has {len(all_faults)} faults, and every fragment is there once")
        return 0
    return run_list(arguments) if arguments.what == "list" else run_generated(arguments)


try:
    sys.exit(main())
except listed.Mistake as mistake:
    sys.exit(f"mutants: {mistake}")
