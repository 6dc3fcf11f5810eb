"""Seals: they decide what is finished, whatever the files' times; damaged files are noticed before they are used."""

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CPU, TINY, run_snakemake, stand_ins

from bleuprint.commands import watch
from bleuprint.config.compose import experiments
from bleuprint.files import DataError
from bleuprint.plan.explain import explain
from bleuprint.plan.keys import plan
from bleuprint.plan.times import settle
from bleuprint.record import seal
from bleuprint.record.folder import begin

SMALL = f"overrides={TINY}"
FOLDER = Path("results/text/demo-12345678")
PARENT = Path("results/corpus/demo-12345678")


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A text stage, made from a corpus, in a folder of its own; its seal."""
    monkeypatch.chdir(tmp_path)
    write(PARENT / "raw/train.de", "ein hund\n")
    begin(PARENT, "{}")
    seal.seal(PARENT)
    write(FOLDER / "bin/train.bin", "0123456789")
    write(FOLDER / "codes", "a b\n")
    begin(FOLDER, '{"merges":5}', [PARENT / "raw", PARENT / "seal.json"])
    seal.seal(FOLDER)
    return known()


def known() -> dict[str, Any]:
    found = seal.read(FOLDER)
    assert found is not None
    return found


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_who_reads_a_whole_folder_has_all_its_files_checked(sealed: dict[str, Any]) -> None:
    write(FOLDER / "codes", "b a\n")
    with pytest.raises(DataError, match="codes has changed"):
        seal.check([FOLDER], Path("results/training/x"))


def test_a_seal_names_files_parents_and_circumstances(sealed: dict[str, Any]) -> None:
    assert set(sealed["files"]) == {"config.yaml", "bin/train.bin", "codes"}
    assert sealed["files"]["codes"]["bytes"] == 4 and len(sealed["files"]["codes"]["sha256"]) == 64
    assert list(sealed["parents"]) == [str(PARENT)] and sealed["stage"] == "text"
    assert "torch" in sealed["environment"]["packages"] and sealed["sealed"].endswith("+00:00")
    assert seal.holds(FOLDER) and seal.check([FOLDER / "bin", FOLDER / "seal.json"], Path("results/training/x"))


def test_the_same_files_keep_their_seal(sealed: dict[str, Any]) -> None:
    """A job that made nothing new does not change who made it, when and on what."""
    before = (FOLDER / "seal.json").read_bytes()
    (FOLDER / "environment.json").write_text('{"processor": "another"}')
    seal.seal(FOLDER)
    assert (FOLDER / "seal.json").read_bytes() == before
    write(FOLDER / "codes", "c d\n")
    seal.seal(FOLDER)
    assert known()["environment"] == {"processor": "another"} and seal.digest(known()) != seal.digest(sealed)


def test_a_stage_that_left_nothing_is_not_sealed(sealed: dict[str, Any]) -> None:
    begin(Path("results/scoring/x-12345678"), "{}")
    with pytest.raises(DataError, match="holds no result"):
        seal.seal(Path("results/scoring/x-12345678"))


def damage(path: Path, content: bytes) -> None:
    """Write into a file so that its times, and its size if `content` is as long, stay."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.truncate(len(content))
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda path: damage(path, b"012345678x"), "has changed since it was sealed"),
        (lambda path: damage(path, b""), "has 0 bytes, 10 when it was sealed"),
        (lambda path: damage(path, b"0123"), "has 4 bytes, 10 when it was sealed"),
        (Path.unlink, "is missing"),
        (lambda path: shutil.rmtree(path.parent), "is missing"),
    ],
)
def test_who_builds_on_a_stage_finds_what_is_damaged(
    sealed: dict[str, Any], change: Callable[[Path], None], clause: str
) -> None:
    change(FOLDER / "bin/train.bin")
    with pytest.raises(DataError) as error:
        begin(Path("results/training/x-12345678"), "{}", [FOLDER / "bin"])
    assert f"{FOLDER}/bin/train.bin {clause}" in str(error.value)
    assert f"restore it from a copy, or delete {FOLDER}, and the same command" in str(error.value)
    assert not seal.holds(FOLDER)
    assert seal.check([FOLDER / "codes"], Path("x"))  # whoever does not read it is not stopped


@pytest.mark.parametrize("content", [None, "", '{"stage": "te', "[]", '{"files": 3}'])
def test_a_folder_without_its_seal_is_not_finished(sealed: dict[str, Any], content: str | None) -> None:
    (FOLDER / "seal.json").unlink()
    if content is not None:
        (FOLDER / "seal.json").write_text(content)
    assert not seal.finished(FOLDER) and not seal.holds(FOLDER)
    with pytest.raises(DataError, match="has no seal: it is not finished; delete"):
        seal.check([FOLDER / "bin"], Path("x"))


def test_a_file_is_hashed_once_as_long_as_its_status_stays(
    sealed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    sha256 = seal.sha256
    monkeypatch.setattr(seal, "sha256", lambda path: read.append(path.name) or sha256(path))
    seal.check([FOLDER / "bin", FOLDER / "codes"], Path("x"))
    assert not read
    os.utime(FOLDER / "codes")
    seal.check([FOLDER / "bin", FOLDER / "codes"], Path("x"))
    seal.check([FOLDER / "bin", FOLDER / "codes"], Path("x"))
    assert read == ["codes"]
    (FOLDER / ".hashed.json").write_text("damaged")
    seal.check([FOLDER / "bin", FOLDER / "codes"], Path("x"))
    assert read == ["codes", "train.bin", "codes"]


def test_another_parent_makes_a_stage_out_of_date(sealed: dict[str, Any]) -> None:
    write(PARENT / "raw/train.de", "zwei hunde\n")
    begin(PARENT, "{}")
    seal.seal(PARENT)
    assert not seal.holds(FOLDER) and not seal.current(known())
    shutil.rmtree(PARENT)  # what is not there says nothing
    assert seal.holds(FOLDER)


def test_a_training_never_resumes_on_another_text(sealed: dict[str, Any]) -> None:
    training = Path("results/training/x-12345678")
    begin(training, "{}", [FOLDER / "bin"])
    (training / "checkpoints").mkdir()
    begin(training, "{}", [FOLDER / "bin"])
    write(FOLDER / "bin/train.bin", "other text")
    seal.seal(FOLDER)
    with pytest.raises(DataError, match="holds other files than when results/training/x-12345678 was begun; restore"):
        begin(training, "{}", [FOLDER / "bin"])
    (training / "checkpoints").rmdir()
    begin(training, "{}", [FOLDER / "bin"])


# With Snakemake, and stand-ins for fairseq


class Folder:
    """A working directory with finished results."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = stand_ins(path) | CPU

    def call(self, *words: str) -> str:
        """Call Snakemake for the small demo; its output, which ends with `status N`."""
        result = run_snakemake(self.path, *words, env=self.env)
        return f"{result.stdout}{result.stderr}status {result.returncode}"

    def demo(self, *words: str) -> str:
        """Call it with a target, Snakemake's options or more config words."""
        config = [word for word in words if "=" in word]
        return self.call(*[word for word in words if word not in config], "--config", "recipe=demo", SMALL, *config)

    def trained(self) -> int:
        """How many trainings there have been."""
        calls = Path(self.env["CALLS"])
        return calls.read_text().count('["fairseq-train"') if calls.exists() else 0

    def only(self, pattern: str) -> Path:
        (path,) = self.path.glob(pattern)
        return path


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Folder:
    """A copy of finished results with times at random, some in the future, and without Snakemake's own folder."""
    shutil.copytree(tiny_run / "results", tmp_path / "results", symlinks=True)
    draw = random.Random(1)
    for path in sorted((tmp_path / "results").rglob("*")):
        moment = time.time() + draw.uniform(-1e6, 1e6)
        os.utime(path, (moment, moment), follow_symlinks=False)
    return Folder(tmp_path)


def seals(folder: Folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.path.glob("results/*/*/seal.json")}


def test_a_copy_plans_nothing_and_is_built_upon(copy: Folder) -> None:
    shutil.rmtree(copy.only("results/training/*/checkpoints"))
    before, record = seals(copy), copy.only("results/runs/*/provenance.json").read_bytes()
    assert "Nothing to be done" in copy.demo()
    assert copy.demo("seed=2").endswith("status 0") and copy.trained() == 1
    assert seals(copy) | before == seals(copy) and len(seals(copy)) == len(before) + 3
    assert copy.only("results/runs/*seed1*/provenance.json").read_bytes() == record


def test_damaged_data_stops_the_next_training_and_the_advice_helps(copy: Folder) -> None:
    path = copy.only("results/text/*/bin/dict.de.txt")
    damage(path, b"b" * path.stat().st_size)
    output = copy.demo("training", "seed=2")
    text = path.parent.parent.relative_to(copy.path)
    sentence = f"bleuprint: {text}/bin/dict.de.txt has changed since it was sealed; restore it from a copy, or delete"
    assert f"{sentence} {text}, and the same command computes it again." in output and output.endswith("status 1")
    assert copy.trained() == 0
    shutil.rmtree(copy.path / text)
    assert copy.demo("training", "seed=1,2").endswith("status 0")
    assert copy.trained() == 1  # the same text again: the finished model is of it


def test_a_missing_model_is_noticed_and_taken_from_its_checkpoints(
    copy: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.only("results/training/*/checkpoint.pt")
    model.unlink()
    folder = model.parent.relative_to(copy.path)
    beam = (f"{SMALL} decoding.beam=4",)
    choice = plan(experiments({"recipe": "demo", "overrides": beam[0].removeprefix("overrides=")}))
    monkeypatch.chdir(copy.path)
    assert "computed" in explain(choice).splitlines()[2].split()[3]
    output = copy.call("decoding", "--config", "recipe=demo", *beam)
    assert f"{folder}/checkpoint.pt is missing; restore it from a copy, or delete {folder}/seal.json, and" in output
    (model.parent / "seal.json").unlink()
    assert copy.call("decoding", "--config", "recipe=demo", *beam).endswith("status 0") and model.exists()


def test_what_was_half_made_is_not_finished(copy: Folder) -> None:
    """Also where Snakemake's own folder, which knows of jobs that were killed, is gone."""
    binaries = copy.only("results/text/*/bin")
    shutil.rmtree(copy.path / "results/training")
    shutil.rmtree(copy.path / "results/runs")
    (binaries / "dict.en.txt").rename(binaries.with_name("bin.part"))
    (binaries.parent / "seal.json").unlink()
    assert copy.demo("training").endswith("status 0")
    assert {path.name for path in binaries.glob("*.txt")} == {"dict.de.txt", "dict.en.txt"}
    assert not binaries.with_name("bin.part").exists()


def test_a_finished_model_stays_where_its_rule_is_forced(copy: Folder) -> None:
    shutil.rmtree(copy.only("results/training/*/checkpoints"))
    before, model = seals(copy), copy.only("results/training/*/checkpoint.pt").read_bytes()
    output = copy.demo("training", "-R", "train")
    assert "is finished, and its seal holds: nothing is computed" in output and output.endswith("status 0")
    assert copy.trained() == 0 and copy.only("results/training/*/checkpoint.pt").read_bytes() == model
    training = str(copy.only("results/training/*/seal.json"))
    assert seals(copy)[training] == before[training]


def test_deleted_scores_and_files_of_the_report_are_made_again_for_the_next_report(copy: Folder) -> None:
    shutil.rmtree(copy.only("results/scoring/*"))
    assert "Nothing to be done" in copy.demo()
    files = [copy.only(f"results/report/{name}") for name in ("scores.json", "scores.md")]
    for file in files:
        file.unlink()
    assert copy.demo().endswith("status 0") and all(file.exists() for file in files)
    path = copy.only("results/scoring/*/sentences.json")
    path.unlink()
    shutil.rmtree(copy.path / "results/report")
    folder = path.parent.relative_to(copy.path)
    assert f"{folder}/sentences.json does not exist any more; delete {folder}, run" in copy.demo()
    shutil.rmtree(path.parent)
    assert copy.demo("scoring").endswith("status 0") and path.exists()
    assert copy.demo().endswith("status 0")


def test_times_follow_the_seals(copy: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.path)
    demo = plan(experiments({"recipe": "demo", "overrides": SMALL.removeprefix("overrides=")}))
    settle(demo)
    (run,) = demo.runs
    moments = [Path(run.file(stage, "seal.json")).stat().st_mtime for stage in run.keys]
    assert moments == sorted(moments) and moments[-1] <= time.time()
    settle(demo)
    assert moments == [Path(run.file(stage, "seal.json")).stat().st_mtime for stage in run.keys]
    # A training of another text: what was made from the old one looks old
    path = Path(run.file("text", "seal.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": {}}))
    settle(demo)
    assert Path(run.file("training", "seal.json")).stat().st_mtime < path.stat().st_mtime


def test_watch_shows_what_is_damaged(copy: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.path)
    shutil.rmtree(copy.path / "results/runs")
    copy.only("results/decoding/*/hypotheses.txt").write_text("")
    (run,) = json.loads(Path("results/current.json").read_text())["runs"]
    state = watch.state(run, running=False)
    assert (state.stage, state.state) == ("decoding", "damaged")
