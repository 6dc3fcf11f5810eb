"""One GPU a job: fake devices, real processes, and what happens when one is killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SNAKEMAKE

from bleuprint.config.compose import experiments
from bleuprint.machine import device
from bleuprint.machine.lease import take
from bleuprint.plan import how
from bleuprint.plan.keys import plan

# What a job does: say which GPU it was given and when, and hold it for a while
JOB = """
import json, os, sys, time
began = time.monotonic()
time.sleep(float(sys.argv[1]))
print(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], began, time.monotonic()]))
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set a temporary folder for this test alone: its locks are not those of the machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow"))
    return tmp_path


def lease(*arguments: str, seconds: float = 0.5) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bleuprint.machine.lease", *arguments, sys.executable, "-c", JOB, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def most_at_once(spans: list[tuple[str, float, float]]) -> int:
    """Return how many of the spans of one GPU overlap at most."""
    return max(sum(other[0] == gpu and other[1] <= began < other[2] for other in spans) for gpu, began, _ in spans)


@pytest.mark.parametrize("places", [1, 2])
def test_no_more_jobs_on_a_gpu_than_it_has_places(temporary: Path, places: int) -> None:
    jobs = [lease("--gpus", "0,GPU-8a", "--places", str(places), seconds=1.0) for _ in range(6)]
    spans = [tuple(json.loads(job.communicate(timeout=60)[0])) for job in jobs]
    assert {gpu for gpu, _, _ in spans} == {"0", "GPU-8a"}
    assert most_at_once(spans) <= places


def test_a_killed_job_frees_its_gpu(temporary: Path) -> None:
    first = lease("--gpus", "0", seconds=60)
    assert first.stderr is not None and first.stderr.readline() == "CUDA_VISIBLE_DEVICES=0\n"
    second = lease("--gpus", "0", seconds=0)
    assert second.stderr is not None and "GPUs 0 are taken (waiting for a free GPU)" in second.stderr.readline()
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate()
    output, errors = second.communicate(timeout=30)
    assert json.loads(output)[0] == "0" and "CUDA_VISIBLE_DEVICES=0" in errors


def test_a_gpu_shared_on_request_is_shared_last(temporary: Path) -> None:
    assert [take(["0", "1"], places=2) for _ in range(5)] == ["0", "1", "0", "1", None]


def test_who_asked_to_be_alone_shares_with_nobody(temporary: Path) -> None:
    assert take(["0"], places=2) == "0"
    assert take(["0", "1"], places=1) == "1"
    assert take(["0", "1"], places=1) is None
    assert take(["0", "1"], places=2) == "0"
    assert take(["0", "1"], places=2) is None


def test_other_users_can_open_the_locks(temporary: Path) -> None:
    before = os.umask(0o077)
    assert take(["0"], places=1) == "0"
    os.umask(before)
    locks = list(temporary.glob("bleuprint-gpu-*.lock"))
    assert locks and {path.stat().st_mode & 0o777 for path in locks} == {0o644}


def runtime(overrides: str = "") -> Any:
    return experiments({"overrides": overrides})[0].experiment.runtime


def test_gpu_jobs_divide_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpus", lambda: ("0", "1", "2"))
    assert device.model_threads(runtime(), 16) == 5
    assert device.model_threads(runtime("runtime.jobs_per_gpu=2"), 16) == 2
    assert device.model_threads(runtime("runtime.threads=1"), 16) == 5  # not sixteen jobs of which thirteen wait
    assert device.model_threads(runtime(), 2) == 1
    assert device.launcher(runtime(), False) == "python -m bleuprint.machine.lease --gpus 0,1,2"
    assert device.launcher(runtime("runtime.jobs_per_gpu=2"), False).endswith("--gpus 0,1,2 --places 2")
    deterministic = "env CUBLAS_WORKSPACE_CONFIG=:4096:8 python -m bleuprint.machine.lease --gpus 0,1,2"
    assert device.launcher(runtime(), True) == deterministic
    monkeypatch.setattr(device, "gpus", lambda: ())
    assert device.model_threads(runtime(), 16) == 16
    assert device.model_threads(runtime("runtime.threads=4"), 16) == 4
    assert device.launcher(runtime(), True) == "python -m bleuprint.machine.allocator"


SWEEP = ["--config", "recipe=demo", "seed=1,2,3,4"]
TINY = "corpus.pairs=100 corpus.valid_pairs=5 corpus.test_pairs=5 text.merges=50 scoring.resamples=100"


def trainings(calls: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in calls.read_text().splitlines()]
    return [row for row in rows if row["program"] == "fairseq-train"]


def overlap(rows: list[dict[str, Any]]) -> int:
    return max(sum(other["began"] <= row["began"] < other["ended"] for other in rows) for row in rows)


def test_snakemake_trains_on_each_of_two_gpus_at_once(
    temporary: Path, fake_fairseq: dict[str, str], tmp_path: Path
) -> None:
    """Plain `snakemake --cores 2` on a machine with two (made-up) GPUs: two trainings at a time, one on each."""
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    arguments = [*SNAKEMAKE[3:], *SWEEP, f"overrides={TINY}"]
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv.pop(1));"
        " from bleuprint.commands import doctor; from bleuprint.machine import device;"
        " device.DEVICES = Path(sys.argv.pop(1));"
        " doctor.version = lambda name: '2.13.0'; from snakemake.cli import main; main()"
    )
    command = [sys.executable, "-c", script, str(ROOT / "workflow"), str(tmp_path / "dev"), *arguments]
    times = tmp_path / "times.jsonl"
    env = os.environ | fake_fairseq | {"TIMES": str(times), "SLEEP": "2"}
    env.pop("CUDA_VISIBLE_DEVICES", None)
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = trainings(times)
    assert len(rows) == 4 and {row["gpu"] for row in rows} == {"0", "1"}
    assert overlap(rows) == 2
    for gpu in ("0", "1"):
        assert overlap([row for row in rows if row["gpu"] == gpu]) == 1
    assert {row["threads"] for row in rows} == {"1"}
    log = next((tmp_path / "results/training").glob("*/train.log")).read_text()
    assert "+ python -m bleuprint.machine.lease --gpus 0,1 fairseq-train" in log and "CUDA_VISIBLE_DEVICES=" in log
    assert "--cpu" not in log


def test_trainings_on_a_cpu_divide_the_cores(fake_fairseq: dict[str, str], tmp_path: Path) -> None:
    times = tmp_path / "times.jsonl"
    env = os.environ | fake_fairseq | {"TIMES": str(times), "SLEEP": "2", "CUDA_VISIBLE_DEVICES": ""}
    command = [*SNAKEMAKE, *SWEEP, f"overrides={TINY} runtime.threads=1"]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = trainings(times)
    assert overlap(rows) == 2 and {row["threads"] for row in rows} == {"1"}
    assert {row["gpu"] for row in rows} == {""}


@pytest.mark.slow
def test_decodings_use_deterministic_algorithms_with_the_workspace() -> None:
    plugin = ROOT / "workflow" / "bleuprint"
    script = f"import sys; sys.path.insert(0, {str(plugin)!r}); import fairseq_cli.generate, fairseq_plugin, torch;"
    script += " print(torch.are_deterministic_algorithms_enabled())"
    for workspace, wanted in (({}, "False"), ({"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}, "True")):
        result = subprocess.run(
            [sys.executable, "-c", script], env=os.environ | workspace, capture_output=True, text=True
        )
        assert result.stdout.strip() == wanted, result.stderr


def test_only_trainings_on_gpus_are_told_to_use_deterministic_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(experiments({"recipe": "demo", "overrides": "training.deterministic=true"}))
    (key,) = planned.stages["training"]
    for gpus, flags in ((("0",), "--choose best --deterministic"), ((), "--choose best")):
        monkeypatch.setattr(device, "gpus", lambda gpus=gpus: gpus)
        assert how.train(planned, key)["resume"] == flags
