"""`bleuprint clean` on made-up results: what it removes, what it never removes, and that it asks."""

import fcntl
import io
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from made_up import make_run

from bleuprint.commands import clean as module
from bleuprint.commands.clean import clean
from bleuprint.commands.disk import size
from bleuprint.config.stages import STAGES
from bleuprint.files import DataError, write_json
from bleuprint.record.provenance import job, read
from bleuprint.record.seal import PARENTS, finished, seal

NAME = "demo-transformer-seed{}"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def train(folder: str, sealed: bool = True) -> Path:
    """Give a made-up training its model and the checkpoints that it was taken from."""
    training = Path(folder)
    save_dir = training / "checkpoints"
    save_dir.mkdir(parents=True)
    (save_dir / "checkpoint_best.pt").write_bytes(b"b" * 50_000)
    (save_dir / "checkpoint_last.pt").write_bytes(b"l" * 40_000)
    write_json(save_dir / "implementations.json", ["fused"])
    if sealed:
        (training / "checkpoint.pt").hardlink_to(save_dir / "checkpoint_best.pt")
        (training / "environment.json").exists() or write_json(training / "environment.json", {})
        (training / PARENTS).exists() or write_json(training / PARENTS, {})
        seal(training)
    return training


def stage(name: str, parent: str | None = None) -> Path:
    """Make a sealed folder of a stage that no run is made of."""
    folder = Path("results", name)
    kind = folder.parent.name
    file = STAGES[kind].files[-1].replace("*", "file")
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text("{}\n")
    write_json(folder / "environment.json", {})
    write_json(folder / PARENTS, {parent: "digest"} if parent else {})
    seal(folder)
    return folder


def tree() -> dict[str, Any]:
    paths = (path for path in Path("results").rglob("*") if path.name not in (".hashed.json", ".call", ".jobs"))
    return {str(path): None if path.is_dir() else path.lstat().st_mtime_ns for path in paths}


def removed(*words: str) -> set[str]:
    """Clean, and return what has gone, without what was below it."""
    before = tree()
    assert clean(words, yes=True, dry_run=False) == 0
    gone = before.keys() - tree().keys()
    return {path for path in gone if str(Path(path).parent) not in gone}


def test_checkpoints_go_once_their_training_is_sealed(capsys: pytest.CaptureFixture[str]) -> None:
    training = train(make_run()["stages"]["training"])
    (training / "train.log").write_text("+ fairseq-train\n")
    before = job(training / "train.log")
    room = size([Path("results")])
    assert removed() == {f"{training}/checkpoints/checkpoint_{name}.pt" for name in ("best", "last")}
    assert room - size([Path("results")]) == 40_000  # the model is another name of the best checkpoint
    shown = capsys.readouterr().out
    assert f"40 kB  {training}/checkpoints" in shown and "cannot be continued with more epochs" in " ".join(
        shown.split()
    )
    assert finished(training) and job(training / "train.log") == before  # a later record says the same
    assert removed() == set()
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize("harm", ["no seal", "another model", "no model"])
def test_an_unfinished_training_keeps_what_it_resumes_from(harm: str, capsys: pytest.CaptureFixture[str]) -> None:
    training = train(make_run()["stages"]["training"])
    if harm == "no seal":
        (training / "seal.json").unlink()
    elif harm == "no model":
        (training / "checkpoint.pt").unlink()
    else:
        (training / "checkpoint.pt").unlink()
        (training / "checkpoint.pt").write_bytes(b"o" * 50_000)
    assert removed() == set()
    assert f"{training}\n" in capsys.readouterr().out.partition("Kept")[2]


def test_stages_of_no_run_go_but_not_those_of_an_unfinished_training() -> None:
    make_run()
    corpus, text = stage("corpus/old"), stage("text/old", "results/corpus/old")
    training = train("results/training/begun", sealed=False)
    write_json(training / PARENTS, {str(text): "digest"})
    lost = stage("text/lost")
    decoding, empty = stage("decoding/lost"), Path("results/training/never-trained")
    empty.mkdir()
    assert removed() == {str(lost), str(decoding), str(empty)}
    shutil.rmtree(training)
    assert removed() == {str(text), str(corpus)}


def test_the_text_of_an_unfinished_training_is_also_found_by_its_keys() -> None:
    make_run()
    text, other = stage("text/old-de-en-0123abcd"), stage("text/old-de-en-4567abcd")
    (train("results/training/begun", sealed=False) / "config.yaml").write_text("parent: 0123abcd\n")
    assert removed() == {str(other)} and text.exists()


def test_what_the_last_call_has_not_finished_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    make_run(seed=1)
    training, other = stage("training/two"), stage("training/three")
    stages = {"training": str(training), "text": "results/text/demo"}
    runs = [{"run": "demo-two", "stages": stages, "ensemble": [str(other)], "max_epoch": 1, "max_update": 0}]
    write_json(Path("results/current.json"), {"host": socket.gethostname(), "process": 0, "runs": runs})
    assert removed() == set()
    assert "     demo-two\n" in capsys.readouterr().out.partition("has not finished")[2]
    write_json(Path("results/current.json"), {"host": socket.gethostname(), "process": 0, "runs": []})
    assert removed() == {str(training), str(other)}


def test_downloads_stay() -> None:
    corpus = stage("corpus/old")
    (corpus / "downloads").mkdir()
    (corpus / "downloads/archive.tgz.0123abcd.part").write_text("half")
    assert removed() == {f"{corpus}/raw", f"{corpus}/seal.json"}
    assert removed() == set()


def test_a_run_is_dropped_with_what_only_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    (stage("training/third") / "train.log").write_text("+ fairseq-train\n")
    own, other = make_run(seed=1), make_run(seed=2, ensemble=["results/training/third"])
    orphan = stage("text/lost")  # the concern of a clean without a run
    shared = {own["stages"][name] for name in ("corpus", "text")}
    assert clean(["seed1"], yes=False, dry_run=True) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "cannot translate" in shown and f"training/{NAME.format(1)}, took 01:40" in shown
    gone = {f"results/{name}/{NAME.format(1)}" for name in ("training", "decoding", "scoring", "runs")}
    assert removed("seed1") == gone
    assert orphan.exists() and all(Path(folder).exists() for folder in (*shared, *other["stages"].values()))
    read(Path("results/runs", NAME.format(2)))
    assert shared | {"results/training/third"} < removed("seed2")  # the last one takes the shared stages along


def test_a_run_of_another_folder_or_with_unreadable_records_is_refused() -> None:
    make_run(seed=1)
    make_run(seed=2)
    shutil.copytree("results", "../results", symlinks=True)
    with pytest.raises(DataError, match="lies in no results/runs here"):
        clean([f"../results/runs/{NAME.format(1)}"], yes=True, dry_run=False)
    for name in ("scores.json", "provenance.json"):
        Path("results/runs", NAME.format(1), name).write_text("{")
    with pytest.raises(DataError, match="what it is made of is unknown"):
        clean([], yes=True, dry_run=False)
    assert Path("results/training", NAME.format(1)).exists()


def test_leftovers_go_unless_somebody_may_still_write_them() -> None:
    make_run()
    decoding = Path("results/decoding", NAME.format(1))
    host = socket.gethostname()
    names = [
        f".a.{host}-{2**22 + 1}.part",
        f".b.{host}-{os.getpid()}.part",
        ".c.elsewhere-7.part",
        ".d.elsewhere-7.part",
    ]
    for name in names:
        (decoding / name).write_text("x")
    os.utime(decoding / names[3], (time.time() - 2e5,) * 2)
    (decoding / "ctranslate2.part").mkdir()
    assert removed() == {str(decoding / name) for name in (names[0], names[3], "ctranslate2.part")}


def test_links_out_of_results_are_not_followed(capsys: pytest.CaptureFixture[str]) -> None:
    make_run()
    for name in ("text/lost", "training/lost"):
        stage(name)
    Path("../large").mkdir()
    Path("../large/checkpoint_last.pt").write_text("x")
    Path("results/text/lost").rename("../text")
    Path("results/text/lost").symlink_to("../../../text")
    Path("results/training", NAME.format(1), "checkpoints").symlink_to(Path("../large").resolve())
    Path("results/training/lost/link").symlink_to(Path("../large").resolve())
    assert removed() == {"results/training/lost"}
    assert Path("../text").is_dir() and Path("../large/checkpoint_last.pt").exists()
    assert "results/text/lost\n" in capsys.readouterr().out.partition("lead out of results/")[2]
    Path("results").rename("../moved")
    Path("results").symlink_to("../moved")  # all of it on another disk
    train("results/training/lost", sealed=False)
    stage("text/lost-too")
    assert removed() == {"results/text/lost-too"}
    assert "results/ takes 0" not in capsys.readouterr().out


def test_a_run_behind_a_link_is_not_dropped() -> None:
    make_run()
    Path("results/runs").rename("../runs")
    Path("results/runs").symlink_to("../../runs")
    with pytest.raises(DataError, match="or is a link"):
        clean(["seed1"], yes=True, dry_run=False)
    assert removed() == set()  # and it still needs its stages


@pytest.mark.parametrize("lock", [".call", ".jobs"])
def test_nothing_goes_while_a_call_is_at_work(lock: str) -> None:
    lost = stage("text/lost")
    with open(f"results/{lock}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(DataError, match="is at work"):
            clean([], yes=True, dry_run=False)
        assert clean([], yes=True, dry_run=True) == 0
    assert lost.exists()
    assert removed() == {str(lost)}


def test_it_asks_and_a_pipe_needs_yes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="there is no results/ here"):
        clean([], yes=True, dry_run=False)
    lost = stage("text/lost")
    before = tree()
    assert clean([], yes=False, dry_run=True) == 0
    assert "results/text/lost" in capsys.readouterr().out
    with pytest.raises(DataError, match="add --yes"):
        clean([], yes=False, dry_run=False)
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}", Terminal())
    for answer, status in (("", 1), ("n", 1), (EOFError(), 1), (KeyboardInterrupt(), 1), ("Y", 0)):
        monkeypatch.setattr(module, "input", lambda _, answer=answer: _answered(answer), raising=False)
        assert tree() == before
        assert clean([], yes=False, dry_run=False) == status
    assert not lost.exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _answered(answer: str | BaseException) -> str:
    if isinstance(answer, BaseException):
        raise answer
    return answer


def test_an_interrupted_removal_leaves_no_half_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = stage("training/lost")
    rmtree = shutil.rmtree

    def stopped(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", stopped)
    with pytest.raises(KeyboardInterrupt):
        clean([], yes=True, dry_run=False)
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    assert not lost.exists() and removed() == {"results/training/.lost.part"}
