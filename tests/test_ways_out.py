"""The way out that a message names is one: what was refused is accepted once that is done."""

import gzip
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_seals import Folder
from ways_out import accept, in_a_folder

from bleuprint.commands import disk, replay
from bleuprint.commands.runs import SORTED_BY, ordered
from bleuprint.config.stages import STAGES
from bleuprint.corpus import lines, packed
from bleuprint.files import Damaged, DataError, decode_lines
from bleuprint.plan.lengths import limits
from bleuprint.record import folder, provenance, seal
from bleuprint.report.write import advice
from bleuprint.text import tokenise
from bleuprint.training import checkpoint, resume

__all__ = ["in_a_folder"]  # a fixture
pytestmark = pytest.mark.usefixtures("in_a_folder")


# Text


def test_text_that_is_not_utf8_is_converted() -> None:
    Path("text.de").write_bytes("für\n".encode("latin1"))
    with pytest.raises(DataError) as error:
        decode_lines(Path("text.de").read_bytes(), "text.de")
    command = re.search("iconv -f LATIN1 -t UTF-8", str(error.value))
    assert command
    converted = subprocess.run([*command[0].split(), "text.de"], capture_output=True, check=True).stdout
    assert decode_lines(converted, "text.de") == ["für"]


@pytest.mark.parametrize(
    "content",
    [
        *("Grüße, Welt und alle\n".encode(encoding) for encoding in ("utf-16", "utf-32")),
        *("Hello, world and all\n".encode(encoding) for encoding in ("utf-16-le", "utf-16-be")),
        b'<refset setid="t">\n<doc docid="1">\n<seg id="1">Ein Satz.</seg>\n<seg id="2">Noch einer.</seg>\n</doc>\n',
    ],
    ids=["utf-16", "utf-32", "utf-16-le", "utf-16-be", "sgm"],
)
def test_a_file_that_is_no_plain_text_is_converted_by_the_command_that_its_message_names(content: bytes) -> None:
    path = Path("text.de")
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        lines.read_text(path)
    message = str(error.value).removesuffix(".")
    if "<seg" in message:
        (command,) = re.findall("(grep .*)", message)
        command = command.replace("FILE", "text.de")
    else:
        commands = re.findall(r"(?<=with )iconv -f \S+ -t UTF-8", message)
        command = f"{commands[0].replace('UTF-16LE', 'UTF-16BE') if content[0] == 0 else commands[0]} text.de"
    converted = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    path.write_bytes(converted)
    assert lines.read_text(path)[0] in ("Grüße, Welt und alle", "Hello, world and all", "Ein Satz.")


def test_a_large_file_is_unpacked_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LIMIT", 9)
    Path("text.de.gz").write_bytes(gzip.compress(b"0123456789\n"))
    with pytest.raises(DataError, match="unpack it yourself"):
        lines.read_text(Path("text.de.gz"))
    subprocess.run(["gunzip", "text.de.gz"], check=True)
    assert lines.read_text(Path("text.de")) == ["0123456789"]


def test_a_test_set_is_held_out_of_little_text() -> None:
    parts = {f"train.{language}": ["a", "b", "c"] for language in ("de", "en")}
    with pytest.raises(DataError, match=r"corpus\.test or lower corpus\.test_every"):
        lines.hold_out(parts, ("de", "en"), 9)
    assert lines.hold_out(parts, ("de", "en"), 3)["test.de"] == ["c"]
    accept(shlex.split("corpus=local corpus.train=mine corpus.test=mine"))


@pytest.mark.parametrize(
    ("line", "keys", "said", "mended"),
    [
        ("a@@ b", {}, "undo BPE if the text has it", ("ab", {})),
        ("a <unk>", {}, "rename the symbol", ("a UNK", {})),
        ("a@@ b", {}, "or use text.tokenizer=moses", ("a@@ b", {"tokenizer": "moses"})),
        ("a", {"min_tokens": 2}, "check text.min_tokens", ("a", {"min_tokens": 1})),
        ("a b", {"max_tokens": 1}, "text.max_tokens", ("a b", {"max_tokens": 2})),
    ],
)
def test_text_that_cannot_be_prepared(
    line: str, keys: dict[str, Any], said: str, mended: tuple[str, dict[str, Any]]
) -> None:
    def prepare(line: str, keys: dict[str, Any]) -> None:
        (experiment,) = accept(["corpus=demo", "text.tokenizer=none"])
        config = experiment.text.model_dump() | {"source": "de", "target": "en"} | keys
        for part in ("train", "valid", "test"):
            for language in ("de", "en"):
                Path(f"{part}.{language}").write_text(f"{line}\n" * 3)
        Path("out").mkdir(exist_ok=True)
        tokenise.prepare(Path(), Path("out"), config, 1)

    with pytest.raises(DataError) as error:
        prepare(line, keys)
    assert said in str(error.value)
    prepare(*mended)


def test_lines_that_are_too_long_can_be_read_with_the_keys_that_the_warning_names() -> None:
    Path("test.de").write_text("a " * 1200 + "\n")
    warning = subprocess.run(
        [sys.executable, "-m", "bleuprint.text.lengths", "test.de"], capture_output=True, text=True, check=True
    ).stderr
    keys = re.findall(r"\+\w+\.\w+", warning)
    assert len(keys) == 4
    (experiment,) = accept([f"{key}=1300" for key in keys])
    (test,) = [part for part in limits(experiment) if part.part == "test"]
    assert {most for side in test.model for most in side.values()} == {1300}


# Folders


@pytest.mark.parametrize("stage", STAGES)
def test_a_damaged_stage_is_open_again_when_what_is_named_is_deleted(stage: str) -> None:
    path = Path("results", stage, "x-12345678")
    folder.begin(path, "{}")
    for pattern in STAGES[stage].files:
        file = path / pattern.replace("*", "x")
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text("whole")
    seal.seal(path)
    damaged = path / STAGES[stage].files[-1].replace("*", "x")
    damaged.write_text("other")
    with pytest.raises(DataError) as error:
        seal.check([damaged], Path("results/report"))
    named = re.search(r"delete (.+), and the same command computes it again\.", str(error.value))
    assert named
    for name in named[1].split(" and "):
        subprocess.run(["rm", "-r", name], check=True)
    assert seal.read(path) is None  # so that the call plans the stage
    folder.begin(path, "{}")


def test_a_folder_of_another_config_is_moved_away() -> None:
    path = Path("results/text/x-12345678")
    folder.begin(path, '{"merges":5}')
    with pytest.raises(DataError, match=f"move {path} away and start again"):
        folder.begin(path, '{"merges":6}')
    path.rename("away")
    folder.begin(path, '{"merges":6}')


@pytest.mark.parametrize("way", ["restore", "move"])
def test_checkpoints_of_another_text(way: str) -> None:
    text, training = Path("results/text/x-12345678"), Path("results/training/x-12345678")

    def binarise(words: str) -> None:
        (text / "bin").mkdir(parents=True, exist_ok=True)
        (text / "bin/train.bin").write_text(words)
        folder.begin(text, "{}")
        seal.seal(text)

    binarise("one")
    folder.begin(training, "{}", [text / "bin"])
    (training / "checkpoints").mkdir()
    binarise("other")
    with pytest.raises(DataError, match=rf"restore them from a copy, or move {training} away to train from the beg"):
        folder.begin(training, "{}", [text / "bin"])
    if way == "move":
        training.rename("away")
    else:
        binarise("one")
    folder.begin(training, "{}", [text / "bin"])


def test_a_damaged_checkpoint_that_would_not_come_again() -> None:
    Path("save").mkdir()
    Path("save/checkpoint_best.pt").write_text("damaged")
    with pytest.raises(DataError, match="move that folder away to train from the beginning"):
        resume.ready(Path("save"), "best")
    Path("save").rename("away")
    Path("save").mkdir()
    assert resume.ready(Path("save"), "best") == []
    Path("save/checkpoint_last.pt").touch()
    assert checkpoint.pick(Path("save"), "last")


def test_a_replay_needs_a_folder_of_its_own() -> None:
    wanted = {"run": "demo"}
    Path("mine").mkdir()
    Path("mine/thesis.tex").touch()
    with pytest.raises(DataError, match="name a new folder with --folder"):
        replay.begin(Path("mine"), wanted)
    replay.begin(Path("new"), wanted)
    Path("new/results/runs/demo").mkdir(parents=True)
    Path("new/results/runs/demo/provenance.json").touch()
    with pytest.raises(DataError, match="delete it, or name another with --folder"):
        replay.begin(Path("new"), wanted)
    replay.begin(Path("another"), wanted)
    subprocess.run(["rm", "-r", "new"], check=True)
    replay.begin(Path("new"), wanted)


def test_runs_are_sorted_by_each_key_that_is_offered() -> None:
    rows: list[Any] = [dict.fromkeys((*SORTED_BY, "bytes"), 1) | {"scores": {"bleu": 1.0}}]
    with pytest.raises(DataError) as error:
        ordered(rows, "speed", set())
    offered = str(error.value).removesuffix(".").partition("choose one of ")[2].split(", ")
    assert "bleu" in offered and all(ordered(rows, word, set()) == rows for word in offered)


# With Snakemake, and stand-ins for fairseq


@pytest.mark.slow
def test_a_run_whose_record_is_lost_is_gathered_again(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run / "results", tmp_path / "results", symlinks=True)
    results = Folder(tmp_path)
    path = results.only("results/runs/*/provenance.json").relative_to(tmp_path)  # where the test is, too
    path.write_text("{")
    with pytest.raises(DataError) as damaged:
        provenance.read(path.parent)
    options = re.search(r"with (-R \w+) added", str(damaged.value))
    assert options and results.demo(*options[1].split()).endswith("status 0")
    assert provenance.read(path.parent)
    for name in ("provenance.json", "scores.json"):
        path.with_name(name).write_text("")
    with pytest.raises(DataError, match=f"delete {path.parent}, and Snakemake's call for that run gathers it again"):
        disk.made_of(path.parent)
    assert f"delete {path.parent} and run the same command again" in advice(Damaged(path, "is empty or damaged"))
    shutil.rmtree(path.parent)
    shutil.rmtree("results/report")
    assert results.demo().endswith("status 0") and results.trained() == 0
    assert disk.made_of(path.parent) and provenance.read(path.parent)
