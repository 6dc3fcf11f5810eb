"""Memory: how much this machine has, how much a call's processes use, and what to do where that is not enough."""

import re
import signal
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

INTERVAL = 2.0  # seconds between two samples
COUNTERS = Path("/proc/vmstat")
CGROUPS = Path("/sys/fs/cgroup")
# What makes a rule's command smaller
LOWER = {
    "train": "lower training.max_tokens (+training.update_freq=[2] keeps an update's size), choose a smaller model",
    "translate": "lower decoding.max_tokens or decoding.beam",
    "translate_converted": "lower decoding.max_tokens or decoding.beam",
    "tune": "lower decoding.max_tokens or the largest beam of decoding.tune",
}
OTHERWISE = "use a smaller corpus"


class Usage(threading.Thread):
    """Sample the memory of this process' children.

    Attributes:
        peak: the most that they used together, in bytes (PSS: shared pages are counted once).
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.kills = out_of_memory_kills()

    def run(self) -> None:
        """Sample until this process ends."""
        ended = threading.Event()
        while not ended.wait(INTERVAL):
            self.peak = max(self.peak, used())

    def killed(self) -> bool:
        """Return whether the kernel has killed a process for memory since this began."""
        return out_of_memory_kills() > self.kills


@cache
def usage() -> Usage:
    """Return this call's samples, which begin with the first use."""
    samples = Usage()
    samples.start()
    return samples


def used() -> int:
    """Return the bytes that this process' children use now."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def limit() -> int:
    """Return the bytes that this process may use: the machine's memory, or its control group's share if less."""
    total: int = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # no such groups here, or no limit: "max"
        total = min(total, int((CGROUPS / own_group() / "memory.max").read_text(encoding="utf-8")))
    return total


def own_group() -> str:
    """Return the path of this process' control group; empty where there is none of version 2."""
    groups = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    match = re.search(r"^0::/(.*)$", groups, re.MULTILINE)
    return match[1] if match else ""


def out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for memory since it started; 0 where it does not say."""
    with suppress(OSError):
        if match := re.search(r"^oom_kill (\d+)$", COUNTERS.read_text(encoding="utf-8"), re.MULTILINE):
            return int(match[1])
    return 0


def sentence(rule: str, samples: Usage) -> str:
    """Return what happened to a rule's command that was killed, and the way out."""
    why = "out of memory: the kernel killed" if samples.killed() else "something killed (SIGKILL)"
    return f"{why} a command of the rule {rule}. {figures(rule, samples)}"


def figures(rule: str, samples: Usage) -> str:
    """Return how much memory this machine has and this call used, and what makes a rule's command need less."""
    measured = f"This machine has {gigabytes(limit())}"
    measured += f"; this call's commands used {gigabytes(samples.peak)} at most." if samples.peak else "."
    way = f"{smaller(rule)}, run fewer jobs at a time or end other programs; the same command resumes."
    return f"{measured} {way[0].upper()}{way[1:]}"


def smaller(rule: str) -> str:
    """Return what makes a rule's command need less memory, as words within a sentence."""
    return LOWER.get(rule, OTHERWISE)


def ended(status: int) -> str:
    """Return how a command that bleuprint started has ended, as the rest of a sentence.

    Args:
        status: as subprocess gives it, negative for a signal.
    """
    if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return f"was killed (SIGKILL), most likely for memory, of which this machine has {gigabytes(limit())}"
    return f"ended with status {status}"


def gigabytes(size: float) -> str:
    """Return `size` in bytes for people."""
    return f"{size / 1e9:.1f} GB"
