"""bleuprint translate and export: a line for each line, from file, pipe or prompt, as the pipeline itself does."""

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from bleuprint.commands import export, translate
from bleuprint.commands.trained import Trained
from bleuprint.commands.translate import LIMIT, LONGEST
from bleuprint.decoding import convert, converted
from bleuprint.files import DataError

CODES = "#version: 0.2\nh a\nha u\nhau s</w>\n"
CONFIG = {
    "source": "de",
    "target": "en",
    "text": {"tokenizer": "moses", "lowercase": True},
    "model": {"arch": "transformer_iwslt_de_en"},
    "training": {},
    "decoding": {"beam": 5, "lenpen": 1.2, "remove_bpe": True, "max_tokens": 8000, "required_batch_size_multiple": 1},
}
ENV = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "bleuprint.commands.cli"]


def run_of(tmp_path: Path, **decoding: Any) -> Trained:
    """A run's folders with next to nothing in them."""
    folders = {stage: tmp_path / stage for stage in ("text", "training", "decoding")}
    for folder in folders.values():
        folder.mkdir()
    (folders["text"] / "codes").write_text(CODES)
    (folders["training"] / "checkpoint.pt").write_text("")
    return Trained(
        CONFIG | {"decoding": CONFIG["decoding"] | decoding}, folders, [folders["training"] / "checkpoint.pt"]
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """A run whose model gives back what it reads."""
    found = run_of(tmp_path)

    def echo(sentences: list[list[str]]) -> Iterator[str]:
        assert all(sentences)  # an empty line is never the model's
        return (" ".join(sentence).replace("@@ ", "") for sentence in sentences)

    monkeypatch.setattr(translate, "trained", lambda word: found)
    monkeypatch.setattr(translate, "chosen", lambda *arguments: echo)
    return found


# A line for each line

STRANGE = [
    (b"Das Haus, usw.", "das haus, usw.", None),
    (b"", "", None),
    (b" \x01\x02 ", "", None),
    (b"zwei\rZeilen\r", "zwei zeilen", None),
    ("zwei\u2028Zeilen\x85hier".encode(), "zwei zeilen hier", None),
    (b"nul\0 und \x1b[31m", "nul und [31m", None),
    (b"caf\xe9", "", "is not UTF-8 (byte 0xe9)"),
    (b"\xff\xfe", "", "is not UTF-8 (byte 0xff)"),
    (b"b " * LIMIT, " ".join("b" * LIMIT), None),
    (b"b " * (LIMIT + 1), "", "has more than the 1,023 subwords that the model can read"),
    (b"bc " * (LIMIT // 2), " ".join(["bc"] * (LIMIT // 2)), None),  # two subwords each
    (b"bc " * (LIMIT // 2 + 1), "", "has more than the 1,023 subwords that the model can read"),
    (b"q" * LONGEST, "", "has more than the 1,023 subwords that the model can read"),
    (b"q " * LONGEST, "", "is longer than 100,000 bytes"),
]


def test_every_line_has_one_line_whatever_it_holds(
    run: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "text.de"
    file.write_bytes(b"\n".join(line for line, _, _ in STRANGE))  # the last one without its line feed
    began = time.monotonic()
    assert translate.translate("run", file, None, None) == 1
    assert time.monotonic() - began < 20  # the long word alone would take minutes
    out, said = capsys.readouterr()
    assert out.split("\n") == [*(translation for _, translation, _ in STRANGE), ""]
    reasons = {number: reason for number, (_, _, reason) in enumerate(STRANGE, 1) if reason}
    assert said.splitlines() == [
        f"bleuprint: line {number} {reason}; its translation stays empty." for number, reason in reasons.items()
    ]


def test_tokenised_text_must_not_hold_bpes_mark(
    run: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.config["text"] = {"tokenizer": "none", "lowercase": False}
    file = tmp_path / "text.de"
    file.write_text("Ein @@ Haus\nEin Haus .\n")
    assert translate.translate("run", file, None, None) == 1
    out, said = capsys.readouterr()
    assert out == "\nEin Haus .\n" and "line 1 has the token '@@', which ends in BPE's mark" in said


def test_what_is_waiting_comes_together_and_half_a_line_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader))
    lines = translate.waiting(None)
    os.write(writer, b"one\ntwo\nth")
    assert next(lines) == [b"one", b"two"]
    os.write(writer, b"ree\n")
    assert next(lines) == [b"three"]
    os.write(writer, b"\nfour")
    os.close(writer)
    assert list(lines) == [[b""], [b"four"]]


def test_an_endless_line_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_bytes(b"x" * (10 * LONGEST) + b"\nend\n")
    (long, end) = (line for lines in translate.waiting(tmp_path / "text") for line in lines)
    assert LONGEST < len(long) < 3 * LONGEST and end == b"end"


# Which engine, and how it is asked


def test_fairseq_translates_where_ctranslate2_would_not_do_the_same() -> None:
    def reason(arch: str = "transformer", **decoding: Any) -> str:
        return convert.obstacle({"model": {"arch": arch}, "training": {}, "decoding": {"beam": 5, **decoding}}) or ""

    assert (
        reason("lightconv_iwslt_de_en")
        == "ctranslate2 cannot translate with model.arch=lightconv_iwslt_de_en, only with fairseq's Transformer"
    )
    assert reason(ensemble=[2]) == "ctranslate2 cannot decode an ensemble"
    assert reason(unkpen=2.0) == "ctranslate2 does not support decoding.unkpen"
    assert not reason(unkpen=None, sampling=False, lenpen=0.0, max_len_a=1.2, max_len_b=10, min_len=2)


def test_only_ctranslate2_computes_in_int8(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.config["model"] = {"arch": "lightconv_iwslt_de_en"}
    with pytest.raises(DataError, match="without --compute-type int8 fairseq translates, in float32"):
        translate.chosen(run, "int8", None, False)


def test_the_search_is_the_runs_own() -> None:
    flags = {"beam": 4, "lenpen": 0.6}
    assert convert.search(flags, 9) == {
        "beam_size": 4,
        "length_penalty": 0.6,
        "min_decoding_length": 1,
        "max_decoding_length": 200,
        "max_input_length": 0,
        "suppress_sequences": [["<blank>"]],
    }
    limits = {"max_len_a": 1.5, "max_len_b": 10, "min_len": 3}
    assert convert.search(flags | limits, 9)["max_decoding_length"] == 25  # the sentence's end counts
    assert convert.search(flags | limits, 1000)["max_decoding_length"] == 1023
    assert convert.search(flags | limits, 9)["min_decoding_length"] == 3


FAIRSEQ = """
import sys
assert "--buffer-size 1" in " ".join(sys.argv) and "--beam 7" in " ".join(sys.argv)
print("INFO | loading", file=sys.stderr)
for number, line in enumerate(sys.stdin):
    print(f"S-{number}\\t{line}W-{number}\\t0.1\\tseconds", flush=True)
    if "end" in line:
        sys.exit("ValueError: broken")
    print(f"H-{number}\\t-0.1\\tH-9 {line.strip()}\\nH-{number}\\t-0.2\\tsecond best", flush=True)
"""


def test_fairseq_answers_line_by_line_and_its_end_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fake.py").write_text(FAIRSEQ)
    (tmp_path / "fake").write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/fake.py "$@"\n')
    (tmp_path / "fake").chmod(0o755)
    monkeypatch.setattr(translate.sys, "executable", str(tmp_path / "fake"))
    engine = translate.fairseq_engine(run_of(tmp_path), 7)
    assert list(engine([["ä", "b"], ["c"]])) == ["H-9 ä b", "H-9 c"]
    assert list(engine([["d"]])) == ["H-9 d"]
    for _ in range(2):  # also when it is asked again
        with pytest.raises(DataError, match="fairseq-interactive ended with status 1: "):
            list(engine([["end"]]))


# The conversion


def fake_convert(config: Any, folders: Any, compute_type: str, output: Path) -> None:
    output.mkdir()
    (output / "model.bin").write_text(compute_type)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted, "convert", fake_convert)


def test_a_model_is_converted_once(tmp_path: Path, fake: None, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path)
    checkpoint = tmp_path / "training/checkpoint.pt"

    def made(compute_type: str = "float32") -> bool:
        """Whether the model was converted by this call."""
        folder = converted.converted(run.config, run.folders, compute_type)
        assert folder == tmp_path / "decoding" / {"float32": "ctranslate2", "int8": "ctranslate2-int8"}[compute_type]
        assert (folder / "model.bin").read_text() == compute_type
        return "which is done once" in capsys.readouterr().err

    assert made() and made("int8") and not made() and not made("int8")
    for content in ("float", "FLOAT32", ""):  # cut short, overwritten, emptied
        (tmp_path / "decoding/ctranslate2/model.bin").write_text(content)
        assert made() and not made()
    for damage in ("", "[]", '{"files": 1}', "{}"):
        (tmp_path / "decoding/ctranslate2" / converted.PROOF).write_text(damage)
        assert made() and not made()
    os.utime(checkpoint, (0, 0))  # a copy without times
    assert not made()
    checkpoint.write_text("another")
    assert made() and not made()
    checkpoint.unlink()
    assert not made()  # what is there needs no checkpoint
    (tmp_path / "decoding/ctranslate2/model.bin").unlink()
    with pytest.raises(DataError, match="does not exist any more, so the model cannot be converted"):
        made()


def test_the_pipelines_own_conversion_is_left_alone(tmp_path: Path, fake: None) -> None:
    run = run_of(tmp_path, compute_type="int8")
    assert converted.converted(run.config, run.folders, "int8").name == "ctranslate2"
    assert converted.converted(run.config, run.folders, "float32").name == "ctranslate2-float32"
    (tmp_path / "decoding/convert.log").write_text("")
    assert converted.converted(run.config, run.folders, "int8").name == "ctranslate2-int8"


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_an_interrupted_conversion_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    run = run_of(tmp_path)

    def interrupted(config: Any, folders: Any, compute_type: str, output: Path) -> None:
        fake_convert(config, folders, compute_type, output)
        raise error

    monkeypatch.setattr(converted, "convert", interrupted)
    with pytest.raises(error):
        converted.converted(run.config, run.folders, "float32")
    assert not list((tmp_path / "decoding").iterdir())


def test_what_a_killed_conversion_left_is_swept(tmp_path: Path, fake: None) -> None:
    run, process = run_of(tmp_path), subprocess.Popen(["true"])
    process.wait()
    names = [f"{process.pid}", f"{socket.gethostname()}-{process.pid}", f"elsewhere-{process.pid}", f"{os.getppid()}"]
    for name in names:
        (tmp_path / f"decoding/.ctranslate2.{name}.part").mkdir()
    converted.converted(run.config, run.folders, "float32")
    left = {path.name for path in (tmp_path / "decoding").iterdir()}
    assert left == {"ctranslate2", *(f".ctranslate2.{name}.part" for name in names[2:])}  # another's, and one at work


def test_on_a_read_only_disk_the_model_is_converted_for_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run, mkdir = run_of(tmp_path), Path.mkdir

    def read_only(path: Path, *arguments: Any, **options: Any) -> None:
        if path.parent.name == "decoding":
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", read_only)
    folder = converted.converted(run.config, run.folders, "float32")
    assert (folder / "model.bin").read_text() == "float32" and tmp_path not in folder.parents
    assert "decoding: Read-only file system, so it is not kept." in capsys.readouterr().err


def test_colons_in_a_path_do_not_reach_fairseq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It splits paths at them: data folders are shards, checkpoints an ensemble."""
    (tmp_path / "10:30 Uhr").mkdir()
    run, calls = run_of(tmp_path / "10:30 Uhr"), []

    class Ended(subprocess.CompletedProcess[str]):
        stdin = stdout = None

    def called(command: list[str], cwd: Path, **options: Any) -> Ended:
        calls.append(command)
        assert cwd == tmp_path / "10:30 Uhr"
        return Ended(command, 0)

    monkeypatch.setattr(subprocess, "run", called)
    monkeypatch.setattr(subprocess, "Popen", called)
    convert.convert(run.config, run.folders, "float32", tmp_path / "new")
    translate.fairseq_engine(run, None)
    (converting, decoding) = calls
    assert converting[converting.index("--model_path") + 1] == "training/checkpoint.pt"
    assert converting[converting.index("--data_dir") + 1] == decoding[3] == "text/bin"
    assert decoding[decoding.index("--path") + 1] == "training/checkpoint.pt"


# The trained demo, in processes of their own


def test_no_more_is_loaded_than_is_needed(demo: Path) -> None:
    """What a process loads before its first answer, the user waits for."""
    heavy = {"torch", "fairseq", "snakemake", "hydra", "requests", "sacrebleu"}
    code = f"""
import sys, bleuprint.commands.cli
sys.argv[1:] = ["translate", "--run", "transformer", {str(only(demo, "results/corpus/*/raw/test.de"))!r}]
try:
    bleuprint.commands.cli.main()
finally:
    print(sorted({heavy} & set(sys.modules)), "ctranslate2" in sys.modules, file=sys.stderr)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=demo, env=ENV, capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == "[] True"


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def call(demo: Path, *words: str, text: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *words], cwd=demo, env=ENV, input=text, capture_output=True)


def test_the_test_set_comes_out_as_the_pipeline_translated_it(demo: Path) -> None:
    raw, wanted = only(demo, "results/corpus/*/raw/test.de"), only(demo, "results/runs/*transformer*/hypotheses.txt")
    result = call(demo, "translate", "--run", "transformer", str(raw))
    assert result.returncode == 0 and result.stdout == wanted.read_bytes()
    again = call(demo, "translate", "--run", "transformer", text=raw.read_bytes())
    assert again.stdout == wanted.read_bytes() and again.stderr == b""  # converted already
    int8 = call(demo, "translate", "--run", "transformer", "--compute-type", "int8", str(raw))
    pairs = list(zip(int8.stdout.splitlines(), wanted.read_bytes().splitlines(), strict=True))
    assert sum(one == other for one, other in pairs) >= 0.95 * len(pairs)
    sizes = [only(demo, f"results/decoding/transformer*/{name}/model.bin").stat().st_size for name in MODELS]
    assert sizes[1] < sizes[0] / 2


MODELS = ("ctranslate2", "ctranslate2-int8")


def test_lightconv_is_translated_by_fairseq(demo: Path) -> None:
    raw = only(demo, "results/corpus/*/raw/test.de").read_bytes().splitlines()[:8]
    wanted = only(demo, "results/runs/*lightconv*/hypotheses.txt").read_bytes().splitlines()[:8]
    result = call(demo, "translate", "--run", "lightconv", text=b"\n\n".join(raw))
    assert result.returncode == 0 and result.stdout.splitlines()[::2] == wanted
    assert b"model.arch=lightconv_iwslt_de_en, only with fairseq's Transformer; fairseq translates" in result.stderr
    refused = call(demo, "export", "lightconv", "exported")
    assert refused.returncode == 1 and b"bleuprint pack --checkpoint packs it for fairseq" in refused.stderr
    assert refused.stderr.count(b"\n") == 1 and not (demo / "exported").exists()


def translating(demo: Path, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "translate", "--run", "transformer"],
        cwd=demo,
        env=ENV | {"TERM": "dumb"},
        **streams,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_a_pipe_is_answered_line_by_line(demo: Path) -> None:
    raw = only(demo, "results/corpus/*/raw/test.de").read_bytes().splitlines(keepends=True)
    wanted = only(demo, "results/runs/*transformer*/hypotheses.txt").read_bytes().splitlines(keepends=True)
    pipe = subprocess.PIPE
    with translating(demo, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None and process.stdout is not None
        for line, translation in zip(raw[:5], wanted[:5], strict=True):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline() == translation  # before the next line is there
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("end", ["closed", "interrupted"])
def test_it_ends_quietly_and_at_once(demo: Path, end: str) -> None:
    pipe = subprocess.PIPE
    text = only(demo, "results/corpus/*/raw/test.de").read_bytes() * 40
    (demo / "long.de").write_bytes(text)
    with open(demo / "long.de", "rb") as long, translating(demo, stdin=long, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        if end == "closed":
            process.stdout.close()
        else:
            process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.stderr.read() == b""
        assert process.wait(30) == (1 if end == "closed" else 130) and time.monotonic() - began < 10


@pytest.mark.parametrize("end", [b"\x04", b"\x03"])  # Ctrl-D, Ctrl-C
def test_a_terminal_has_a_prompt(demo: Path, end: bytes) -> None:
    raw = only(demo, "results/corpus/*/raw/test.de").read_bytes().splitlines()
    wanted = only(demo, "results/runs/*transformer*/hypotheses.txt").read_bytes().splitlines()
    leader, follower = pty.openpty()

    def until(mark: bytes) -> bytes:
        shown = b""
        while mark not in shown:
            shown += os.read(leader, 65536)
        return shown

    with translating(demo, stdin=follower, stdout=follower, stderr=follower, start_new_session=True) as process:
        until(b"de> ")
        for line, translation in zip(raw[:3], wanted[:3], strict=True):
            os.write(leader, line + b"\n")
            assert translation in until(b"\nde> ")
        os.write(leader, b"\n")
        assert until(b"de> ").count(b"\n") == 2  # the key, and the empty answer
        if end == b"\x04":
            os.write(leader, end)
        else:
            ended = time.monotonic() + 10
            # Once more if it came just before readline began to wait, which then sleeps until the next key
            while process.poll() is None and time.monotonic() < ended:
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
        assert process.wait(10) == 0
    os.close(follower)
    os.set_blocking(leader, False)
    left = os.read(leader, 65536)
    os.close(leader)
    assert b"Traceback" not in left


# The exported folder

ALONE = """
import pathlib, runpy, sys
FORBIDDEN = {"bleuprint", "fairseq", "fairseq_cli", "torch", "hydra", "omegaconf", "snakemake", "sacrebleu"}
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not to be there")
sys.meta_path.insert(0, Forbid())
sys.path.insert(0, str(pathlib.Path(sys.argv[1]).parent))  # as Python does for a script, but not with -I
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def alone(folder: Path, text: bytes) -> bytes:
    """What an exported folder's translate.py makes of text where neither fairseq nor bleuprint can be loaded."""
    command = [sys.executable, "-I", "-c", ALONE, str(folder / "translate.py")]
    result = subprocess.run(command, cwd="/", input=text, capture_output=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("compute_type", [pytest.param("float32", marks=pytest.mark.nightly), "int8"])
def test_an_exported_folder_translates_alone(demo: Path, tmp_path: Path, compute_type: str) -> None:
    folder, raw = tmp_path / "new/model", only(demo, "results/corpus/*/raw/test.de")
    result = call(demo, "export", "transformer", str(folder), "--compute-type", compute_type)
    assert result.returncode == 0, result.stderr
    moved = folder.rename(tmp_path / "elsewhere")
    assert {path.name for path in moved.iterdir()} == {
        "model",
        "segmenter.model",
        "segmenter.py",
        "letters.py",
        "config.yaml",
        "translate.py",
        "tokeniser.py",
        "detokeniser.py",
        "requirements.txt",
        "README.md",
    }
    translated = call(demo, "translate", "--run", "transformer", "--compute-type", compute_type, str(raw))
    strange = b"\n" + b"ein " * 2000 + b"\n \x01\n\xff\nein hund usw."
    output = alone(moved, raw.read_bytes() + strange)
    assert output.startswith(translated.stdout)
    assert output.removeprefix(translated.stdout).count(b"\n") == 5
    pinned = (moved / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in pinned] == ["ctranslate2", "pyyaml", "sacremoses", "subword-nmt"]
    assert "nrefs:1|bs:1000" in (moved / "README.md").read_text()


def test_an_export_overwrites_nothing_and_leaves_nothing_half(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    result = call(demo, "export", "transformer", str(tmp_path))
    assert result.returncode == 1 and b"is not empty; name a new folder" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_an_export_that_fails_leaves_nothing(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(demo)
    monkeypatch.setattr(export, "convert", fails)
    with pytest.raises(KeyboardInterrupt):
        export.export("transformer", tmp_path / "new", "float32")
    assert not list(tmp_path.iterdir())


def test_what_is_exported_is_what_was_recorded(demo: Path, tmp_path: Path) -> None:
    codes = only(demo, "results/text/*/codes")
    content = codes.read_bytes()
    codes.write_bytes(content + b"x y\n")
    try:
        result = call(demo, "export", "transformer", str(tmp_path / "new"))
    finally:
        codes.write_bytes(content)
    assert result.returncode == 1 and b"is not what was recorded; bleuprint verify" in result.stderr
