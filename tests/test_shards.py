"""runtime.decoding_shards: several processes translate a test set, and the folder is as one process leaves it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CPU, run_snakemake

from bleuprint.config.compose import experiments
from bleuprint.machine import device, shards
from bleuprint.plan import how
from bleuprint.plan.graph import Plan
from bleuprint.plan.keys import plan

PROGRAM = """
import json, os, sys, time
rank, number, folder = json.loads(os.environ["BLEUPRINT_SHARD"])
own = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")]
row = [rank, number, sys.argv[1:], *own, os.getpid()]
with open("calls", "a") as calls:
    calls.write(json.dumps(row) + "\\n")
if "stop" in sys.argv and rank:
    sys.exit(7)
if "stop" in sys.argv or "wait" in sys.argv:
    time.sleep(60)
"""


def planned(*overrides: str) -> tuple[Plan, str]:
    """The plan of one run, and the key of its decoding."""
    made = plan(experiments({"overrides": ["recipe=demo", *overrides]}))
    return made, made.runs[0].keys["decoding"]


def calls() -> list[list[Any]]:
    """What the processes were started with, by rank; a line that is being written does not count."""
    path = Path("calls")
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return sorted(json.loads(line) for line in lines if line.endswith("\n"))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command in place of fairseq-generate, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("program.py").write_text(PROGRAM)
    return [sys.executable, "program.py", "data", "--results-path", "folder"]


def gone(process: int) -> bool:
    """Whether a process has ended, waiting a little for it."""
    for _ in range(100):
        if not Path(f"/proc/{process}").exists() or " Z " in Path(f"/proc/{process}/stat").read_text():
            return True
        time.sleep(0.1)
    return False


def test_the_number_of_processes_names_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpus", lambda: ())
    (one, key), (three, same) = planned(), planned("runtime.decoding_shards=3")
    assert key == same
    pieces, sharded = how.translate(one, key), how.translate(three, key)
    assert pieces["sharded"] == pieces["launcher"] == sharded["launcher"]
    assert sharded["sharded"].endswith(f"bleuprint.machine.shards --number 3 --folder results/decoding/{key}/shards")
    drawn, key = planned("runtime.decoding_shards=3", "+decoding.sampling=true", "decoding.engine=fairseq")
    assert "shards" not in how.translate(drawn, key)["sharded"]


@pytest.mark.parametrize(("gpus", "number"), [((), 3), (("0", "1"), 2), (("0", "1", "2", "3"), 3)])
def test_each_process_gets_a_gpu(gpus: tuple[str, ...], number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (device, shards):
        monkeypatch.setattr(module, "gpus", lambda: gpus)
    asked = ["runtime.decoding_shards=3", "runtime.device=cuda"]
    made, key = planned(*asked, "decoding.engine=fairseq")
    assert (
        f"--number {number} python -m bleuprint.machine.shards --number {number} "
        in how.translate(made, key)["sharded"]
    )
    made, key = planned(*asked, "decoding.engine=ctranslate2")
    pieces = how.translate_converted(made, key)
    assert pieces["launcher"].endswith(f" --number {number}") and pieces["flags"].endswith(f" --gpus {number}")


def test_processes_share_threads_and_gpus(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    Path("shards").mkdir()
    Path("shards/1.pt").touch()  # of a killed call
    assert shards.run(2, Path("shards"), command) == 0
    (first, second) = calls()
    assert first[:5] == [0, 2, command[2:], "GPU-a", "2"]
    flags = ["--distributed-world-size", "2", "--distributed-rank", "1", "--results-path", "shards/rank1"]
    assert second[:5] == [1, 2, [*command[2:], *flags], "GPU-b", "2"]
    assert not Path("shards").exists()


def test_one_that_fails_ends_the_others(command: list[str]) -> None:
    assert shards.run(3, Path("shards"), [*command, "stop"]) == 7
    assert all(gone(row[-1]) for row in calls()) and not Path("shards").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_one_leaves_no_process(number: int, command: list[str]) -> None:
    flags = ["--number", "2", "--folder", "shards", *command, "wait"]
    environment = os.environ | {"PYTHONPATH": str(Path(shards.__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "bleuprint.machine.shards", *flags],
        env=environment,
        # A shell starts what runs in the background with SIGINT ignored, and the tests may run there
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while len(calls()) < 2:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait() == (130 if number == signal.SIGINT else -number)
    assert all(gone(row[-1]) for row in calls())
    assert shards.run(2, Path("shards"), command) == 0 and not Path("shards").exists()


def _translations(folder: Path) -> list[list[list[float]]]:
    """What the process of each rank returns for seven batches, the last rank first; in a process with fairseq."""
    import torch
    from fairseq.tasks.fairseq_task import FairseqTask

    from bleuprint.fairseq_plugin import shards as plugin

    compute, results = FairseqTask.inference_step, {}
    computed: list[float] = []

    def step(self: Any, generator: Any, models: Any, sample: Any, **options: Any) -> Any:
        computed.append(sample["id"].item())
        return [[{"tokens": sample["id"], "score": sample["id"] / 3}]]

    for rank in (2, 1, 0):
        FairseqTask.inference_step = step
        os.environ[shards.SHARD] = json.dumps([rank, 3, str(folder)])
        plugin.install()
        # fairseq gives each rank its own batches; the first reads all
        batches = range(7) if rank == 0 else range(rank, 7, 3)
        rows = [FairseqTask.inference_step(None, None, None, {"id": torch.tensor([n])}) for n in batches]
        results[rank] = [row[0][0]["score"].tolist() for row in rows]
    FairseqTask.inference_step = compute
    del os.environ[shards.SHARD]
    assert sorted(computed) == list(range(7)), computed  # none twice
    return [results[0], [[n] for n in computed]]


def test_the_first_process_puts_all_batches_in_order(fairseq: Callable[..., Any], tmp_path: Path) -> None:
    scores, computed = fairseq(_translations, tmp_path)
    assert scores == [[pytest.approx(number / 3)] for number in range(7)]
    assert computed == [[2], [5], [1], [4], [0], [3], [6]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
def test_the_folder_is_the_same_with_several_processes(demo: Path) -> None:
    (folder,) = (demo / "results/decoding").glob("transformer_tiny-*")
    outputs = ["generate-test.txt", "hypotheses.tok", "hypotheses.txt"]
    once = {name: (folder / name).read_bytes() for name in outputs}
    sealed = json.loads((folder / "seal.json").read_text())["files"]
    for name in [*outputs, "seal.json"]:
        (folder / name).unlink()
    asked = ["decoding", "--config", "recipe=demo", "overrides=runtime.threads=2 runtime.decoding_shards=2"]
    result = run_snakemake(demo, *asked, env=CPU)
    assert result.returncode == 0, result.stderr
    assert "bleuprint.machine.shards --number 2" in (folder / "translate.log").read_text()
    assert {name: (folder / name).read_bytes() for name in outputs} == once
    assert json.loads((folder / "seal.json").read_text())["files"] == sealed
