"""Run fairseq's GPU code on a CPU: pretend that this process has one CUDA device.

Tensors say that they are on `cuda:0`, and moves to it change nothing, so that fairseq and bleuprint's plugin run the
code that they run on a GPU. This shows control flow, types and checkpoints, but not kernels, memory or speed.
"""

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)
MEMORY = 80 * 2**30  # bytes

Action = Callable[[], None]


def on_cpu(argument: Any) -> Any:
    """Return an argument of a function of torch's, with the CPU in place of the GPU."""
    is_gpu = isinstance(argument, torch.device) and argument.type == "cuda"
    is_gpu = is_gpu or (isinstance(argument, str) and argument.partition(":")[0] == "cuda")
    return CPU if is_gpu else argument


class FakeGpu(TorchFunctionMode):
    """Let all tensors be on the GPU, as far as Python sees."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function == torch.Tensor.device.__get__:
            return GPU
        if function == torch.Tensor.is_cuda.__get__:
            return True
        if function is torch.Tensor.cuda:
            return args[0]
        kwargs = kwargs or {}
        if function is torch.Tensor.to:  # may be given a device by its number
            args = tuple(CPU if type(argument) is int else argument for argument in args)
            kwargs = {name: CPU if type(value) is int else value for name, value in kwargs.items()}
        return function(*tree_map(on_cpu, args), **tree_map(on_cpu, kwargs))


def install() -> None:
    """Replace what asks torch for a device, in this process and for good."""
    properties = SimpleNamespace(name="Fake GPU", major=9, minor=0, total_memory=MEMORY)
    answers = {
        "is_available": True,
        "device_count": 1,
        "current_device": GPU.index,
        "get_device_capability": (9, 0),
        "get_device_name": properties.name,
        "get_device_properties": properties,
        "max_memory_allocated": 2**30,
        "memory_summary": "(memory summary)",
    }
    answers |= dict.fromkeys(
        ("set_device", "manual_seed", "set_rng_state", "empty_cache", "reset_peak_memory_stats", "synchronize")
    )
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    torch.Tensor.pin_memory = lambda tensor, *_: tensor  # called by threads, where the mode below is not
    torch.cuda.get_rng_state = lambda *_: torch.get_rng_state()
    autocast = torch.autocast
    torch.autocast = lambda kind, *rest, **options: autocast("cpu", *rest, **options)
    FakeGpu().__enter__()


def at_batch(method: str, numbers: set[int], action: Action) -> None:
    """Do something before a task computes the batches of these numbers; `method` is train_step or valid_step."""
    from fairseq.tasks.fairseq_task import FairseqTask

    compute, count = getattr(FairseqTask, method), 0

    def step(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count in numbers:
            action()
        return compute(*arguments, **options)

    setattr(FairseqTask, method, step)


def session(program: str, words: list[str], log: Path, prepare: Action | None, gpu: bool) -> None:
    """Be one of fairseq's commands; the log takes all output."""
    sys.stdout = sys.stderr = file = open(log, "a", buffering=1, encoding="utf-8")  # noqa: SIM115
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    sys.argv = [f"fairseq-{program}", *words]
    torch.set_num_threads(1)
    command = importlib.import_module(f"fairseq_cli.{program}")
    if gpu:
        install()
    if prepare is not None:
        prepare()
    command.cli_main()


def call(program: str, words: list[str], log: Path, prepare: Action | None = None, gpu: bool = True) -> int:
    """Run a command of fairseq's in a child of this process, which has loaded fairseq, and wait for its end.

    Args:
        program: `preprocess`, `train` or `generate`.
        words: the command's arguments.
        log: the file to which its output is appended.
        prepare: what is done in the child before.
        gpu: whether there is a GPU.

    Returns:
        The exit status; -N after signal N.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # real ones, from now on
    for module in ("fairseq.models", "torch._dynamo"):  # what takes long to load, once for all children
        importlib.import_module(module)
    child = multiprocessing.get_context("fork").Process(target=session, args=(program, words, log, prepare, gpu))
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode
