"""A failed call ends in one sentence that tells why; the excerpts are from logs of such ends."""

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT, Snakemake

from bleuprint.config import known_flags
from bleuprint.config.schema import Experiment
from bleuprint.machine import endings, memory
from bleuprint.machine.endings import Job, cause, failed, last_words

TINY = "corpus.pairs=100 corpus.valid_pairs=5 corpus.test_pairs=5 text.merges=50"
# training.lr=1e9: fairseq looks for the cause of the gradients, and fails while it does
DIVERGED = """\
2026-11-27 06:57:38 | INFO | fairseq.trainer | begin training epoch 1
Traceback (most recent call last):
  File "fairseq/trainer.py", line 970, in train_step
    raise FloatingPointError("gradients are Nan/Inf")
FloatingPointError: gradients are Nan/Inf

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "torch/nn/modules/module.py", line 1862, in inner
    var = next(v for v in var.values() if isinstance(v, torch.Tensor))
StopIteration
"""
# The end of a log → words of the sentence
EXCERPTS = {
    DIVERGED: "the training diverged: .* Lower training.lr, raise training.warmup_updates, .* training.clip_norm=1.0",
    "FloatingPointError: Minimum loss scale reached (0.0001). Your loss is probably exploding.": "training.fp16=false",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB": (
        r"out of GPU memory: a batch of the rule train did not fit. Lower training.max_tokens \(\+training.update_freq="
    ),
    "RuntimeError: CUDA error: out of memory": "out of GPU memory",
    "bleuprint: ctranslate2 failed: CUDA failed with error out of memory; decoding.engine=fairseq …": "out of GPU mem",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
    "to allocate 40000000000000 bytes. Error code 12 (Cannot allocate memory)": "out of memory: .* has 25.0 GB; this",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 1.42 PiB for an array": "out of memory: ",
    "MemoryError": "out of memory: ",
    "OSError: [Errno 12] Cannot allocate memory": "out of memory: ",
    "terminate called after throwing an instance of 'std::bad_alloc'": "out of memory: ",
    "RuntimeError: DataLoader worker (pid 17) is killed by signal: Killed. ": "SIGKILL.* Lower training.max_tokens",
    "RuntimeError: DataLoader worker (pid 17) is killed by signal: Segmentation fault. ": "loads batches .*rain died",
    "RuntimeError: DataLoader worker (pid 5941) exited unexpectedly with exit code 1. Details are lost due to "
    "multiprocessing. Rerunning with num_workers=0 may give better error trace.": r"\+training.num_workers=0 does",
    "RuntimeError: DataLoader worker (pid 5172) is killed by signal: Bus error. It is possible that dataloader's "
    "workers are out of shared memory. Please try to raise your shared memory limit.": "/dev/shm is too small",
    "RuntimeError: unable to allocate shared memory(shm) for file </torch_5317_2867463825_0>: No space left on device "
    "(28)": "/dev/shm is too small",
    "OSError: [Errno 28] No space left on device": "the disk of .*/results is full; make room",
    "OSError: [Errno 28] No space left on device: '/tmp/sorted'": "the disk of /tmp is full",
    "sort: write failed: /tmp/sortA7: No space left on device": "the disk of /tmp is full",
    "OSError: [Errno 122] Disk quota exceeded: 'results/x'": "quota",
    "RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534": "checkpoint could not be w",
    "OSError: [Errno 5] Input/output error: 'results/x'": r"a disk fails \(Input/output error: 'results/x'\)",
    "OSError: [Errno 24] Too many open files: 'x'": "ulimit -n",
    "RuntimeError: can't start new thread": "lower runtime.threads",
    "libgomp: Thread creation failed: Resource temporarily unavailable": "lower runtime.threads",
    "ModuleNotFoundError: No module named 'sacremoses'": "package sacremoses is missing; make env installs",
    "ImportError: libcublas.so.12: cannot open shared object file: No such file or directory": "library libcublas",
    "python: error while loading shared libraries: libz.so.1: cannot open shared object file": "libz.so.1",
    "bleuprint: ctranslate2 failed: Library libcublas.so.12 is not found or cannot be loaded; …": "libcublas.so.12 is",
    "ImportError: /lib/libc.so.6: version `GLIBC_2.38' not found (required by libtorch.so)": "needs GLIBC_2.38, and",
    "/bin/bash: line 1: fairseq-train: command not found": "the command fairseq-train is not found; activate",
    "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update": (
        r"GPU cannot be used \(The NVIDIA driver on your system is too old \(found version 11040\)\): install"
    ),
    "RuntimeError: CUDA error: no kernel image is available for execution on the device": "install a torch build",
    "AssertionError: Torch not compiled with CUDA enabled": "GPU cannot be used",
    "RuntimeError: CUDA error: an illegal memory access was encountered": r"failed \(an illegal memory access was enc",
    # Any other end: the error itself
    "Traceback (most recent call last):\n  File\nKeyError: 'bleu'\n[W] leaked": "status 1: KeyError: 'bleu'$",
    "usage: x\nx: error: argument": "failed with status 1: x: error: argument$",
    "": "failed with status 1$",
}


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> memory.Usage:
    """Samples of a call that used 23.1 GB on a machine with 25 GB."""
    monkeypatch.setattr(memory, "limit", lambda: 25_000_000_000)
    monkeypatch.setattr(memory, "COUNTERS", tmp_path / "none")
    usage = memory.Usage()
    usage.peak = 23_100_000_000
    return usage


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda excerpt: excerpt[:40])
def test_an_end_is_told_in_a_sentence(samples: memory.Usage, excerpt: str) -> None:
    told = cause(Job("train", "train.log", 1), ["+ python -m x fairseq-train", *excerpt.splitlines()], samples)
    assert told is not None and re.search(EXCERPTS[excerpt], told), told


@pytest.mark.parametrize("status", endings.STATUSES)
def test_a_status_is_told_where_the_log_says_nothing(samples: memory.Usage, status: int) -> None:
    told = cause(Job("tune", "", status), ["++ fairseq-generate", "2026 | INFO | fairseq | begin"], samples)
    assert told == endings.STATUSES[status].format(rule="tune")


def test_the_options_named_are_those_of_the_stage(samples: memory.Usage) -> None:
    died = ["RuntimeError: DataLoader worker (pid 5941) exited unexpectedly"]
    assert "+decoding.num_workers=0" in str(cause(Job("translate", "", 1), died, samples))
    assert "lower decoding.max_tokens" in str(cause(Job("translate", "", 137), [], samples)).lower()


def test_what_a_command_has_told_itself_is_not_repeated(samples: memory.Usage) -> None:
    own = ["+ fairseq-train", "bleuprint: torch cannot use the GPU (No CUDA GPUs are available): …"]
    assert cause(Job("train", "", 1), own, samples) is None
    earlier = ["bleuprint: The training resumes from checkpoint2.pt.", "+ fairseq-train", "KeyError: 'x'"]
    assert "KeyError" in str(cause(Job("train", "", 1), earlier, samples))
    warned = ["+ fairseq-train", "bleuprint: WARNING: it is so.", "KeyError: 'x'"]
    assert "KeyError" in str(cause(Job("train", "", 1), warned, samples))


# As Snakemake 9 writes it
BLOCK = """\
RuleException:
CalledProcessError in file "training.smk", line 41:
Command 'set -euo pipefail; …' {end}
[Fri Nov 27 06:58:35 2026]
Error in rule {rule}:
    message: None
    jobid: 13
    output: results/training/x/seal.json
    log: {log} (check log file(s) for error details)
    shell:
        folder=results/training/x; …
        (command exited with non-zero exit code)
Logfile {log}:
================================================================================
bleuprint: WARNING: it is so.
================================================================================
"""


def test_failed_jobs_are_found_in_snakemakes_log() -> None:
    blocks = [
        ("train", "a.log", "returned non-zero exit status 1."),
        ("tune", "b.log", "died with <Signals.SIGKILL: 9>."),
    ]
    text = "".join(BLOCK.format(rule=rule, log=log, end=end) for rule, log, end in blocks)
    assert list(failed(text.splitlines())) == [Job("train", "a.log", 1), Job("tune", "b.log", 137)]
    assert list(failed(["Error in rule score:", "    jobid: 6"])) == [Job("score", "", None)]


def test_one_sentence_for_all_runs_of_a_sweep(
    samples: memory.Usage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.log", "b.log"):
        Path(name).write_text(DIVERGED)
    blocks = [BLOCK.format(rule="train", log=log, end="returned non-zero exit status 1.") for log in ("a.log", "b.log")]
    Path("snakemake.log").write_text("".join(blocks))
    warning, sentence = last_words(["snakemake.log"], tmp_path, samples)
    assert warning == "bleuprint: WARNING: it is so."
    assert sentence.startswith("bleuprint: the training diverged: ") and sentence.endswith(" [a.log, b.log]")
    assert last_words(["snakemake.log"], tmp_path, samples, ended=True) == [warning]  # by the user: no reason


def test_each_end_of_a_sweep_is_told_last(snakemake: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "log").write_text(DIVERGED)
    script = f'#!/bin/sh\ncase "$*" in *"--seed 1"*) cat {tmp_path}/log; exit 1;; esac\nkill -9 $$\n'
    (tmp_path / "fakes/fairseq-train").write_text(script)
    result = snakemake("--config", "recipe=demo", "seed=1,2", f"overrides={TINY}", env=fake_fairseq)
    assert result.returncode != 0
    diverged, killed = sorted(result.stderr.splitlines()[-2:], reverse=True)
    assert diverged.startswith("bleuprint: the training diverged: "), result.stderr
    assert "killed (SIGKILL) a command of the rule train. This machine has" in killed


SOURCES = ("machine/endings.py", "machine/memory.py", "machine/cuda.py", "commands/doctor.py", "plan/costs.py")
KEY = re.compile(r"(\+?)\b(training|decoding|runtime)\.(\w+)")


@pytest.mark.parametrize("source", SOURCES)
def test_messages_name_keys_that_there_are(source: str) -> None:
    tree = ast.parse((ROOT / "workflow/bleuprint" / source).read_text())
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    keys = KEY.findall(" ".join(strings).replace("{section}", "training"))
    assert keys
    for plus, section, key in keys:
        assert key in (known_flags.flags() if plus else Experiment.model_fields[section].annotation.model_fields), key
