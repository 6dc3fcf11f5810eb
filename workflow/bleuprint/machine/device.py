"""CPU or GPU: which is there, and how commands use it. No torch here: planning must stay fast."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.schema import Experiment, Runtime, Training


DEVICES = Path("/dev")
CPUINFO = Path("/proc/cpuinfo")
BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # as the kernel calls it on x86-64 and Arm
# Tokens of a batch that is decoded on a CPU. malloc does not keep the states of larger ones: at every step the system
# maps them again, which at 8,000 took a third of fairseq-generate's time
CPU_TOKENS = 2000
PORT = "$((20000 + SLURM_JOB_ID % 20000))"  # at which the machines of one training meet
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG=:4096:8"  # with which cuBLAS gives the same bits each time


@cache
def gpus() -> tuple[str, ...]:
    """Return the NVIDIA GPUs that are visible here, as in CUDA_VISIBLE_DEVICES (by Linux' device files)."""
    present = len(list(DEVICES.glob("nvidia[0-9]*"))) or int((DEVICES / "dxg").exists())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(str(number) for number in range(present))
    return _named(visible, present) if present else ()


def _named(visible: str, present: int) -> tuple[str, ...]:
    """Return the GPUs that CUDA sees under a value of CUDA_VISIBLE_DEVICES, as torch reads it (torch.cuda).

    They are those before the first entry that names none: no number of a GPU, or no UUID where the first entry is one.
    Where one is named twice, there are none.
    """
    entries = [entry.strip() for entry in visible.split(",")]
    kind, names = re.match("GPU-|MIG-", entries[0]), list[str]()
    for entry in entries:
        number = re.match(r"\+?([0-9]+)", entry)
        if kind and entry.startswith(kind[0]):
            name = entry
        elif not kind and number and int(number[1]) < present:
            name = str(int(number[1]))
        else:
            break
        if name in names:
            return ()
        names.append(name)
    return tuple(names)


def uses_gpu(runtime: Runtime) -> bool:
    """Return whether training and decoding run on a GPU."""
    return runtime.device == "cuda" or (runtime.device == "auto" and bool(gpus()))


def model_threads(runtime: Runtime, cores: int, submitted: bool = False) -> int:
    """Return the CPU threads of a training or decoding: all that it may have, or on a GPU its share of the cores.

    With its share, no more jobs start than there are GPUs; with `runtime.threads`, some would start only to wait.

    Args:
        runtime: for the device and the threads.
        cores: of this machine, that jobs share.
        submitted: whether a scheduler starts the jobs on other machines: they get what the config says.
    """
    if submitted or not uses_gpu(runtime):
        return runtime.threads or cores
    return max(1, cores // max(1, len(gpus()) * runtime.jobs_per_gpu))


def training_threads(runtime: Runtime, cores: int, processes: int, submitted: bool = False) -> int:
    """Return the CPU threads of a training on one machine, which its processes there share.

    Args:
        runtime: for the device, the threads and the machines.
        cores: of this machine, that jobs share.
        processes: of the training, on all its machines.
        submitted: whether a scheduler starts the jobs on other machines.
    """
    each = model_threads(runtime, cores, submitted)
    here = processes // (runtime.nodes or 1)
    return each if each == cores and not submitted else each * here  # all cores are all


def cpu_batch(experiment: Experiment, runtime: Runtime) -> dict[str, int]:
    """Return the flag of either engine for smaller batches on a CPU; they do not change the translations."""
    flags = experiment.model.flags() | experiment.training.flags()
    # fairseq-generate refuses a sentence that is longer than a batch, or whose reference is
    tokens = max(CPU_TOKENS, *(flags.get(f"max_{side}_positions") or 0 for side in ("source", "target")))
    return {"max_tokens": tokens} if not uses_gpu(runtime) and tokens < experiment.decoding.max_tokens else {}


def launcher(runtime: Runtime, deterministic: bool, processes: int = 1) -> str:
    """Return what precedes a training or decoding in the shell: the lease of a GPU, or on a CPU its allocator.

    Args:
        runtime: which device, how many jobs share it, how many machines.
        deterministic: whether the same seed is to give the same bits: cuBLAS needs a workspace of its own for that,
            and bleuprint's fairseq plugin tells torch.
        processes: how many of them train one model together; torch's launcher starts them.
    """
    nodes = (runtime.nodes or 1) if processes > 1 else 1
    machines, started = _started(processes, nodes) if processes > 1 else ("", "")
    if not uses_gpu(runtime):
        return f"{machines}python -m bleuprint.machine.allocator{started}"
    workspace = f"env {WORKSPACE} " if deterministic else ""
    places = f" --places {runtime.jobs_per_gpu}" if runtime.jobs_per_gpu > 1 else ""
    number = f" --number {processes // nodes}" if processes > 1 else ""
    # What another machine calls its GPUs is known only there
    these = f" --gpus {shlex.quote(','.join(gpus()))}" if nodes == 1 else ""
    return f"{machines}{workspace}python -m bleuprint.machine.lease{these}{number}{places}{started}"


def _started(processes: int, nodes: int) -> tuple[str, str]:
    """Return SLURM's command that starts another one on each machine, and torch's that starts the processes there."""
    each = f" python -m bleuprint.machine.processes --nproc-per-node {processes // nodes}"
    if nodes == 1:
        return "", f"{each} --standalone"
    meeting = f"--nnodes {nodes} --rdzv-backend c10d --rdzv-id $SLURM_JOB_ID --rdzv-endpoint $(hostname):{PORT}"
    cores = "--cpus-per-task ${SLURM_CPUS_PER_TASK:-1}"  # which SLURM leaves to each command since 22.05
    return f"srun --nodes {nodes} --ntasks {nodes} --ntasks-per-node 1 {cores} ", f"{each} {meeting}"


def uses_bf16(training: Training, runtime: Runtime) -> bool:
    """Return whether the training multiplies matrices in bfloat16; with `auto`, on a CPU that has units for it."""
    return (not uses_gpu(runtime) and has_bf16()) if training.bf16 == "auto" else training.bf16


def has_bf16() -> bool:
    """Return whether the processor has units for bfloat16; without them it is slower than float32."""
    return bool(BF16 & set(CPUINFO.read_text(encoding="utf-8").split())) if CPUINFO.exists() else False
