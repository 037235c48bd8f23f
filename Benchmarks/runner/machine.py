"""Where the figures come from: machine, kernel, congestion control, commit, and whatever else was running."""

import datetime
import os
import platform
import subprocess
import sys
import time

from children import ROOT

_CONGESTION = "/proc/sys/net/ipv4/tcp_congestion_control"
# Set for the runner that has started itself again in the namespace.
_INSIDE = "PARLEY_BENCH_CONGESTION"


def _first_line(path):
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return "unknown"


def _said_by(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.machine()


def describe():
    commit = _said_by("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    changed = _said_by(
        "git", "status", "--porcelain", "--", "../Sources", "../CLibUV", "../Package.swift", "Sources", "c", "go",
        "runner", "Makefile", "Package.swift",
    )
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": platform.release(),
        "congestion_control": _first_line(_CONGESTION),
        "commit": commit + ("+changes" if changed else ""),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def sentence(machine, when=True):
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"congestion control {machine['congestion_control']}, commit {machine['commit']}"
        + (f", {machine['date']}" if when else "")
    )


def _jiffies():
    values = [int(value) for value in _first_line("/proc/stat").split()[1:9]]
    return sum(values), values[3] + values[4], values[7]


def other_load(seconds=0.4):
    """The part of all cores' time that somebody else uses now, and the part that the host takes away."""
    total, idle, stolen = _jiffies()
    time.sleep(seconds)
    total_after, idle_after, stolen_after = _jiffies()
    passed = max(1, total_after - total)
    return 1 - (idle_after - idle) / passed, (stolen_after - stolen) / passed


def warn_about_load():
    """Nothing of ours runs now, so whatever is used is used by others."""
    used, stolen = other_load()
    if used > 0.05 or stolen > 0.02:
        print(
            f"warning: {used:.0%} of the cores are busy with something else"
            + (f", {stolen:.0%} are taken by the host" if stolen > 0.02 else "")
            + ": the figures will be off",
            file=sys.stderr,
        )
    return round(used, 3)


def enter_namespace(congestion):
    """Goes on in a network namespace that ends with this program, with a congestion control that does not pace.

    bbr, for one, paces loopback by what it believes the bandwidth to be, and halves one run and not the next. Nothing
    of this machine is changed. `system` stays outside.
    """
    if congestion == "system":
        return
    if os.environ.get(_INSIDE) == congestion:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with open(_CONGESTION, "w") as file:
            file.write(congestion)
        return
    unshare = ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    try:
        possible = subprocess.run(unshare + ["ip", "link"], capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        possible = False
    if possible:
        os.environ[_INSIDE] = congestion
        os.execvp("unshare", unshare + [sys.executable, *sys.argv])
    print(f"warning: no network namespace can be made here: measured with {_first_line(_CONGESTION)} as it is", file=sys.stderr)
