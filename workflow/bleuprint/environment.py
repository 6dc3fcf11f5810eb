"""What a stage runs on and with: processor, system, Python and the versions of the packages that make results."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "bleuprint",
    "ve-fairseq",
    "torch",
    "numpy",
    "sacrebleu",
    "sacremoses",
    "subword-nmt",
    "snakemake",
    "hydra-core",
    "omegaconf",
)
CPU = Path("/proc/cpuinfo")


def facts() -> dict[str, Any]:
    """`processor`, `cores` (usable ones), `system`, `python` and `packages` (name → version) of this process."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def processor() -> str:
    """The CPU's name as Linux gives it, else its architecture."""
    lines = CPU.read_text(encoding="utf-8").splitlines() if CPU.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
