"""bleuprint run and the command line: the same words arrive, however they are quoted, and Snakemake's call is shown."""

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from bleuprint.commands import cli
from bleuprint.commands.examples import EXAMPLES
from bleuprint.commands.parser import read
from bleuprint.commands.run import call, cli_config, config_entries
from bleuprint.config.compose import experiments
from bleuprint.config.words import points
from bleuprint.files import DataError

SNAKEFILE = ["--snakefile", str(ROOT / "Snakefile")]
ENV = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("NO_COLOR", "SNAKEMAKE_PROFILE"):
        monkeypatch.delenv(variable, raising=False)


def entries(command: str) -> str:
    """Return the entries of `--config` for words as one types them, as one would type those."""
    return shlex.join(config_entries(shlex.split(command)))


@pytest.mark.parametrize(
    ("words", "config"),
    [
        ("", ""),
        ("recipe=demo seed=1,2", "recipe=demo seed=1,2"),
        ("recipe=demo training.lr=1e-3,2e-3 seed=1,2", "recipe=demo seed=1,2 overrides=training.lr=1e-3,2e-3"),
        ("training.lr=1e-3 decoding.beam=8", "'overrides=training.lr=1e-3 decoding.beam=8'"),
        ("+training.update_freq=[8] ~model.dropout", "'overrides=+training.update_freq=[8] ~model.dropout'"),
        ('overrides="training.lr=1e-3 decoding.beam=8"', "'overrides=training.lr=1e-3 decoding.beam=8'"),
        ('overrides="decoding.beam=8" text.merges=5', "'overrides=decoding.beam=8 text.merges=5'"),
        ('overrides=["decoding.beam=8"] overrides=text.merges=5', "'overrides=decoding.beam=8 text.merges=5'"),
        ("'+training.note=two words'", """'overrides=["+training.note=two words"]'"""),
        # What Snakemake would hand over as another value does not stand alone
        ("seed=1e-3 source=1_000 target=", "'overrides=seed=1e-3 source=1_000 target='"),
        # Of a key that is given twice the last value counts, as Hydra has it
        ("++seed=2 recipe=demo seed=1", "recipe=demo 'overrides=++seed=2 seed=1'"),
    ],
)
def test_words_become_a_config_of_snakemake(words: str, config: str) -> None:
    assert entries(words) == config


@pytest.mark.parametrize("value", ["(0.9, 0.98)", "it's", "a=(b), {c}, 'd'", "x\\'", 'say "so"!', "-", "<s>"])
def test_the_quotes_of_the_shell_are_enough(value: str) -> None:
    (choice,) = experiments(cli_config(["recipe=demo", f"+training.note={value}"]))
    assert choice.experiment.training.flags()["note"] == value


@pytest.mark.parametrize(
    "word", ["training.lr=[1", "decoding.tune={beam", "--multirun=(1)", "~model.dropout", "=", "seed="]
)
def test_a_mistake_stays_as_it_is(word: str) -> None:
    assert config_entries([word]) == [f"overrides={word}"]


def arrives(word: str) -> None:
    """Check that the word reaches Hydra as it would alone, and that what is printed can be pasted."""
    entry = config_entries(["recipe=demo", word])
    assert all(text.isprintable() for text in entry)
    pasted = shlex.split(shlex.join(entry))
    assert points(cli_config(pasted)) == points({"overrides": ["recipe=demo", word]})


@pytest.mark.slow
@pytest.mark.parametrize("key", ["source", "+training.note"])
def test_hostile_values_arrive_unchanged(key: str) -> None:
    texts = ["two words", "it's", 'say "so"', "a,b", "{a: b}", "[x]", "a=b", "a: b", "# c", "$(touch x)", "`x`", "\\"]
    texts += [
        "\t",
        "\n",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202e",
        "\ufeff",
        "\uffff",
        "\udc80",
        "😀",
        "ü",
        "~",
        "%",
        "!",
        "*",
    ]
    for one, other in itertools.product(texts, texts):
        arrives(f"{key}='{(one + other).replace(chr(92), chr(92) * 2).replace(chr(39), chr(92) + chr(39))}'")
    for value in (
        "1,2",
        "[1,2]",
        "{a:b}",
        "{a: 'b, c'}",
        "'1,2'",
        '"x"',
        "a b",
        "null",
        "true",
        "True",
        "1_0",
        "1e400",
        "",
    ):
        arrives(f"{key}={value}")


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.text(min_size=1), min_size=1))
def test_any_words_arrive_as_a_list(texts: list[str]) -> None:
    words = [f"+a{number}.b=[{text}" for number, text in enumerate(texts)]  # what cannot be read stays as it is
    config = cli_config(words)["overrides"]
    assert (config if isinstance(config, list) else shlex.split(str(config))) == words


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("demo", "demo: not KEY=VALUE; did you mean recipe=demo or corpus=demo?"),
        ("text", "text: not KEY=VALUE; targets and options of Snakemake follow --, as in bleuprint run -- text"),
        ("overrides=#x", "overrides=#x: cannot be read"),
        ("overrides={a: b}", "write KEY=VALUE, without a space after a colon"),
    ],
)
def test_wrong_words_end_in_a_sentence(word: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        config_entries(["seed=1", word])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "--cores all --config seed=1"),
        ("-n", "--cores all -n --config seed=1"),
        ("text --cores 1", "text --cores 1 --config seed=1"),
        ("-nc1", "-nc1 --config seed=1"),
        ("-npj4", "-npj4 --config seed=1"),
        ("--jobs=9 --keep-going", "--jobs=9 --keep-going --config seed=1"),
        ("-R score -- text", "--cores all -R score --config seed=1 -- text"),
        ("--help", "--cores all --help --config seed=1"),
        ("--no-such-option", "--cores all --no-such-option --config seed=1"),  # Snakemake says so itself
    ],
)
def test_options_reach_snakemake_as_they_are(options: str, expected: str) -> None:
    assert call(["seed=1"], options.split()) == SNAKEFILE + expected.split()


def test_the_call_is_as_short_as_the_folder_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call([], []) == [*SNAKEFILE, "--cores", "all"]
    Path("Snakefile").touch()
    assert call([], ["-s", "Snakefile"]) == ["--cores", "all", "-s", "Snakefile"]
    Path("cluster").mkdir()
    Path("cluster/config.yaml").write_text("jobs: 20\n")
    assert call([], ["--profile", "cluster"]) == [*SNAKEFILE, "--profile", "cluster"]  # which has its number of jobs
    monkeypatch.chdir(ROOT)
    assert call([], []) == ["--cores", "all"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert call([], []) == ["--cores", "all", "--nocolor"]
    assert call([], ["--nocolor"]) == ["--cores", "all", "--nocolor"]


def test_a_second_config_is_refused() -> None:
    assert call([], ["--config", "seed=1"])[-2:] == ["--config", "seed=1"]
    for options in (["--config", "seed=1"], ["-n", "-C", "seed=1"]):
        with pytest.raises(DataError, match="the words before -- take its place"):
            call(["recipe=demo"], options)


def test_the_words_of_explain_are_those_of_run() -> None:
    assert cli_config(["seed=2", "training.lr=1e-3"]) == {"seed": 2, "overrides": "training.lr=1e-3"}


# The command line


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "bleuprint.commands.cli", *arguments]
    return subprocess.run(line, env=ENV, capture_output=True, text=True)


@pytest.mark.slow
def test_run_becomes_snakemake() -> None:
    """Its own status and standard output: the line that shows the call is not among what a program would read."""
    result = command("run", "recipe=demo", "+training.note=two words", "--", "--version")
    assert (result.returncode, re.fullmatch(r"[\d.]+\n", result.stdout) is not None) == (0, True)
    (shown,) = result.stderr.splitlines()
    overrides = 'overrides=["+training.note=two words"]'
    assert shlex.split(shown)[1:] == [*SNAKEFILE, "--cores", "all", "--version", "--config", "recipe=demo", overrides]
    wrong = command("run", "demo")
    assert wrong.returncode == 1 and wrong.stderr.startswith("bleuprint: demo: not KEY=VALUE") and not wrong.stdout


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_can_be_typed(line: str) -> None:
    name, *arguments = shlex.split(re.split(r" >>? ", line.rpartition("| ")[2])[0])
    assert name == "bleuprint" and line in EXAMPLES[read(arguments).command]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_help_ends_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        read([name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.endswith("examples:\n  " + "\n  ".join(EXAMPLES[name]) + "\n") and 1 <= len(EXAMPLES[name]) <= 3


def test_the_help_names_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(["--help"])
    text = capsys.readouterr().out
    assert re.findall(r"^  (\d+) ", text, re.MULTILINE) == ["0", "1", "2", "130"]
    for arguments, way_out in ((["run", "-n"], "follow --"), (["verify", "-n"], "arguments: -n\n"), ([], "required")):
        with pytest.raises(SystemExit) as end:
            read(arguments)
        assert end.value.code == 2 and way_out in capsys.readouterr().err


def test_ctrl_c_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "verify", interrupted)
    monkeypatch.setattr(sys, "argv", ["bleuprint", "verify"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"commit": ("a" * 40, True), "none": (None, None)}
    for name, shown in (("commit", " (commit aaaaaaaaaaaa, with uncommitted changes)"), ("none", "")):
        monkeypatch.setattr("bleuprint.machine.environment.revision", lambda root, name=name: known[name])
        with pytest.raises(SystemExit) as end:
            read(["--version"])
        assert end.value.code == 0 and re.fullmatch(rf"bleuprint [\d.]+{re.escape(shown)}\n", capsys.readouterr().out)
