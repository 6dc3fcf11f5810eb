"""bleuprint doctor: what it finds, what it refuses, and what it says a training will cost."""

import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from conftest import Snakemake

from bleuprint.commands import doctor, installation
from bleuprint.config.compose import experiments
from bleuprint.files import link
from bleuprint.machine import device
from bleuprint.plan import costs
from bleuprint.plan.explain import to_compute
from bleuprint.plan.graph import Plan
from bleuprint.plan.keys import plan

TINY = "corpus.pairs=100 corpus.valid_pairs=5 corpus.test_pairs=5 text.merges=50"
Usage = namedtuple("Usage", "total used free")
Memory = namedtuple("Memory", "total available")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(device, "gpus", lambda: ())
    monkeypatch.setattr(installation, "gpus", lambda: ())


def planned(**cli: Any) -> Plan:
    return plan(experiments(cli))


def wrong(made: Plan) -> list[str]:
    missing = to_compute(made)
    rows = [*installation.checks(made), *doctor.room(made, missing), *doctor.sources(made, missing)]
    return [said for _, _, said in rows if said]


def test_nothing_is_wrong_with_the_demo_here() -> None:
    assert wrong(planned(recipe="demo")) == []


def test_other_versions_and_missing_parts_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "version", lambda name: "0.0.1" if name == "sacrebleu" else "2.13.0+cpu")
    monkeypatch.setattr(installation, "COMPILED", ("data/no_such_part",))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installation, "gpus", lambda: ("0",))
    monkeypatch.setattr(device, "gpus", lambda: ("0",))
    monkeypatch.setattr(installation.cuda, "ask_torch", lambda: "Torch not compiled with CUDA enabled")
    said = " ".join(wrong(planned(recipe="demo")))
    assert "sacrebleu 0.0.1, not 2.6.0" in said
    assert "compiled parts are missing (data/no_such_part)" in said
    assert "fairseq-train, fairseq-generate" in said and "not found" in said
    assert "torch cannot use the GPU (Torch not compiled with CUDA enabled): install" in said
    made = planned(recipe="demo")
    with pytest.raises(SystemExit, match="torch cannot use the GPU"):
        doctor.refuse(made, to_compute(made), 2)
    monkeypatch.setattr(installation, "COMPILED", ())
    monkeypatch.setattr(installation, "PROGRAMS", ())
    doctor.refuse(made, {one for one in to_compute(made) if one[0] in ("corpus", "text")}, 2)  # which need no GPU
    doctor.refuse(made, to_compute(made), 2, elsewhere=True)


def test_torch_is_asked_for_the_gpu_that_is_to_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installation, "nvidia", lambda: (["NVIDIA H200"], "570.86.15"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "NoDevFiles")
    hidden = "none visible, but CUDA_VISIBLE_DEVICES=NoDevFiles hides NVIDIA H200, driver 570.86.15"
    assert installation.gpu(planned(recipe="demo")) == ("GPU", hidden, None)
    made = planned(recipe="demo", overrides="runtime.device=cuda")
    for missing in (to_compute(made), {need for need in to_compute(made) if need[0] == "decoding"}):
        with pytest.raises(SystemExit, match=r"^bleuprint: runtime.device=cuda: no GPU is visible here; use [^\n]+$"):
            doctor.refuse(made, missing, 2)
    monkeypatch.setattr(installation, "gpus", lambda: ("0",))
    monkeypatch.setattr(device, "gpus", lambda: ("0",))
    problems = iter([None, "no answer within 60 seconds"])
    monkeypatch.setattr(installation.cuda, "ask_torch", lambda: next(problems))
    shown = ("GPU", "NVIDIA H200, driver 570.86.15")
    assert installation.gpu(planned(recipe="demo", overrides="runtime.device=cpu")) == (*shown, None)  # not asked
    assert installation.gpu(planned(recipe="demo")) == (*shown, None)
    # Nothing is timed on a GPU that may hang
    monkeypatch.setattr(doctor, "steps", lambda stage, threads: pytest.fail("timed"))
    assert doctor.doctor(planned(recipe="demo")) == 1
    output = capsys.readouterr()
    assert "torch cannot use the GPU (no answer within 60 seconds): " in output.err
    assert "not timed without a GPU" in output.out


def test_a_disk_that_is_too_small_is_refused_before_any_job(monkeypatch: pytest.MonkeyPatch) -> None:
    made = planned(recipe="lightconv", overrides="runtime.device=cpu")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: Usage(10**10, 9 * 10**9, 10**9))
    with pytest.raises(SystemExit, match=r"about \d+\.\d GB of disk space are needed \(.*training \d.*make room"):
        doctor.refuse(made, to_compute(made), 2)
    kept = planned(recipe="lightconv", overrides="runtime.device=cpu training.average_last=30")
    sizes = [doctor.size("training", next(iter(one.stages["training"].values()))) for one in (made, kept)]
    assert sizes[1] / sizes[0] == pytest.approx(35 / 15)
    for choice, files in (("average_best", 6 + 5), ("average_around_best", 10 + 5)):
        best = planned(recipe="lightconv", overrides=f"training.checkpoint={choice}")
        found = doctor.size("training", next(iter(best.stages["training"].values())))
        assert found / sizes[0] == pytest.approx(files / 15)
    doctor.refuse(made, set(), 2)  # nothing is to be computed
    (name, key) = next(one for one in to_compute(made) if one[0] == "training")
    folder = Path("results", name, key, "checkpoints")
    folder.mkdir(parents=True)
    with open(folder / "checkpoint1.pt", "wb") as file:
        file.truncate(7 * 10**9)  # what is there already needs no room
    doctor.refuse(made, {(name, key)}, 2)
    with open(folder / "checkpoint1.pt", "r+b") as file:
        file.truncate(2 * 10**9)
    for other in ("last", "best", "before"):  # no more room is taken by more names
        link(folder / "checkpoint1.pt", folder / f"checkpoint_{other}.pt")
    with pytest.raises(SystemExit, match="of disk space are needed"):
        doctor.refuse(made, {(name, key)}, 2)


def test_estimates_heed_the_update_frequency_and_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    few = planned(overrides="training.max_epoch=null training.max_update=100")
    many = planned(overrides="training.max_epoch=null training.max_update=100 +training.update_freq=[8]")
    tokens = [costs.target_tokens(next(iter(one.stages["training"].values())).experiment) for one in (few, many)]
    assert tokens[1] == 8 * tokens[0]
    for written in ("8", "'[4,8]'", "'4,8'"):
        made = planned(overrides=[f"+training.update_freq={written}"])
        training = next(iter(made.stages["training"].values())).experiment.training
        assert costs.update_freq(training) == 8
    asked = []
    monkeypatch.setattr(
        doctor, "steps", lambda stage, threads: asked.append(stage) or {"tokens_per_second": 1e4, "parameters": 9}
    )
    sweep = planned(recipe="demo", overrides="text.merges=100,200")
    rows, wrong = doctor.costs(sweep, to_compute(sweep), 2)
    assert len(rows) == len(asked) == 2 and not wrong
    monkeypatch.setattr(doctor, "steps", lambda stage, threads: "CUDA out of memory.")
    assert "could not be timed: CUDA out of memory." in doctor.costs(sweep, to_compute(sweep), 2)[1][0]


def test_a_model_larger_than_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: Memory(2**30, 2**29))
    made = planned(overrides="runtime.device=cpu")
    with pytest.raises(SystemExit, match=r"a training needs about 3\.\d GB of memory, its loaders .* has 1\.1 GB"):
        doctor.refuse(made, to_compute(made), 2)


def test_files_are_looked_for_in_the_mirror_and_at_the_sources(tmp_path: Path) -> None:
    def rows(overrides: str) -> list[tuple[str, str, str | None]]:
        made = planned(overrides=overrides)
        return doctor.sources(made, to_compute(made))

    none = rows("corpus.sources=[http://127.0.0.1:9/de-en.tgz,/no/such/file]")
    assert [row[:2] for row in none] == [("de-en.tgz", "not found")]
    assert 'overrides="runtime.mirror=FOLDER"' in str(none[0][2])
    (tmp_path / "de-en.tgz").touch()
    assert rows("runtime.mirror=.") == [("de-en.tgz", "in .", None)]
    assert rows(f"corpus.sources=[file://{tmp_path}/de-en.tgz]")[0][2] is None


def test_the_cost_of_a_training_is_timed(snakemake: Snakemake) -> None:
    words = ["recipe=demo", "model=transformer_tiny,lightconv_tiny", f"overrides={TINY}"]
    result = subprocess.run(
        [sys.executable, "-m", "bleuprint.commands.cli", "doctor", *words], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if "_tiny-seed1" in line}
    assert len(rows) == 2
    for cells in rows.values():
        speed = float(cells[2].replace(",", ""))
        assert 10 < speed < 1e7
        tokens = 8 * 100 * costs.TOKENS_PER_PAIR
        minutes, seconds = cells[3].split(":")[-2:]
        assert 60 * int(minutes) + int(seconds) == pytest.approx(tokens / speed, abs=1.5)
        assert cells[4:] in (["7", "MB"], ["8", "MB"])
    assert "PROBLEM" not in result.stdout
