"""Where the figures come from: machine, kernel, congestion control, commit, and whatever else was running."""

import datetime
import os
import platform
import subprocess
import time

from children import ROOT


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
    changed = _said_by("git", "status", "--porcelain", "--", "..")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": platform.release(),
        "congestion_control": _first_line("/proc/sys/net/ipv4/tcp_congestion_control"),
        "commit": commit + ("+changes" if changed else ""),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def sentence(machine):
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
        f"congestion control {machine['congestion_control']}, commit {machine['commit']}, {machine['date']}"
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
            + ": the figures will be off"
        )
    return round(used, 3)


def use_congestion_control(name):
    """In a network namespace of our own, so that nothing else on this machine is changed."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open("/proc/sys/net/ipv4/tcp_congestion_control", "w") as file:
        file.write(name)
