"""The installation: what the planned jobs need of it, looked at before they start."""

import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bleuprint.machine import cuda
from bleuprint.machine.device import gpus, uses_gpu
from bleuprint.machine.environment import PACKAGES, ROOT, nvidia
from bleuprint.plan.costs import NO_GPU
from bleuprint.plan.graph import Plan
from bleuprint.scoring import comet

LOCK = ROOT / "envs" / "requirements.lock"
COMPILED = ("data/data_utils_fast", "data/token_block_utils_fast", "libbleu")
PROGRAMS = ("fairseq-preprocess", "fairseq-train", "fairseq-generate", "flock", "tee")

Row = tuple[str, str, str | None]  # what, what was found, and what is wrong with it, as a sentence


def checks(plan: Plan) -> list[Row]:
    """Check Python, packages against the lock, fairseq's compiled parts, programs and the GPU."""
    return [("Python", platform.python_version(), None), packages(), compiled(), programs(), gpu(plan)]


def packages() -> Row:
    """Compare the versions of the packages that make results with the lock's."""
    lock = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    installed = {name: _version(name) for name in PACKAGES}
    wrong = [
        f"{name} {installed[name]}, not {pins[name]}"
        for name in PACKAGES
        if installed[name] != pins.get(name, installed[name])
    ]
    if not wrong:
        return "packages", f"as locked, torch {version('torch')}", None
    problem = f"{'; '.join(wrong)}: results may differ; make env installs what envs/requirements.lock names."
    return "packages", f"{len(wrong)} unlike the lock", problem


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def compiled() -> Row:
    """Check that fairseq's compiled parts are there."""
    spec = importlib.util.find_spec("fairseq")
    folder = Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else Path()
    missing = [name for name in COMPILED if not list(folder.glob(f"{name}.*.so"))]
    if not missing:
        return "fairseq", "compiled parts there", None
    problem = f"fairseq's compiled parts are missing ({', '.join(missing)}); install the wheel with make env."
    return "fairseq", "compiled parts missing", problem


def programs() -> Row:
    """Check that the commands of the jobs are found."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return "programs", "all found", None
    names = ", ".join(missing)
    problem = f"{names}: not found; activate the environment, or: make env (flock is in util-linux)."
    return "programs", f"missing: {names}", problem


def models(plan: Plan, keys: Collection[str], gpu: bool = True) -> list[Row]:
    """Check that COMET can score here, if one of the scoring stages `keys` asks for it.

    Args:
        plan: what is asked for.
        keys: the folders of the scoring stages that are to be computed.
        gpu: whether to ask its torch for the GPU, if the plan uses one.

    Raises:
        DataError: a model's files are missing or damaged.
    """
    asked = {
        name: model for key in keys for name, model in plan.stage("scoring", key).experiment.scoring.models.items()
    }
    if not asked:
        return []
    return [("COMET", comet.version() or "missing", comet.unusable(asked, gpu and uses_gpu(plan.runtime)))]


def gpu(plan: Plan) -> Row:
    """Ask torch, in a process of its own, whether it can use the GPU, if the plan does."""
    names, driver = nvidia()
    shown = f"{', '.join(names) or len(gpus())}, driver {driver or 'unknown'}"
    if not gpus():
        hidden = f", but CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '')} hides {shown}"
        return "GPU", f"none visible{hidden if names else ''}", NO_GPU if uses_gpu(plan.runtime) else None
    reason = cuda.ask_torch() if uses_gpu(plan.runtime) else None
    return "GPU", shown, None if reason is None else cuda.refusal(reason)
