"""One training in several processes: the same as with one, killed or not; its launcher, its GPUs and its threads."""

import io
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import drill
import psutil
import pytest
import torch
from conftest import ROOT, TINY, run_snakemake
from drill import Kill
from sessions import run_sessions

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.files import DataError
from bleuprint.machine import device, endings, lease, memory, processes
from bleuprint.plan import costs, fairseq_flags
from bleuprint.plan.keys import plan
from bleuprint.report import facts
from bleuprint.training import progress
from bleuprint.training.checkpoints import load

Session = tuple[str, dict[str, Any], int, dict[int, tuple[str, int, int]], bool]
# Without dropout, as each process would draw its own
PLAIN = {"dropout": 0.0, "max_update": 9, "log_interval": 3}


def train(folder: Path, *sessions: Session) -> list[list[int]]:
    """Run sessions of fairseq-train on made-up text, and return the exit statuses of the processes of each."""
    return run_sessions("ranks_process.py", folder, sessions)


def losses(log: Path) -> list[str]:
    """Return the losses in a log, of updates and validations."""
    return re.findall(r'(?:train_inner|valid):.*?"(?:valid_)?loss": "([\d.]+)"', log.read_text())


def farthest(one: Path, other: Path) -> float:
    """Return the largest difference between the tensors of two checkpoints."""
    models = [load(path / "checkpoint_last.pt")["model"] for path in (one, other)]
    assert models[0].keys() == models[1].keys()
    return max(float((models[0][key].double() - models[1][key].double()).abs().max()) for key in models[0])


@pytest.mark.slow
def test_two_processes_train_as_one_that_collects_two_batches(tmp_path: Path) -> None:
    statuses = train(
        tmp_path,
        ("two", PLAIN, 2, {}, False),
        ("one", PLAIN | {"update_freq": [2]}, 1, {}, False),
        ("stopped", PLAIN, 2, {1: ("updating", 4, signal.SIGTERM)}, False),  # only one of them is told
        ("stopped", PLAIN, 2, {}, False),
    )
    assert statuses == [[0, 0], [0], [128 + signal.SIGTERM] * 2, [0, 0]]
    assert losses(tmp_path / "two.0.log") == losses(tmp_path / "one.0.log") and not losses(tmp_path / "two.1.log")
    assert len(losses(tmp_path / "two.0.log")) >= 4
    assert farthest(tmp_path / "two", tmp_path / "one") < 1e-6
    assert farthest(tmp_path / "two", tmp_path / "stopped") == 0.0
    logs = [(tmp_path / f"stopped.{rank}.log").read_text() for rank in (0, 1)]
    sentence = "bleuprint: training stopped by SIGTERM and saved after update 5; the same command resumes it."
    assert logs[0].count(sentence) == 1 and "bleuprint: " not in logs[1]
    assert "Loaded checkpoint" in logs[0] and "@ 5 updates" in logs[0]


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_and_resumed_two_processes_end_in_the_same_bits(tmp_path: Path) -> None:
    flags = {"max_update": 40, "patience": 5, "clip_norm": 1.0}
    kills = itertools.product((0, 1), ("updating", "validated", "saved"), (signal.SIGKILL, signal.SIGTERM))
    killed: list[Session] = [
        ("killed", flags, 2, {rank: (moment, 3 + 2 * number, int(sent))}, number % 2 == 0)
        for number, (rank, moment, sent) in enumerate(kills)
    ]
    statuses = train(tmp_path, ("whole", flags, 2, {}, False), *killed, ("killed", flags, 2, {}, False))
    assert statuses[0] == statuses[-1] == [0, 0] and sum(any(pair) for pair in statuses[1:-1]) >= 8
    assert farthest(tmp_path / "whole", tmp_path / "killed") == 0.0
    for name in ("checkpoint_last.pt", "checkpoint_best.pt"):
        one, other = (load(tmp_path / save_dir / name)["model"] for save_dir in ("whole", "killed"))
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


PAIR = "corpus.pairs=1500 corpus.valid_pairs=50 corpus.test_pairs=21 text.merges=200 training.max_update=100"


@pytest.mark.nightly
@pytest.mark.slow
def test_a_pipeline_that_trains_in_two_processes_survives_all_kills(tmp_path: Path) -> None:
    kills = [
        Kill(drill.updating, drill.snakemake_alone, 1.0),
        Kill(drill.updating, launcher_alone, 1.0),
        Kill(drill.updating, drill.everything, 2.0),
        Kill(drill.writing, drill.everything),
        Kill(drill.updating, drill.terminated),
        Kill(drill.updating, drill.interrupted, 1.0),
    ]
    words = f"overrides={PAIR} runtime.threads=1 runtime.log_interval=5 training.gpus=2"
    rows = drill.drill(tmp_path, ["recipe=demo", words], kills, seed=1)
    assert sum(hit for _, hit, _ in rows) >= len(kills) - 1, rows
    assert max(seconds for _, hit, seconds in rows if hit) < 60
    log = next(tmp_path.glob("killed/results/training/*/train.log")).read_text()
    assert "bleuprint: training stopped by SIGTERM and saved" in log


def _workers(call: Any) -> list[psutil.Process]:
    """Return the processes of a call that train together."""
    workers = []
    for process in call.children(recursive=True):
        with suppress(psutil.Error):
            workers += [process] if "TORCHELASTIC_RUN_ID" in process.environ() else []
    return workers


def launcher_alone(call: Any) -> None:
    """SIGKILL to torch's launcher, once its processes make updates; they must not stay at work."""
    deadline = time.monotonic() + 120
    while len(workers := _workers(call)) < 2:  # until then those of the call before may still make updates
        assert time.monotonic() < deadline and call.poll() is None
        time.sleep(0.1)
    before = _lines(call)
    while _lines(call) == before:
        assert time.monotonic() < deadline and call.poll() is None
        time.sleep(0.1)
    workers[0].parent().kill()
    deadline = time.monotonic() + 5
    while any(process.is_running() for process in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _lines(call: Any) -> int:
    """Return how many lines on updates the log of a call's training has."""
    logs = Path(call.cwd()).glob("results/training/*/train.log")
    return sum(log.read_text(errors="replace").count("train_inner |") for log in logs)


@pytest.mark.parametrize(
    ("codes", "status"), [([1, -9], 137), ([1, 1], 1), ([143, 1], 1), ([-15, -9], 137), ([-11], 139), ([143, 143], 143)]
)
def test_the_launcher_ends_as_a_single_process_would(codes: list[int], status: int) -> None:
    assert processes.status(codes) == status


def test_the_cause_is_what_failed_first_not_what_the_others_say_then() -> None:
    lines = [
        "ValueError: the cause",
        "RuntimeError: [/pytorch/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:63638.",
        "SystemExit: 143",
    ]
    told = endings.cause(endings.Job("train", "train.log", 1), lines, memory.Usage())
    assert told == "a command of the rule train failed with status 1: ValueError: the cause"
    told = endings.cause(endings.Job("train", "train.log", 1), lines[1:2], memory.Usage())
    assert told is not None and "Connection closed by peer" in told


def test_a_sentence_of_all_processes_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--{name}={tmp_path}/{name}" for name in ("session", "log", "metrics")]
    monkeypatch.setattr(sys, "argv", ["progress", "--name=x", *words])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"bleuprint: x: correct it\n" * 2)))
    monkeypatch.setattr(progress.signal, "signal", lambda number, handler: None)
    progress.main()
    assert capsys.readouterr().err.count("correct it") == 1
    assert (tmp_path / "log").read_text().count("correct it") == 2


def test_the_report_counts_gpus() -> None:
    line = "| rank {:3d}: capabilities =  9.0  ; total memory = 79.2 GB ; name = NVIDIA H100     \n"
    assert facts.device(line.format(0), {}) == "NVIDIA H100"
    assert facts.device(line.format(0) + line.format(1), {}) == "2 × NVIDIA H100"


# Rank 1 is sent a signal by itself; rank 0 would take a minute, or needs a second to save
RANKS = {
    "killed": 'if [ "$RANK" = 1 ]; then kill -9 $$; fi; sleep 60',
    "stopped": 'trap "sleep 1; echo saved $RANK; exit 143" TERM; echo ready; while :; do sleep 0.1; done',
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("killed", 137), ("stopped", 143)])
def test_no_process_is_left_behind_or_cut_short(name: str, status: int) -> None:
    command = [sys.executable, "-m", "bleuprint.machine.processes", "--standalone", "--nproc-per-node", "2"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "sh", "-c", RANKS[name]], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        if name == "stopped":
            assert [launcher.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
            launcher.terminate()
            time.sleep(0.3)
            launcher.terminate()  # Snakemake and a terminal may both send one
        output, errors = launcher.communicate(timeout=50)
    assert launcher.returncode == status and "Traceback" not in errors, errors
    assert sorted(output.split("\n")) == (["", "saved 0", "saved 1"] if name == "stopped" else [""])


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for this test's locks alone, on a machine without a driver and a scheduler."""
    monkeypatch.setattr(lease, "FOLDERS", (tmp_path,))
    monkeypatch.setattr(lease.cuda, "ask_driver", lambda visible: [])
    for variable in lease.SCHEDULERS:
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def take(gpus: str, number: int, places: int = 1) -> str | None:
    return lease.take({gpu: gpu for gpu in gpus}, places, number)


def held(locks: Path) -> set[str]:
    """Return the GPUs that this process holds."""
    files = [os.readlink(f"/proc/self/fd/{file}") for file in os.listdir("/proc/self/fd") if _is_open(file)]
    return {match[1] for file in files if (match := re.search(rf"{locks}/bleuprint-gpu-(\w)-", file))}


def _is_open(file: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{file}")


def test_a_training_gets_all_its_gpus_or_holds_none(locks: Path) -> None:
    assert take("012", 2) == "0,1" and held(locks) == {"0", "1"}
    assert take("012", 2) is None and held(locks) == {"0", "1"}  # it holds nothing while it waits for another one
    assert take("012", 1) == "2"
    assert lease.lease(["8", "9"], places=1, number=2) == "8,9"
    with pytest.raises(DataError, match=r"training.gpus=4: 3 GPUs are visible here; .* lower it"):
        lease.lease(["0", "1", "2"], places=1, number=4)


def test_trainings_share_gpus_on_request(locks: Path) -> None:
    assert [take("012", 2, places=2) for _ in range(4)] == ["0,1", "2,0", "1,2", None]


def test_what_a_scheduler_gave_to_a_training_is_taken_whole(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert lease.lease(["2", "3"], places=1, number=2) == "2,3" and not list(locks.iterdir())


LEASE = """
import sys; from pathlib import Path; from bleuprint.machine import lease
lease.FOLDERS, lease.WAIT, lease.cuda.ask_driver = (Path(sys.argv.pop(1)),), 0.05, lambda visible: []
lease.main()
"""


def test_two_trainings_that_want_the_same_gpus_do_not_wait_for_each_other(locks: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    words = ("0,1,2", "2,1,0", "1,2,0")
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", LEASE, str(locks), "--gpus", gpus, "--number", "2", "sh", "-c", "sleep 0.2"],
            env=env,
            stderr=subprocess.PIPE,
        )
        for gpus in words * 2
    ]
    assert [job.wait(timeout=30) for job in jobs] == [0] * len(jobs)
    for job in jobs:
        job.communicate()


def experiment(overrides: str) -> Any:
    return experiments({"recipe": "demo", "overrides": overrides})[0].experiment


def test_the_number_of_gpus_is_a_part_of_the_training_and_how_they_are_spread_is_not() -> None:
    keys = [
        next(iter(plan(experiments({"recipe": "demo", "overrides": words})).stages["training"]))
        for words in ("", "training.gpus=1", "training.gpus=4", "training.gpus=4 runtime.nodes=2")
    ]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert "gpus" not in experiment("").resolved()["training"]
    assert experiment("training.gpus=4").resolved()["training"]["gpus"] == 4
    with pytest.raises(ConfigError, match=r"training.gpus=3 cannot be spread evenly over 2 machines"):
        experiment("training.gpus=3 runtime.nodes=2")


def test_estimates_count_the_batches_of_all_processes() -> None:
    one, four = (experiment(f"training.gpus={number} +training.update_freq=[2]") for number in (1, 4))
    assert costs.update_tokens(four.training) == 4 * costs.update_tokens(one.training) == 8 * one.training.max_tokens
    here = costs.training_memory(experiment("runtime.device=cpu training.gpus=4"))
    assert here == 4 * costs.training_memory(experiment("runtime.device=cpu"))
    assert here == 2 * costs.training_memory(experiment("runtime.device=cpu training.gpus=4 runtime.nodes=2"))


def test_how_several_processes_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = experiment("runtime.device=cpu").runtime
    spread = experiment("runtime.device=cuda runtime.nodes=2 training.gpus=8").runtime
    monkeypatch.setattr(device, "gpus", lambda: ("0", "1", "2", "3"))
    started = "python -m bleuprint.machine.processes --nproc-per-node"
    assert device.launcher(runtime, False, 2) == f"python -m bleuprint.machine.allocator {started} 2 --standalone"
    leased = f"python -m bleuprint.machine.lease --gpus 0,1,2,3 --number 2 {started} 2 --standalone"
    assert device.launcher(experiment("").runtime, False, 2) == leased
    words = device.launcher(spread, False, 8)
    assert words.startswith("srun --nodes 2 --ntasks 2 --ntasks-per-node 1 --cpus-per-task ")
    assert f" python -m bleuprint.machine.lease --number 4 {started} 4 --nnodes 2 --rdzv-backend c10d " in words
    assert device.training_threads(experiment("").runtime, 16, 2) == 8
    assert device.training_threads(runtime, 16, 2) == 16
    assert device.training_threads(experiment("runtime.device=cpu runtime.threads=3").runtime, 16, 2) == 6
    assert device.training_threads(experiment("runtime.device=cuda runtime.threads=4").runtime, 1, 8, True) == 32
    assert device.training_threads(spread, 1, 8, True) == 4 * (spread.threads or 1)


@pytest.mark.slow
def test_processes_share_the_threads_of_a_job(tiny_text: Path) -> None:
    """Snakemake gives the matrix products of each process as many threads as the job has, by a variable of MKL's."""
    words = f"overrides={TINY} training.gpus=2 runtime.device=cpu"
    result = run_snakemake(tiny_text, "--dry-run", "--printshellcmds", "training", "--config", "recipe=demo", words)
    assert "export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1;" in result.stdout, result.stdout + result.stderr
    assert "python -m bleuprint.machine.processes --nproc-per-node 2 --standalone fairseq-train" in result.stdout


def test_only_fairseq_train_is_told_of_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu, on_gpu = (experiment(f"training.gpus=2 runtime.device={name}") for name in ("cpu", "cuda"))
    flags = fairseq_flags.train_how(on_cpu, on_cpu.runtime, "folder")
    assert "--distributed-world-size 2" in flags and "--distributed-backend gloo --ddp-backend legacy_ddp" in flags
    assert "--distributed-world-size 2" in fairseq_flags.train_how(on_gpu, on_gpu.runtime, "folder")
    assert "gloo" not in fairseq_flags.train_how(on_gpu, on_gpu.runtime, "folder")
    assert "--distributed-world-size 2" not in fairseq_flags.generate_how(on_gpu, on_gpu.runtime)


def test_a_training_that_cannot_start_here_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpus", lambda: ("0", "1"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    words = costs.refusal(experiment("training.gpus=4"), threads=2)
    assert words is not None and words.startswith("training.gpus=4: 2 are visible here (0,1); lower it")
    assert costs.refusal(experiment("training.gpus=2"), threads=2) is None
    assert costs.refusal(experiment("training.gpus=4 runtime.device=cpu"), threads=2) is None
    words = costs.refusal(experiment("training.gpus=4 runtime.nodes=2"), threads=2)
    assert words is not None and words.startswith("runtime.nodes=2: only SLURM starts a training on several machines")
