"""Killed at any moment, resumed by the same command: the same tensors, hypotheses and scores."""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import drill
import pytest
import torch
from conftest import SNAKEMAKE, Snakemake
from conftest import TINY as TINY_KEYS
from drill import Kill

from bleuprint import files as files_module
from bleuprint.commands import alone
from bleuprint.files import DataError, link, read_json
from bleuprint.training.resume import ready
from bleuprint.training.stopped import stopped_early

# One thread: a training that shares its cores with other work and waits for its own threads takes ten times as long
SMALL = [
    "recipe=demo",
    "overrides=corpus.pairs=1500 corpus.valid_pairs=50 corpus.test_pairs=21 text.merges=200 training.max_update=100"
    " training.eval_bleu=true training.eval_bleu_args={beam:1,max_len_a:1.2,max_len_b:10} runtime.threads=1"
    " training.checkpoint=average_best training.average_epochs=3",
]


# One kill of each kind: jobs left behind, all gone at once, a checkpoint half written, a signal
SOME = [
    Kill(drill.updating, drill.snakemake_alone, 1.0),
    Kill(drill.updating, drill.everything, 2.0),
    Kill(drill.writing, drill.everything),
    Kill(drill.updating, drill.terminated),
]
# In the order of the stages: one that is finished cannot be killed
ALL = [
    Kill(drill.stage("text"), drill.snakemake_alone, 2.0),
    *SOME,
    Kill(drill.validating, drill.everything),
    Kill(drill.updating, drill.interrupted, 1.0),
    Kill(drill.trained, drill.everything),
    Kill(drill.stage("decoding"), drill.everything, 1.0),
]


# It stops before its latest end; test_early_stopping.py kills more such trainings, without the other stages
EARLY = [SMALL[0], f"{SMALL[1]} training.patience=1 training.lr=0.02 training.max_update=400"]


# A signal and a checkpoint half written are in test_early_stopping.py, without Snakemake; all at once below
SHORT = [
    SMALL[0],
    "overrides=corpus.pairs=200 corpus.valid_pairs=10 corpus.test_pairs=5 text.merges=50 runtime.threads=1",
]


@pytest.mark.slow
def test_a_training_killed_and_resumed_ends_in_the_same_bits(tmp_path: Path) -> None:
    left = Kill(drill.updating, drill.snakemake_alone)
    ((_, hit, _),) = drill.drill(tmp_path, SHORT, [left], seed=1, target="training", shared=("corpus", "text"))
    said = (tmp_path / "killed/calls.log").read_text()
    assert hit and "bleuprint: ending" in said and "that a killed snakemake left at work here" in said


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_and_resumed_over_all_stages_it_ends_in_the_same_bits(tmp_path: Path) -> None:
    rows = drill.drill(tmp_path, SMALL, ALL, seed=1)
    assert sum(hit for _, hit, _ in rows) >= len(ALL) - 2, rows
    ended = {what.split()[0]: seconds for what, hit, seconds in rows if hit}
    log = next(tmp_path.glob("killed/results/training/*/train.log")).read_text()
    if "terminated" in ended:  # where nothing else is at work it takes a second or two
        assert "bleuprint: training stopped by SIGTERM" in log and ended["terminated"] < 60
    said = (tmp_path / "killed/calls.log").read_text()
    assert "bleuprint: ending" in said and "that a killed snakemake left at work here" in said


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_and_resumed_it_stops_early_as_an_undisturbed_one(tmp_path: Path) -> None:
    rows = drill.drill(tmp_path, EARLY, [*SOME, Kill(drill.validating, drill.everything)], seed=2)
    assert sum(hit for _, hit, _ in rows) >= 4, rows
    logs = [next(tmp_path.glob(f"{name}/results/training/*/train.log")) for name in ("undisturbed", "killed")]
    stops = [stopped_early(log.read_text(encoding="utf-8")) for log in logs]
    assert stops[0] is not None and stops[0] == stops[1]


# A model translates half of the text of another one, whose made pairs get a tag and noise
MADE = [
    SMALL[0],
    f"{SMALL[1]} corpus.share=[0,0.5] runtime.min_kept=0 corpus.translated.by=[recipe=demo,corpus.pairs=1500,"
    "corpus.valid_pairs=50,corpus.test_pairs=21,text.merges=200,training.max_epoch=null,training.max_update=240,"
    "training.warmup_updates=60,decoding.beam=1]"
    " corpus.translated.side=source corpus.translated.share=[0.9,1] corpus.translated.copies=2 corpus.translated.tag=BT"
    " corpus.translated.noise={drop:0.2}",
]


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_and_resumed_a_translated_text_is_the_same(tmp_path: Path) -> None:
    stages = [drill.stage(name) for name in ("testset", "decoding", "text")]
    kills = [*(Kill(stage, drill.everything, 1.0) for stage in stages), Kill(drill.updating, drill.everything, 1.0)]
    rows = drill.drill(tmp_path, MADE, kills, seed=3)
    assert sum(hit for _, hit, _ in rows) >= 3, rows
    (cleaning,) = [path for path in tmp_path.glob("killed/results/text/*/cleaning.json") if "made" in read_json(path)]
    assert read_json(cleaning)["train"]["made"] > 0


TINY = ["--config", "recipe=demo", f"overrides={TINY_KEYS}"]


@pytest.fixture
def prepared(tiny_text: Path, tmp_path: Path) -> Path:
    """Return a folder in which the text stage has run."""
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


@contextmanager
def training(folder: Path, fake: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run Snakemake on a training that takes a minute."""
    with open(folder / "first.log", "w") as log:
        process = subprocess.Popen(
            [*SNAKEMAKE, "training", *TINY],
            cwd=folder,
            env=os.environ | fake | {"HANG": "1"},
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    deadline = time.monotonic() + 120
    while not (Path(fake["CALLS"]).exists() and '"fairseq-train"' in Path(fake["CALLS"]).read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def files(folder: Path) -> set[str]:
    return {str(path) for path in folder.glob("results/*/*/**") if path.is_file() and ".snakemake" not in path.name}


def test_a_second_snakemake_says_so_and_a_killed_one_needs_no_unlocking(
    snakemake: Snakemake, fake_fairseq: dict[str, str], prepared: Path
) -> None:
    with training(prepared, fake_fairseq) as first:
        before = files(prepared)
        same = snakemake("training", *TINY, env=fake_fairseq)
        assert same.returncode != 0 and "locked" in same.stderr
        locks = {path: path.read_text() for path in prepared.glob(".snakemake/locks/*")}
        # Snakemake itself lets calls pass that make other files
        other = snakemake("corpus", "--config", "recipe=demo", "overrides=corpus.pairs=99")
        assert other.returncode != 0
        said = f"bleuprint: another snakemake is at work in this folder (process {first.pid} on "
        assert said in other.stderr, other.stderr
        assert snakemake("-n", "training", *TINY).returncode == 0  # looking does no harm
        assert files(prepared) == before
        assert first.poll() is None
        first.kill()  # its job is left at work
        first.wait()
        assert locks
        for lock in locks:  # the call that Snakemake let pass has removed them
            lock.write_text(locks[lock])
        again = snakemake("training", *TINY, env=fake_fairseq)
    assert again.returncode == 0, again.stderr
    assert "that a killed snakemake left at work here" in again.stderr
    assert "tokenising" not in again.stderr


def test_without_locks_a_call_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(file: int, how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files_module.fcntl, "flock", none)
    alone.claim()
    assert "bleuprint: results/.call cannot be locked" in capsys.readouterr().err
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    lock.touch()
    alone.forget_killed(SimpleNamespace(is_main_process=True))
    assert lock.exists()  # who knows whose it is
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    alone.forget_killed(SimpleNamespace(is_main_process=True))
    assert not lock.exists()


def test_sigterm_ends_snakemake_and_its_jobs(fake_fairseq: dict[str, str], prepared: Path) -> None:
    with training(prepared, fake_fairseq) as first:
        first.terminate()
        assert first.wait(20) != 0  # the job would take a minute
        assert "Terminating processes on user request" in (prepared / "first.log").read_text()


def test_a_failed_training_leaves_the_others_going_and_the_report_tells(
    snakemake: Snakemake, fake_fairseq: dict[str, str], prepared: Path
) -> None:
    sweep = [*TINY, "seed=1,2"]
    result = snakemake("--keep-going", *sweep, env=fake_fairseq | {"FAIL": "--seed 2"})
    assert result.returncode != 0
    assert len(list(prepared.glob("results/scoring/*seed1*/scores.json"))) == 1
    (run,) = prepared.glob("results/runs/*seed1*/scores.json")
    page = (prepared / "results/report/index.html").read_text()
    assert run.parent.name in page
    assert "demo-transformer_tiny-seed2" in page and "missing" in page
    assert snakemake(*TINY, env=fake_fairseq).returncode == 0  # of that call nothing is missing
    assert "demo-transformer_tiny-seed2" not in (prepared / "results/report/index.html").read_text()


def checkpoint(save_dir: Path, name: str, *others: str) -> None:
    """Write a checkpoint under one name or several."""
    torch.save({"model": {"weight": torch.arange(500)}}, save_dir / name)
    for other in others:
        link(save_dir / name, save_dir / other)


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if how == "truncated" else data[:1500] + bytes(range(20)) + data[1520:])


@pytest.mark.parametrize("how", ["truncated", "corrupt"])
def test_a_damaged_newest_checkpoint_is_set_aside_for_the_one_before(tmp_path: Path, how: str) -> None:
    checkpoint(tmp_path, "checkpoint3.pt", "checkpoint_best.pt")
    checkpoint(tmp_path, "checkpoint_last.pt")
    assert ready(tmp_path, "best") == []
    damage(tmp_path / "checkpoint_last.pt", how)
    said = " ".join(ready(tmp_path, "best"))
    assert "checkpoint_last.pt is damaged and was renamed checkpoint_last.pt.damaged" in said
    assert "resumes from checkpoint3.pt" in said
    assert (tmp_path / "checkpoint_last.pt").samefile(tmp_path / "checkpoint3.pt")
    assert (tmp_path / "checkpoint_last.pt.damaged").exists()


def test_one_damaged_at_an_epochs_end_goes_with_all_its_names(tmp_path: Path) -> None:
    checkpoint(tmp_path, "checkpoint3.pt")
    checkpoint(tmp_path, "checkpoint4.pt", "checkpoint_best.pt", "checkpoint_last.pt")
    damage(tmp_path / "checkpoint_last.pt", "truncated")
    for choice in ("best", "average", "last"):
        copy = tmp_path / choice
        copy.mkdir()
        for path in tmp_path.glob("*.pt"):
            os.link(path, copy / path.name)
        said = ready(copy, choice)
        assert len(said) == 4 and "resumes from checkpoint3.pt" in said[-1]
        assert sorted(path.name for path in copy.glob("*.pt")) == ["checkpoint3.pt", "checkpoint_last.pt"]


def test_a_damaged_checkpoint_that_nothing_makes_again_is_an_error(tmp_path: Path) -> None:
    checkpoint(tmp_path, "checkpoint_best.pt")
    checkpoint(tmp_path, "checkpoint4.pt", "checkpoint_last.pt")
    damage(tmp_path / "checkpoint_best.pt", "truncated")
    with pytest.raises(
        DataError, match=r"checkpoint_best\.pt is damaged, .* move that folder away to train from the beginning"
    ):
        ready(tmp_path, "best")
    assert (tmp_path / "checkpoint_best.pt").exists()
    assert "was renamed" in ready(tmp_path, "average")[0]


def test_with_nothing_before_it_the_training_begins_anew(tmp_path: Path) -> None:
    checkpoint(tmp_path, "checkpoint_last.pt")
    damage(tmp_path / "checkpoint_last.pt", "corrupt")
    assert ready(tmp_path, "best")[-1] == "The training starts from the beginning."
    assert not list(tmp_path.glob("*.pt"))


def can_mount() -> bool:
    """Return whether this user may mount a small disk of their own."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", tempfile.gettempdir()]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


FEW = [
    "recipe=demo",
    "overrides=corpus.pairs=400 corpus.valid_pairs=20 corpus.test_pairs=5 text.merges=50 training.max_epoch=3"
    " runtime.threads=1",
]
FULL = """
mount -t tmpfs -o size=100m none disk
(until ls disk/results/{moment} > /dev/null 2>&1; do sleep 0.02; done; cat /dev/zero > disk/filler) 2> /dev/null &
"$@" -d disk > first.log 2>&1 && exit 1
wait
rm disk/filler
"$@" -d disk > second.log 2>&1
"""


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="no right to mount a small disk")
@pytest.mark.parametrize(
    "moment",
    ["text/*/tokenized", pytest.param("training/*/checkpoints/checkpoint_last.pt", marks=pytest.mark.nightly)],
)
def test_a_full_disk_stops_with_one_sentence_and_resumes(
    tmp_path: Path, fake_fairseq: dict[str, str], moment: str
) -> None:
    (tmp_path / "disk").mkdir()
    env = fake_fairseq if moment.startswith("text") else {}
    call = [*SNAKEMAKE, "--verbose", moment.split("/")[0], "--config", *FEW]
    command = ["unshare", "-rm", "bash", "-c", FULL.format(moment=moment), "bash", *call]
    result = subprocess.run(command, cwd=tmp_path, env=os.environ | drill.CPU | env)
    first = (tmp_path / "first.log").read_text()
    said = [line for line in first.splitlines() if line.startswith("bleuprint: the disk")]
    assert said and "is full; make room, and the same command resumes." in said[-1], first
    assert ("rule train:" in first) == moment.startswith("training")
    assert result.returncode == 0, (tmp_path / "second.log").read_text()[-3000:]


def test_headers_that_zipfile_takes_and_torch_does_not(tmp_path: Path) -> None:
    """Single flipped bits, anywhere: what cannot be loaded is set aside, and nothing ends in a traceback."""
    draw = random.Random(1)
    checkpoint(tmp_path, "checkpoint3.pt")
    whole = (tmp_path / "checkpoint3.pt").read_bytes()
    aside = 0
    for number in range(200):
        place = draw.randrange(len(whole) - 900, len(whole)) if number % 2 else draw.randrange(len(whole))
        data = bytearray(whole)
        data[place] ^= 1 << draw.randrange(8)
        (tmp_path / "checkpoint_last.pt").unlink(missing_ok=True)  # not in place: it may be the epoch's other name
        (tmp_path / "checkpoint_last.pt").write_bytes(data)
        aside += bool(ready(tmp_path, "average"))
        torch.load(tmp_path / "checkpoint_last.pt", weights_only=True)
        assert (tmp_path / "checkpoint3.pt").read_bytes() == whole
    assert aside > 100


def test_at_the_first_epochs_end_the_one_of_its_midst_is_gone_on_with(tmp_path: Path) -> None:
    checkpoint(tmp_path, "checkpoint_before.pt")
    checkpoint(tmp_path, "checkpoint1.pt", "checkpoint_best.pt", "checkpoint_last.pt")
    damage(tmp_path / "checkpoint_last.pt", "truncated")
    assert ready(tmp_path, "best")[-1] == "The training resumes from checkpoint_before.pt."


def test_files_half_written_are_removed(tmp_path: Path) -> None:
    save_dir = tmp_path / "checkpoints"
    save_dir.mkdir()
    left = [tmp_path / ".checkpoint.pt.17.part", save_dir / ".checkpoint_last.pt.17.part"]
    for path in left:
        path.touch()
    assert ready(save_dir, "best") == []
    assert not [path for path in left if path.exists()]
