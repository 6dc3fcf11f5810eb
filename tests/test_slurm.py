"""Jobs on a cluster: a real SLURM of two made-up nodes; killed, cancelled or requeued, the bits are the same."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import drill
import psutil
import pytest
from conftest import ROOT, SNAKEMAKE, TINY, run_snakemake

from bleuprint.commands import alone, cluster, watch
from bleuprint.commands.run import profile
from bleuprint.config.compose import experiments
from bleuprint.files import DataError, write_json
from bleuprint.machine import slurm
from bleuprint.plan import costs
from bleuprint.plan.keys import plan

sys.path.insert(0, str(ROOT / "tests" / "slurm"))
import cluster as made_up

PLUGIN = Path(sys.prefix) / "slurm"  # where `make slurm` puts Snakemake's plugin, for this file alone
PROFILE = ["--workflow-profile", str(ROOT / "profiles" / "slurm"), "--slurm-status-command", "squeue"]
# A job takes some seconds here. One that has not ended at the first check is looked at ten seconds later
QUICK = ["--slurm-init-seconds-before-status-checks", "8", "--latency-wait", "5"]
ON_SLURM = [*SNAKEMAKE[: SNAKEMAKE.index("--cores")], *PROFILE, *QUICK]
CPU = "runtime.device=cpu runtime.threads=1"
DEMO = ["--config", "recipe=demo", f"overrides={TINY} {CPU}"]


@pytest.fixture(scope="module")
def plugin() -> dict[str, str]:
    """Return the variables with which Snakemake finds its plugin for SLURM."""
    if not PLUGIN.is_dir():  # it may be installed where Snakemake is: make env EXTRAS=slurm
        pytest.importorskip("snakemake_executor_plugin_slurm", reason="no plugin for SLURM: make slurm")
    return {"PYTHONPATH": os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])}


@pytest.fixture(scope="module")
def on_slurm(plugin: dict[str, str]) -> Iterator[dict[str, str]]:
    """Return the environment in which SLURM's commands find a cluster of two made-up nodes."""
    if absent := made_up.missing():
        pytest.skip(f"no SLURM here ({', '.join(absent)}): make slurm")
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons need root")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a short path, for munge's socket
    try:
        made_up.up(folder)
        yield os.environ | plugin | made_up.environment(folder)
    finally:
        made_up.down(folder)
        shutil.rmtree(folder, ignore_errors=True)


STARTED: list[psutil.Popen] = []


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """End the calls that a failed test has left."""
    yield
    for process in STARTED:
        if process.poll() is None:
            process.kill()
            process.wait()
    STARTED.clear()


def start(folder: Path, env: dict[str, str], *words: str) -> psutil.Popen:
    """Start a call that lets SLURM run its jobs."""
    with open(folder / "calls.log", "a") as log:
        command = [*ON_SLURM, *words]
        STARTED.append(psutil.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True))
    return STARTED[-1]


def wait(ready: Callable[[], object], process: psutil.Popen | None, folder: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        ended = process is not None and process.poll() is not None
        assert not ended and time.monotonic() < deadline, (folder / "calls.log").read_text()[-3000:]
        time.sleep(0.1)


def queue(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[slurm.Job]:
    """Return the jobs of the last call in the working directory."""
    monkeypatch.setenv("SLURM_CONF", env["SLURM_CONF"])
    known = alone.current()
    return slurm.jobs(known["slurm"]) if known and known.get("slurm") else []


def test_a_killed_call_is_cleared_away_by_the_next_one(
    on_slurm: dict[str, str], fake_fairseq: dict[str, str], tiny_text: Path, tmp_path: Path, monkeypatch
) -> None:
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    env = on_slurm | fake_fairseq | {"PATH": f"{Path(fake_fairseq['CALLS']).parent / 'fakes'}:{on_slurm['PATH']}"}
    monkeypatch.chdir(tmp_path)
    first = start(tmp_path, env | {"HANG": "1"}, *DEMO)
    calls = Path(fake_fairseq["CALLS"])
    wait(lambda: calls.exists() and '"fairseq-train"' in calls.read_text(), first, tmp_path)
    (job,) = queue(env, monkeypatch)
    assert job.state == "RUNNING" and job.node in made_up.NODES and job.comment.startswith("rule_train_")
    known = alone.current()
    assert known is not None
    (row,) = [watch.state(run, True, 0.0, [job]) for run in known["runs"]]
    assert row.device.endswith(f"on {job.node}")
    first.kill()  # its job stays
    first.wait()
    assert queue(env, monkeypatch) == [job]
    write_json(alone.CURRENT, known | {"host": "another", "process": 1})  # the next call is made on another host
    second = start(tmp_path, env, "training", *DEMO)
    wait(lambda: second.poll() is not None, None, tmp_path)
    log = (tmp_path / "calls.log").read_text()
    assert second.returncode == 0, log[-3000:]
    assert "bleuprint: cancelling what a snakemake that has ended left in SLURM (1 job)" in log
    assert len(list(tmp_path.glob("results/training/*/seal.json"))) == 1
    assert queue(env, monkeypatch) == []


REAL = [
    "--config",
    "recipe=demo",
    "seed=1,2",
    "overrides=corpus.pairs=400 corpus.valid_pairs=20 corpus.test_pairs=5 text.merges=50 training.max_update=150"
    f" runtime.log_interval=5 {CPU}",
]


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_stopped_and_requeued_it_ends_in_the_bits_of_a_local_run(
    on_slurm: dict[str, str], tmp_path: Path, monkeypatch
) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    for folder in (local, remote):
        folder.mkdir()
    words = REAL
    assert run_snakemake(local, *words, env=drill.CPU).returncode == 0
    monkeypatch.chdir(remote)

    def trains() -> bool:
        return drill.updating(remote)

    first = start(remote, on_slurm, *words)
    wait(trains, first, remote, 900)
    first.kill()
    first.wait()
    second = start(remote, on_slurm, *words)
    wait(lambda: (alone.current() or {}).get("process") == second.pid, second, remote, 900)
    assert "cancelling what a snakemake" in (remote / "calls.log").read_text()
    wait(lambda: len(queue(on_slurm, monkeypatch)) == 2, second, remote, 900)
    # As --signal does shortly before the time limit; as SLURM does with a preempted job
    for job, command in zip(
        queue(on_slurm, monkeypatch), (["scancel", "--signal=TERM"], ["scontrol", "requeue"]), strict=True
    ):
        train_log = remote / "results/training" / job.comment.removeprefix("rule_train_wildcards_") / "train.log"
        wait(lambda log=train_log: "train_inner" in log.read_text().splitlines()[-1], second, remote, 900)
        subprocess.run([*command, job.number], env=on_slurm, check=True)
    wait(lambda: second.poll() is not None, None, remote, 1800)
    log = (remote / "calls.log").read_text()
    assert second.returncode == 0 and "Trying to restart job" in log, log[-3000:]
    logs = "".join(path.read_text() for path in remote.glob("results/training/*/train.log"))
    assert "bleuprint: training stopped by SIGTERM" in logs
    assert drill.difference(local, remote) is None


@pytest.mark.slow
def test_no_second_training_in_a_folder_while_one_lives(
    fake_fairseq: dict[str, str], tiny_text: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    words = ["training", "--config", "recipe=demo", f"overrides={TINY}"]
    (key,) = plan(experiments({"recipe": "demo", "overrides": TINY})).stages["training"]
    log = tmp_path / "results/training" / key / "train.log"
    log.parent.mkdir(parents=True)
    with open(log, "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = run_snakemake(tmp_path, *words, env=fake_fairseq)
        assert refused.returncode != 0
        assert f"bleuprint: another training is at work in results/training/{key}; wait until it" in refused.stderr
        assert not Path(fake_fairseq["CALLS"]).exists()  # no fairseq-train
    assert run_snakemake(tmp_path, *words, env=fake_fairseq).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(
            ["--shared-fs-usage", "none", *DEMO],
            "bleuprint: --shared-fs-usage: all machines must see this folder",
            marks=pytest.mark.nightly,
        ),
        ([*DEMO[:-1], "runtime=default"], "bleuprint: runtime.device=auto looks for a GPU on this machine"),
    ],
)
def test_what_cannot_work_on_other_machines_ends_in_one_sentence(
    plugin: dict[str, str], tmp_path: Path, words: list[str], sentence: str
) -> None:
    env = os.environ | plugin
    result = subprocess.run([*ON_SLURM, "-n", *words], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode != 0 and sentence in result.stderr and "Traceback" not in result.stderr, result.stderr


def test_files_that_no_other_machine_sees_are_refused() -> None:
    planned = plan(experiments({"recipe": "demo"}))
    elsewhere = workflow(storage_settings=SimpleNamespace(shared_fs_usage=frozenset()))
    with pytest.raises(SystemExit, match=r"^bleuprint: --shared-fs-usage: all machines must see this folder"):
        cluster.refuse_unknown_machine(elsewhere, planned)


def workflow(**known: object) -> SimpleNamespace:
    settings = SimpleNamespace(cores=known.pop("cores", None), nodes=known.pop("nodes", None))
    return SimpleNamespace(**{"is_main_process": True, "remote_exec": False, "resource_settings": settings} | known)


def test_a_call_knows_whether_its_jobs_run_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.submitted(workflow(nodes=100))
    assert cluster.submitted(workflow(cores=4, is_main_process=False, remote_exec=True))  # a job
    for executor, elsewhere in {"slurm": True, "local": False, None: False}.items():  # a dry run gets one core
        monkeypatch.setattr(cluster, "executor_named", lambda executor=executor: executor)
        assert cluster.submitted(workflow(cores=1, nodes=100)) == elsewhere
    assert not cluster.submitted(workflow(cores=4))
    assert not cluster.submitted(workflow())
    assert cluster.with_runtime({"recipe": "demo"}) == {"recipe": "demo", "runtime": "slurm"}
    named = {"overrides": "runtime=default seed=3"}
    assert cluster.with_runtime(named) == named


def test_what_a_training_asks_for_comes_from_the_config() -> None:
    (tiny,) = experiments({"recipe": "demo", "overrides": "runtime.device=cpu"})
    (large,) = experiments({"overrides": "runtime=slurm runtime.time_limit=600"})
    (on_cpu,) = experiments(
        {"overrides": "runtime=slurm runtime.time_limit=600 runtime.device=cpu training.max_tokens=16000"}
    )
    assert costs.SET_UP <= costs.minutes(tiny.experiment, 1) < 60
    assert costs.minutes(large.experiment, 4) == costs.minutes(on_cpu.experiment, 4) == 600
    assert costs.memory_mb(tiny.experiment) == costs.LEAST_MB < costs.memory_mb(on_cpu.experiment)


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, squeue: str) -> Path:
    """Put stand-ins for squeue and scancel first on PATH; return the file of what scancel is given."""
    for name, body in {"squeue": squeue, "scancel": f'echo "$@" >> {folder}/cancelled; rm -f {folder}/jobs'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "cancelled"


KNOWN = {"host": "login2", "process": 1, "slurm": "bleuprint_1", "runs": []}


def test_jobs_of_a_dead_call_are_cancelled_by_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs").write_text("7|RUNNING|node1|rule_train_wildcards_a-1\n8|PENDING||rule_train_wildcards_a-2\n")
    cancelled = stand_in(tmp_path, monkeypatch, f"cat {tmp_path}/jobs 2>/dev/null; true")
    first, second = slurm.jobs("bleuprint_1")
    assert (first.node, second.node, second.state) == ("node1", "", "PENDING")
    with pytest.raises(SystemExit, match=r"a snakemake on login2 has 2 jobs of this folder .*scancel --name=bleu"):
        cluster.refuse_beside(KNOWN)
    cluster.cancel_left(KNOWN)
    assert "(2 jobs)" in capsys.readouterr().err and cancelled.read_text() == "--name=bleuprint_1\n"
    cluster.cancel_left(KNOWN)
    cluster.cancel_left({"host": "login2", "process": 1, "runs": []})  # of a call on its own machine
    cluster.refuse_beside(None)
    assert cancelled.read_text().count("\n") == 1 and not capsys.readouterr().err


def test_without_an_answer_of_slurm_a_call_ends_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SystemExit, match=r"squeue: slurm_load_jobs error: Unable to contact .* \(sinfo\)"):
        cluster.cancel_left(KNOWN)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="squeue: not found"):
        slurm.jobs("bleuprint_1")


def test_where_files_cannot_be_locked_the_scheduler_tells_of_another_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "echo '7|RUNNING|node1|rule_train'")
    monkeypatch.chdir(tmp_path)

    def none(file: int) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(alone, "locked", none)
    alone.LOCK.parent.mkdir()
    write_json(alone.CURRENT, KNOWN)
    with pytest.raises(SystemExit, match="a snakemake on login2 has 1 job of this folder in SLURM"):
        alone.claim()
    write_json(alone.CURRENT, KNOWN | {"host": socket.gethostname(), "process": os.getpid()})
    monkeypatch.setattr(alone, "alive", lambda known: True)
    with pytest.raises(SystemExit, match="has 1 job of this folder in SLURM"):  # never those of a living call
        alone.claim()


def test_run_on_a_cluster_reads_its_profile(plugin: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    if PLUGIN.is_dir():
        monkeypatch.syspath_prepend(PLUGIN)
    assert profile("slurm") == ["--workflow-profile", str(ROOT / "profiles" / "slurm")]
    with pytest.raises(DataError, match=r"--on moon: no such folder in .*choose from cluster-generic, slurm"):
        profile("moon")
