"""GPUs as CUDA sees them: their names, and whether torch can use them.

    python -m bleuprint.machine.cuda            print the GPUs that the driver shows this process, as JSON
    python -m bleuprint.machine.cuda --torch    print why torch cannot use a GPU here, as JSON; null if it can

Others ask in a process of their own, which a broken driver may hang or crash.
"""

import ctypes
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bleuprint.machine.memory import ended

DRIVER = "libcuda.so.1"
PATIENCE = 60  # seconds for a driver or for torch to answer; a driver that starts takes some ten
LEASED = "BLEUPRINT_GPU"  # set for the commands that were given a GPU
COMPUTES = "GPU of this job: "  # how a line of a job's log begins that names its GPU
WAY_OUT = (
    "install a torch build for CUDA and a driver that is new enough for it, or compute on the CPU with "
    'overrides="runtime.device=cpu".'
)


@dataclass(frozen=True)
class Gpu:
    """A GPU, as its driver names it."""

    name: str  # of the product
    uuid: str  # one for all processes, whatever number they give it


def devices() -> list[Gpu]:
    """Return the GPUs that this process may use, in CUDA's order.

    Raises:
        OSError: there is no driver, or it fails.
    """
    driver = ctypes.CDLL(DRIVER)
    count, gpus = ctypes.c_int(), []
    _check(driver.cuInit(0))
    _check(driver.cuDeviceGetCount(ctypes.byref(count)))
    for number in range(count.value):
        device, name, octets = ctypes.c_int(), ctypes.create_string_buffer(100), ctypes.create_string_buffer(16)
        _check(driver.cuDeviceGet(ctypes.byref(device), number))
        _check(driver.cuDeviceGetName(name, len(name), device))
        _check(driver.cuDeviceGetUuid_v2(octets, device))
        gpus.append(Gpu(name.value.decode(errors="replace"), f"GPU-{uuid.UUID(bytes=octets.raw)}"))
    return gpus


def _check(status: int) -> None:
    if status:
        raise OSError(f"CUDA's driver fails with error {status}")


def unusable() -> str | None:
    """Return why this process cannot compute on a GPU with torch; None if it can."""
    import torch

    try:
        if not torch.cuda.is_available():
            torch.cuda.init()  # type: ignore[no-untyped-call]  # raises the reason
            return "torch.cuda.is_available() is false"
        torch.ones(1).cuda(int(os.environ.get("LOCAL_RANK", 0))).add(1).item()  # of several processes each its own
    except (RuntimeError, AssertionError) as error:
        return next(iter(str(error).strip().splitlines()), type(error).__name__)
    return None


def confirm() -> None:
    """End this process if it was given a GPU that torch cannot use: fairseq would compute on the CPU without a word.

    Raises:
        SystemExit: with a sentence that names the ways out.
    """
    if LEASED in os.environ and (reason := unusable()) is not None:
        sys.exit(f"bleuprint: {refusal(reason)}")


def refusal(reason: str) -> str:
    """Return the sentence for a GPU that torch cannot use."""
    return f"torch cannot use the GPU ({reason.rstrip('.')}): {WAY_OUT}"


def ask_driver(visible: str) -> list[Gpu]:
    """Return the GPUs that CUDA sees under a value of CUDA_VISIBLE_DEVICES; none if the driver cannot say."""
    answer = _asked([], os.environ | {"CUDA_VISIBLE_DEVICES": visible})
    return [] if isinstance(answer, str) else [Gpu(**gpu) for gpu in answer]


def ask_torch() -> str | None:
    """Return why torch cannot use a GPU here, or that it does not answer; None if it can."""
    answer: str | None = _asked(["--torch"], dict(os.environ))
    return answer


def _asked(words: list[str], env: dict[str, str]) -> Any:
    """Return what this module prints in a process of its own, or what became of that process, in words."""
    command = [sys.executable, "-m", "bleuprint.machine.cuda", *words]
    try:
        result = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"no answer within {PATIENCE} seconds"
    if result.returncode == 0:
        return json.loads(result.stdout.splitlines()[-1])
    return (result.stderr.strip().splitlines() or [f"a process that asked {ended(result.returncode)}"])[-1]


def computed_on(log: Iterable[str]) -> list[str]:
    """Return the GPUs that the lines of a job's log name, each once: product, UUID and driver."""
    return list(dict.fromkeys(line.removeprefix(COMPUTES) for line in log if line.startswith(COMPUTES)))


if __name__ == "__main__":
    print(json.dumps(unusable() if "--torch" in sys.argv else [asdict(gpu) for gpu in devices()]))
