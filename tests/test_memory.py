"""A command that is killed for memory ends in one sentence; what a training needs is known before it starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bleuprint.config.compose import experiments
from bleuprint.machine import device, memory
from bleuprint.plan import costs


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> memory.Usage:
    """Samples of a call on a machine with 25 GB, whose kernel has killed nothing yet."""
    monkeypatch.setattr(memory, "COUNTERS", tmp_path / "vmstat")
    monkeypatch.setattr(memory, "limit", lambda: 25_000_000_000)
    (tmp_path / "vmstat").write_text("pgfault 7\noom_kill 3\n")
    usage = memory.Usage()
    usage.peak = 23_100_000_000
    return usage


def test_a_command_killed_by_the_kernel(samples: memory.Usage, tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("pgfault 9\noom_kill 4\n")
    assert memory.sentence("train", samples) == (
        "out of memory: the kernel killed a command of the rule train. This machine has 25.0 GB; "
        "this call's commands used 23.1 GB at most. Lower training.max_tokens (+training.update_freq=[2] keeps an "
        "update's size), choose a smaller model, run fewer jobs at a time or end other programs; the same command "
        "resumes."
    )


def test_a_command_killed_by_somebody_else(samples: memory.Usage) -> None:
    samples.peak = 0  # ended before the first sample
    sentence = memory.sentence("tokenise", samples)
    assert "something killed (SIGKILL) a command of the rule tokenise. This machine has 25.0 GB. Use a" in sentence


@pytest.mark.alone
def test_the_memory_of_children_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "INTERVAL", 0.05)
    script = "import time; block = bytearray(b'x' * 200_000_000); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        usage = memory.Usage()
        usage.start()
        for _ in range(100):
            if usage.peak:
                break
            usage.join(0.1)
        child.kill()
    assert 190_000_000 < usage.peak < 400_000_000


def test_a_control_groups_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = memory.limit()
    assert whole <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(memory, "own_group", lambda: "job")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    for text, limit in (("max\n", whole), ("1000000\n", 1_000_000)):
        (tmp_path / "job").mkdir(exist_ok=True)
        (tmp_path / "job/memory.max").write_text(text)
        assert memory.limit() == limit


@pytest.mark.parametrize("status", [-signal.SIGKILL, 128 + signal.SIGKILL, 1])
def test_how_a_command_ended(status: int) -> None:
    killed = "was killed (SIGKILL), most likely for memory, of which this machine has "
    assert memory.ended(status).startswith("ended with status 1" if status == 1 else killed)


def needs(**cli: Any) -> float:
    (choice,) = experiments(cli)
    return costs.training_memory(choice.experiment)


def test_what_a_training_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured with 4,096 tokens a batch, after a few updates: 3.3 GiB and 1.0 GiB."""
    monkeypatch.setattr(device, "gpus", lambda: ())
    assert 2.8 < needs(model="transformer") / 2**30 < 3.8
    assert 0.8 < needs(model="transformer_tiny") / 2**30 < 1.3
    two = needs(model="transformer", overrides="+training.num_workers=2")
    assert two == 3 * needs(model="transformer")  # each loader becomes a copy
    monkeypatch.setattr(device, "gpus", lambda: ("0",))
    assert needs(model="transformer") == 2 * costs.PROCESS
