"""What a stage runs on and with: machine, system, Python, packages that make results, and bleuprint's own commit."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bleuprint import __version__

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = (
    "ve-fairseq",
    "ctranslate2",
    "torch",
    "numpy",
    "sacrebleu",
    "sacremoses",
    "subword-nmt",
    "regex",  # Unicode's tables, by which sacremoses and sacrebleu tokenise
    "num2words",  # the demo corpus' words
    "snakemake",
    "hydra-core",
    "omegaconf",
    "pydantic",
)
CPU = Path("/proc/cpuinfo")
NVIDIA = Path("/proc/driver/nvidia")
PATIENCE = 10  # seconds for git or nvidia-smi, which may hang on a sick file system or GPU


def facts() -> dict[str, Any]:
    """Return the facts of this process; None or empty where something is unknown, never an error.

    Returns:
        `processor`, `cores` (usable ones), `threads` (OMP_NUM_THREADS), `spin_count` (GOMP_SPINCOUNT: how long a thread
        waits before it gives its core to other work), `gpus` (names of all that the machine has),
        `driver` (NVIDIA's), `distribution`, `system`, `python`, `commit` of bleuprint's checkout, `dirty` (whether its
        tracked files differ from that commit) and `packages` (name → version).
    """
    gpus, driver = nvidia()
    commit, dirty = revision(ROOT)
    found = {name: _version(name) for name in PACKAGES}
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": _number("OMP_NUM_THREADS"),
        "spin_count": _number("GOMP_SPINCOUNT"),
        "gpus": gpus,
        "driver": driver,
        "distribution": distribution(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit,
        "dirty": dirty,
        "packages": {"bleuprint": __version__} | {name: known for name, known in found.items() if known is not None},
    }


def processor() -> str:
    """Return the CPU's name as Linux gives it, else its architecture."""
    lines = CPU.read_text(encoding="utf-8").splitlines() if CPU.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def distribution() -> str | None:
    """Return the Linux distribution with its version."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def nvidia() -> tuple[list[str], str | None]:
    """Return the names of the machine's NVIDIA GPUs and their driver's version, by the kernel or else by nvidia-smi."""
    try:
        models = [path.read_text(encoding="utf-8") for path in sorted(NVIDIA.glob("gpus/*/information"))]
        module = (NVIDIA / "version").read_text(encoding="utf-8")
    except OSError:
        said = _said("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
        rows = [line.rpartition(", ") for line in (said or "").splitlines() if ", " in line]
        return [row[0] for row in rows], (rows[0][2] if rows else None)
    names = [found[1] for text in models if (found := re.search(r"^Model:\s*(.*?)\s*$", text, re.MULTILINE))]
    driver = re.search(r"\s(\d+\.[\d.]+)\s", module)
    return names, (driver[1] if driver else None)


def revision(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout at `root`, and whether tracked files differ; None where it is no checkout."""
    # A checkout around `root` is not ours: its commit would say nothing of this code
    prefix, _, commit = (_said("git", "-C", str(root), "rev-parse", "--show-prefix", "HEAD") or "-").partition("\n")
    if prefix:
        return None, None
    # Without the lock a git command that the user gives at the same time is not disturbed
    status = ("git", "--no-optional-locks", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    changed = _said(*status)
    return commit.strip(), (None if changed is None else bool(changed))


def _number(variable: str) -> int | None:
    value = os.environ.get(variable, "")
    return int(value) if value.isdecimal() else None


def _said(*command: str) -> str | None:
    """Return what a command prints; None if it does not exist or fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
