"""What a call shows on a terminal of 80 and of 120 columns and in a pipe; fairseq is a stand-in here."""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT, SNAKEMAKE, run_snakemake, stand_ins
from conftest import TINY as SMALL
from rich.console import Console

from bleuprint.commands import milestones
from bleuprint.commands.watch import State, table
from bleuprint.plan.explain import _table
from bleuprint.training.progress import Display
from bleuprint.widths import columns, fitting, shorten, wrapped

LONG = "transformer_shared_dropout-seed12-afe8aad5"
TINY = "corpus.pairs=100 corpus.valid_pairs=100 corpus.test_pairs=100 text.merges=50 scoring.resamples=100"
DEMO = ["--config", "recipe=demo", "model=transformer_tiny,lightconv_tiny", f"overrides={TINY}"]
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d(?:;\d+)*m")
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def terminal(width: int) -> tuple[int, int]:
    """Open a pseudo-terminal that tells its width, and no height, as some do."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 0, width, 0, 0))
    return leader, follower


def read(leader: int) -> str:
    """Read all that was written to a pseudo-terminal whose writers have ended."""
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # how Linux tells the end
            piece = b""
        if not piece:
            os.close(leader)
            return shown.decode()
        shown += piece


def on_terminal(width: int, folder: Path, *command: str, env: dict[str, str] | None = None) -> str:
    """Run a command on a terminal; return what it wrote."""
    leader, follower = terminal(width)
    changed = {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT / "workflow")} | (env or {})
    known = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    with subprocess.Popen(command, cwd=folder, env=known | changed, **streams) as process:
        os.close(follower)
        shown = read(leader)
    assert process.returncode == 0, shown
    return shown


def lines(shown: str) -> list[str]:
    """Return the lines that a terminal has in the end: of a bar what was drawn last."""
    plain = CODES.sub("", shown).replace("\r\n", "\n").removesuffix("\n")
    return [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in plain.split("\n")]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo with two models on a terminal of 80 columns; the folder and what was shown."""
    folder = tmp_path_factory.mktemp("computed")
    return folder, on_terminal(80, folder, *SNAKEMAKE, *DEMO, env=stand_ins(folder))


@pytest.mark.slow
def test_a_demo_of_two_models_prints_forty_lines_that_say_something(computed: tuple[Path, str]) -> None:
    folder, shown = computed
    printed = lines(shown)
    assert sum(max(1, -(-len(line) // 80)) for line in printed) <= 40, shown
    assert all(len(line) <= 80 for line in printed[1:]), shown  # the first is Snakemake's, on its profile
    text = "\n".join(printed)
    (log,) = folder.glob(".snakemake/log/*.log")
    (text_folder,) = (folder / "results/text").iterdir()
    assert f"plan      2 runs, 16 jobs, on 2 cores\nlog       .snakemake/log/{log.name}\ncorpus" in text
    assert ": 100 training, 100 validation, 100 test pairs\n" in text
    assert f"text      {text_folder.name}: 100 pairs, 50 merges, 5 and 5 types\n" in text
    assert text.count("-seed1-") >= 2 and text.count("validation loss 1.000\ntraining  ") == 2  # two bars
    for stage, words in (
        ("training", "best epoch 1, validation loss 1.000"),
        ("decoding", "100 sentences translated"),
        ("scoring", "bleu_tok_lc 100.00"),
    ):
        for key in (path.name for path in (folder / "results" / stage).iterdir()):
            assert f"{stage:10}{key}: {words}\n" in text
    assert "report: results/report/index.html" in text and "against the baseline" in text
    everything = log.read_text()
    assert "Building DAG of jobs" in everything and "rule binarise:" in everything and "16 of 16 steps" in everything


@pytest.mark.slow
def test_a_second_call_a_dry_run_and_verbose(computed: tuple[Path, str]) -> None:
    folder, _ = computed
    again = run_snakemake(folder, *DEMO)
    assert again.stderr.splitlines()[1:] == ["Nothing to be done (all requested files are present and up to date)."]
    assert again.stdout == (folder / "results/report/scores.txt").read_text()
    verbose = run_snakemake(folder, "text", "--verbose", *DEMO)
    assert verbose.stdout == "" and "Building DAG of jobs" in verbose.stderr
    beam = [*DEMO[:-1], f"{DEMO[-1]} decoding.beam=8"]
    commands = run_snakemake(folder, "-n", "-p", *beam)
    assert commands.stdout.count("Job stats:") == 1 and "translate           2" in commands.stdout
    assert "rule translate:" in commands.stdout and "fairseq-generate results/text/" in commands.stdout
    assert "decoding.beam=8 (there 5)" in commands.stderr
    narrow = on_terminal(80, folder, *SNAKEMAKE, "-n", *beam, env={"NO_COLOR": "1"})
    assert all(len(line) <= 80 for line in lines(narrow)[1:]), narrow
    assert "Job stats:" in narrow and "rule " not in narrow and not COLOUR.search(narrow)


@pytest.mark.slow
def test_a_failed_job_shows_its_log_and_a_sentence_and_a_pipe_has_plain_lines(tiny_text: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_text / "results", tmp_path / "results", symlinks=True)
    env = stand_ins(tmp_path)
    failed = run_snakemake(tmp_path, "--config", "recipe=demo", f"overrides={SMALL}", env=env | {"FAIL": "1"})
    assert failed.returncode == 1
    shown = failed.stderr
    (session,) = tmp_path.glob("results/training/*/session.log")
    path = session.relative_to(tmp_path)
    assert "Error in rule train:" in shown and f"Logfile {path}:\n" in shown and "fairseq-train" in session.read_text()
    assert session.read_text().strip() in shown and "Complete log(s): " in shown
    assert shown.splitlines()[-1] == f"bleuprint: a command of the rule train failed with status 1 [{path}]"
    assert "rm -rf" not in shown and "CalledProcessError" not in shown
    (log,) = tmp_path.glob(".snakemake/log/*.log")
    assert "CalledProcessError" in log.read_text()
    resumed = run_snakemake(tmp_path, "training", "--config", "recipe=demo", f"overrides={SMALL}", env=env)
    shown = resumed.stdout + resumed.stderr  # a pipe has plain lines
    assert resumed.returncode == 0 and "\x1b" not in shown and "\r" not in shown
    assert re.search(r"^transformer_tiny-seed1-\w+: epoch 1.0/8, update 5, validation loss 1.000$", shown, re.M)
    assert [line.split()[0] for line in shown.splitlines()[1:]] == [
        "plan",
        "log",
        f"{session.parent.name}:",
        "training",
    ]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("bleu", [{}, {"bleu": 23.456}])
def test_a_bar_is_whole(width: int, bleu: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    times = iter((0.0, 36_000.0, 360_000.0))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    leader, follower = terminal(width)
    stream = os.fdopen(follower, "w")
    display = Display(100, 1_000_000, LONG, stream)
    figures = {"updates": 123_456, "loss": 12.3456, "words_per_second": 123_456.0}
    for epoch in (1.1, 12.3):
        monkeypatch.setattr(display, "start", (0.0, 0.0))
        display.show({"split": "valid" if bleu else "train", "epoch": epoch, **figures, **bleu})
    display.close()
    stream.close()
    drawn = [piece.rstrip() for piece in re.split(r"[\r\n]+", read(leader)) if "loss" in piece]
    assert drawn and all(len(line) < width for line in drawn)
    for line in drawn:
        assert "-seed12-afe8aad5 " in line and "%|" in line and "loss 12.346" in line and line.endswith(" left")


def test_names_keep_their_seed() -> None:
    assert shorten(LONG, 30) == "transformer_s…-seed12-afe8aad5" and shorten(LONG, 60) == LONG
    assert shorten("demo-de-en-5a9f5abf", 15) == "demo-…-5a9f5abf" and shorten("no-end", 4) == "no-…"
    assert all(shorten(LONG, width).endswith("-seed12-afe8aad5") for width in range(1, 50))
    assert max(len(shorten(LONG, width)) - width for width in range(17, 50)) == 0


def test_the_least_important_words_make_room() -> None:
    words = [("epoch 1", 3), ("update 5", 1), ("loss 1.0", 0), ("1:00 left", 0)]
    assert fitting(words, 80) == "epoch 1, update 5, loss 1.0, 1:00 left"
    assert fitting(words, 30) == "epoch 1, loss 1.0, 1:00 left"
    assert fitting(words, 1) == "loss 1.0, 1:00 left"
    assert wrapped("one two three", 8) == "one two\nthree" and wrapped("one two three", None) == "one two three"


def test_the_width_is_the_terminals_and_a_file_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    leader, follower = terminal(97)
    with os.fdopen(follower, "w") as stream, open(tmp_path / "file", "w") as file:
        assert (columns(stream), columns(file)) == (97, None)
        monkeypatch.setenv("COLUMNS", "60")
        assert columns(stream) == 60
        monkeypatch.delenv("COLUMNS")
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert columns(stream) == 80
    os.close(leader)


def test_the_chosen_checkpoint_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("results/training/a")
    folder.mkdir(parents=True)
    rows = [(1, 3.0, 20.0), (2, 2.0, 19.0), (3, 2.0, 20.0), (4, 2.5, 10.0)]
    valid = [{"split": "valid", "epoch": float(epoch), "loss": loss, "bleu": bleu} for epoch, loss, bleu in rows]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [{"split": "train"}, *valid]))

    def line(log: str, **flags: Any) -> str:
        (folder / "session.log").write_text(log)
        settings = SimpleNamespace(**{"best_checkpoint_metric": None, "maximize_best_checkpoint_metric": None} | flags)
        stage = SimpleNamespace(experiment=SimpleNamespace(training=settings))
        return milestones.training(SimpleNamespace(stages={"training": {"a": stage}}), "a")

    best = "best: checkpoint_best.pt\n"
    assert line(best) == "best epoch 3, validation loss 2.000"  # of equal ones the later, as fairseq chooses
    bleu = {"best_checkpoint_metric": "bleu", "maximize_best_checkpoint_metric": True}
    assert line(best, **bleu) == "best epoch 3, validation loss 2.000"
    assert line("last: checkpoint_last.pt\n") == "last epoch 4, validation loss 2.500"
    several = "average: checkpoint2.pt, checkpoint3.pt, checkpoint4.pt\n"
    assert line(several) == "average of 3 epochs: 2 to 4"
    assert line("average_best: checkpoint1.pt, checkpoint4.pt\n") == "average of 2 epochs: 1, 4"
    assert line("average: checkpoint_last.pt\n") == "last checkpoint, as no epoch was saved"
    assert line("") == "finished already"


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_table_is_whole(width: int) -> None:
    figures = {"epoch": "12.3/100", "updates": "123,456", "loss": "12.346", "bleu": "23.4"}
    state = State(
        f"iwslt14-{LONG}", "training", "silent 60 min", **figures, words_per_second="123,456", left="99:59:59"
    )
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(table([state, State("demo-short-seed1-12345678", "corpus", "waiting")], width))
    shown = captured.get()
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    assert "-seed12-afe8aad5 " in shown and "demo-short-seed1-12345678" in shown
    assert "12.346" in shown and "99:59:59" in shown


@pytest.mark.parametrize("width", [80, 120])
def test_the_plans_table_is_whole(width: int) -> None:
    rows = [[f"iwslt14-{LONG}", "reused, shared by 100", "computed, shared by 100", "computed", "computed", "computed"]]
    shown = _table(rows, width)
    assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    assert "-seed12-afe8aad5" in shown if width > 80 else "seed12-afe8aad5 " in f"{shown} "
    assert shown.count("computed") == 4 and shown.count("100") == 2


@pytest.mark.slow
def test_watch_heeds_no_color(computed: tuple[Path, str]) -> None:
    folder, _ = computed
    watch = [sys.executable, "-m", "bleuprint.commands.cli", "watch"]
    assert not COLOUR.search(on_terminal(80, folder, *watch, env={"NO_COLOR": "1"}))
    assert COLOUR.search(on_terminal(80, folder, *watch))
