"""Completion of bleuprint's command line, as bash asks for it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from bleuprint.commands import completion, runs
from bleuprint.config.groups import shipped

# What bash does when the Tab key is pressed at the end of each line; a function stands for the installed command
SCRIPT = """
bleuprint() { %s -m bleuprint.commands.cli "$@"; }
eval "$(bleuprint completion bash)"
for line in "$@"; do
  COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
  _python_argcomplete bleuprint
  (IFS='|'; echo "${COMPREPLY[*]}")
done
"""
NAMES = ["demo-lightconv_tiny-seed1-d3097c5f", "demo-transformer_tiny-seed1-43fc1903"]


def completed(folder: Path, *lines: str) -> list[list[str]]:
    """Return what bash is offered for each line."""
    script = SCRIPT % shlex.quote(sys.executable)
    result = subprocess.run(
        ["bash", "-c", script, "bash", *lines],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    return [line.split("|") for line in result.stdout.splitlines()]


@pytest.mark.slow
def test_bash_is_offered_commands_options_runs_groups_files_and_keys(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / "results/runs" / name).mkdir(parents=True)
        (tmp_path / "results/runs" / name / "scores.json").write_text("{}")
    (tmp_path / "results/runs/unfinished").mkdir()
    (tmp_path / "letter.de").touch()
    asked = {
        "bleuprint ver": ["verify "],
        "bleuprint report --ba": ["--baseline "],
        "bleuprint verify ": NAMES,
        "bleuprint translate --run demo-t": [f"{NAMES[1]} "],
        "bleuprint translate --run demo-t let": ["letter.de "],
        "bleuprint runs --sort mo": ["model "],
        "bleuprint report res": [""],  # no run has such a name, and bash itself completes that of a folder
        # bash takes the equals sign for the end of a word
        "bleuprint run model=light": ["lightconv", "lightconv_tiny"],
        "bleuprint run recipe=demo model=transformer,lightconv_": ["transformer,lightconv_tiny "],
        "bleuprint run mod": ["model=", "model."],
        "bleuprint explain training.lr_": ["training.lr_scheduler="],
        "bleuprint run +training.label_t": ["+training.label_tau="],
        "bleuprint run recipe=demo -- dec": ["decoding "],
    }
    assert dict(zip(asked, completed(tmp_path, *asked), strict=True)) == asked


def test_where_nothing_is_known_nothing_is_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert completion.runs() == []
    assert completion.settings("seed=") == [] and completion.settings("nonsense.") == []
    monkeypatch.setattr("bleuprint.config.groups.CONFIG_DIR", tmp_path / "none")
    shipped.cache_clear()
    try:
        assert completion.settings("model=") == []  # installed without its checkout
    finally:
        shipped.cache_clear()


def test_an_answer_comes_soon() -> None:
    """What takes long to import is not imported; the keys of `runs --sort` are therefore named twice."""
    slow = {"torch", "fairseq", "hydra", "omegaconf", "snakemake", "sacrebleu", "rich"}
    code = (
        f"import bleuprint.commands.completion as c, sys; c.runs(); c.settings('x'); print({slow} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "workflow", capture_output=True, text=True)
    assert result.stdout == "set()\n"
    assert completion.SORTED_BY == runs.SORTED_BY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_code(shell: str) -> None:
    assert "bleuprint" in completion.code(shell)
