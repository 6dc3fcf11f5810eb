"""One GPU a job: fake devices, real processes, and what happens when one is killed."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SNAKEMAKE, TINY

from bleuprint.config.compose import experiments
from bleuprint.files import DataError
from bleuprint.machine import cuda, device, lease
from bleuprint.plan import how
from bleuprint.plan.keys import plan

FOLDERS = lease.FOLDERS  # of this machine
# What a job does: say which GPU it was given and when, and hold it for a while
JOB = """
import json, os, sys, time
began = time.monotonic()
time.sleep(float(sys.argv[1]))
print(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"], began, time.monotonic()]))
"""


# The lease, its locks in a folder of the test's own, and without this machine's driver
LEASE = """
import sys; from pathlib import Path; from bleuprint.machine import lease
lease.FOLDERS, lease.PATIENCE, lease.cuda.ask_driver = (Path(sys.argv.pop(1)),), 0.1, lambda visible: []
lease.main()
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for this test's locks alone, not for those of the machine."""
    monkeypatch.setattr(lease, "FOLDERS", (tmp_path,))
    monkeypatch.setattr(lease.cuda, "ask_driver", lambda visible: [])
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    for variable in lease.SCHEDULERS:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def start(locks: Path, *arguments: str, seconds: float = 0.5) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LEASE, str(locks), *arguments, sys.executable, "-c", JOB, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def take(gpus: list[str], places: int) -> str | None:
    return lease.take({gpu: gpu for gpu in gpus}, places)


def most_at_once(spans: list[tuple[str, float, float]]) -> int:
    """Return how many of the spans of one GPU overlap at most."""
    return max(sum(other[0] == gpu and other[1] <= began < other[2] for other in spans) for gpu, began, _ in spans)


@pytest.mark.slow
@pytest.mark.parametrize("places", [1, 2])
def test_no_more_jobs_on_a_gpu_than_it_has_places(locks: Path, places: int) -> None:
    jobs = [start(locks, "--gpus", "0,GPU-8a", "--places", str(places), seconds=1.0) for _ in range(6)]
    spans = [tuple(json.loads(job.communicate(timeout=60)[0])) for job in jobs]
    assert {gpu for gpu, _, _ in spans} == {"0", "GPU-8a"}
    assert most_at_once(spans) <= places


def test_a_killed_job_frees_its_gpu(locks: Path) -> None:
    first = start(locks, "--gpus", "0", seconds=60)
    assert first.stderr is not None and first.stderr.readline() == "CUDA_VISIBLE_DEVICES=0\n"
    second = start(locks, "--gpus", "0", seconds=0)
    taken = f"GPUs 0 are taken, by who holds {locks}/bleuprint-gpu-0-*.lock (waiting for a free GPU)\n"
    assert second.stderr is not None and second.stderr.readline() == taken
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate()
    output, errors = second.communicate(timeout=30)
    assert json.loads(output)[0] == "0" and "CUDA_VISIBLE_DEVICES=0" in errors


def test_a_gpu_shared_on_request_is_shared_last(locks: Path) -> None:
    assert [take(["0", "1"], places=2) for _ in range(5)] == ["0", "1", "0", "1", None]


def test_who_asked_to_be_alone_shares_with_nobody(locks: Path) -> None:
    assert take(["0"], places=2) == "0"
    assert take(["0", "1"], places=1) == "1"
    assert take(["0", "1"], places=1) is None
    assert take(["0", "1"], places=2) == "0"
    assert take(["0", "1"], places=2) is None


def test_other_users_can_use_the_locks(locks: Path) -> None:
    before = os.umask(0o077)
    assert take(["0"], places=1) == "0"
    assert os.umask(before) == 0o077
    files = list(locks.glob("bleuprint-gpu-*.lock"))
    assert files and {path.stat().st_mode & 0o777 for path in files} == {0o666}


def test_the_folder_is_the_first_that_all_users_may_write_to(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, shared = locks / "own", locks / "shared"
    own.mkdir(mode=0o755)
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(lease, "FOLDERS", (locks / "none", own, shared))
    assert lease.path("x").parent == shared
    monkeypatch.setattr(lease, "FOLDERS", (locks / "none", own))
    assert lease.path("x").parent == own  # where nobody else has one
    monkeypatch.setattr(lease, "FOLDERS", (locks / "none",))
    with pytest.raises(DataError, match=r"none cannot be written to; make one of them writable for all"):
        lease.path("x")
    with pytest.raises(DataError, match=r"no GPU is visible here; use a machine with one"):
        lease.lease([""], places=1)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_what_is_no_lock_file_ends_in_a_sentence(locks: Path, kind: str) -> None:
    path = lease.path("0-0")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/etc/passwd")
    with pytest.raises(DataError, match=r"gpu-0-0\.lock (is no regular file|cannot lock a GPU \(.+\)).*delete it"):
        take(["0"], places=1)


def test_a_foreign_lock_is_not_waited_for_without_a_word(locks: Path) -> None:
    with open(lease.path("choice"), "w") as foreign:
        fcntl.flock(foreign, fcntl.LOCK_EX)
        job = start(locks, "--gpus", "0", seconds=0)
        assert job.stderr is not None
        assert job.stderr.readline() == f"another process holds {foreign.name} (waiting for a free GPU)\n"
    assert json.loads(job.communicate(timeout=30)[0])[0] == "0"


def test_a_deleted_lock_file_locks_nothing(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleaner of /tmp deleted it after it had been opened."""
    opened = []

    def delete_the_first(path: Path) -> int:
        opened.append(open_(path))
        if len(opened) == 1:
            path.unlink()
        return opened[-1]

    open_ = lease._open
    monkeypatch.setattr(lease, "_open", delete_the_first)
    assert os.path.samestat(os.fstat(lease._choice()), lease.path("choice").stat()) and len(opened) == 2


def test_a_gpu_is_one_under_all_its_numbers(
    locks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process that sees the second GPU only calls it 0."""
    first, second = cuda.Gpu("H100", "GPU-aa"), cuda.Gpu("H200", "GPU-bb")
    monkeypatch.setattr(lease, "nvidia", lambda: (["H100", "H200"], "550.54.15"))
    monkeypatch.setattr(lease.cuda, "ask_driver", lambda visible: {"0,1": [first, second], "0": [second]}[visible])
    assert lease.lease(["0"], places=1) == "0"
    assert lease.lease(["0", "1"], places=1) == "0"
    log = capsys.readouterr().err
    assert cuda.computed_on(log.splitlines()) == ["H200 (GPU-bb), driver 550.54.15", "H100 (GPU-aa), driver 550.54.15"]
    monkeypatch.setattr(lease.cuda, "ask_driver", lambda visible: [first])  # a part of it
    assert lease.lease(["MIG-1", "MIG-2"], places=1) == "MIG-1"
    assert lease.path("MIG-1-0").exists() and not capsys.readouterr().err


def test_what_a_batch_scheduler_gave_is_not_leased_again(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lease.lease(["0"], places=1) == "0"
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert lease.scheduled() is None  # it was given no GPU, so that another user may use one
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    before = set(locks.iterdir())
    assert lease.lease(["0"], places=1) == "0" and set(locks.iterdir()) == before
    assert [lease.lease(["0", "1"], places=1) for _ in range(2)] == ["0", "1"]  # among the job's own commands
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    assert lease.lease(["0", "1"], places=1) == "0"


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


SWEEP = ["--config", "recipe=demo", "seed=1,2,3"]


def trainings(calls: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in calls.read_text().splitlines()]
    return [row for row in rows if row["program"] == "fairseq-train"]


def overlap(rows: list[dict[str, Any]]) -> int:
    return max(sum(other["began"] <= row["began"] < other["ended"] for other in rows) for row in rows)


def test_snakemake_trains_on_each_of_two_gpus_at_once(
    locks: Path, fake_fairseq: dict[str, str], tiny_text: Path, tmp_path: Path
) -> None:
    """Plain `snakemake --cores 2` on a machine with two (made-up) GPUs: two trainings at a time, one on each."""
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    gpus = [f"GPU-{uuid.uuid4()}" for _ in range(2)]  # no other process locks these
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    arguments = [*SNAKEMAKE[3:], "training", *SWEEP, f"overrides={TINY}"]
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv.pop(1));"
        " from bleuprint.machine import cuda, device;"
        " device.DEVICES = Path(sys.argv.pop(1));"
        " cuda.ask_torch = lambda: None; from snakemake.cli import main; main()"
    )
    command = [sys.executable, "-c", script, str(ROOT / "workflow"), str(tmp_path / "dev"), *arguments]
    times = tmp_path / "times.jsonl"
    env = os.environ | fake_fairseq | {"TIMES": str(times), "SLEEP": "2", "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    files = [path for folder in FOLDERS for gpu in gpus for path in folder.glob(f"bleuprint-gpu-{gpu}-*.lock")]
    for path in files:
        path.unlink()
    assert result.returncode == 0, result.stderr
    assert len(files) == 2 * lease.MOST
    rows = trainings(times)
    assert len(rows) == 3 and {row["gpu"] for row in rows} == set(gpus)
    assert overlap(rows) == 2
    for gpu in gpus:
        assert overlap([row for row in rows if row["gpu"] == gpu]) == 1
    assert {row["threads"] for row in rows} == {"1"}
    log = next((tmp_path / "results/training").glob("*/train.log")).read_text()
    assert (
        f"+ python -m bleuprint.machine.lease --gpus {','.join(gpus)} fairseq-train" in log
        and "CUDA_VISIBLE_DEVICES=" in log
    )
    assert "--cpu" not in log


def test_trainings_on_a_cpu_divide_the_cores(fake_fairseq: dict[str, str], tiny_text: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    times = tmp_path / "times.jsonl"
    env = os.environ | fake_fairseq | {"TIMES": str(times), "SLEEP": "2", "CUDA_VISIBLE_DEVICES": ""}
    command = [*SNAKEMAKE, "training", *SWEEP, f"overrides={TINY} runtime.threads=1"]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = trainings(times)
    assert overlap(rows) == 2 and {row["threads"] for row in rows} == {"1"}
    assert {row["gpu"] for row in rows} == {""}


# The plugin looks when it is loaded, hence two processes; fairseq is loaded before they part
LOADED = """
import os, sys
import fairseq_cli.generate, torch
sys.path.insert(0, sys.argv[1])
for workspace in ({}, {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}):
    if os.fork() == 0:
        os.environ |= workspace
        import fairseq_plugin
        print(torch.are_deterministic_algorithms_enabled(), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
def test_decodings_use_deterministic_algorithms_with_the_workspace() -> None:
    command = [sys.executable, "-c", LOADED, str(ROOT / "workflow" / "bleuprint")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.split() == ["False", "True"], result.stderr


def test_only_trainings_on_gpus_are_told_to_use_deterministic_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(experiments({"recipe": "demo", "overrides": "training.deterministic=true"}))
    (key,) = planned.stages["training"]
    for gpus, flags in ((("0",), "--choose best --deterministic"), ((), "--choose best")):
        monkeypatch.setattr(device, "gpus", lambda gpus=gpus: gpus)
        assert how.train(planned, key)["resume"].partition(" --data")[0] == flags
