"""What the tests of ways out share: a config is accepted, or refused with a message."""

from pathlib import Path

import pytest

from bleuprint.config.compose import experiments
from bleuprint.config.schema import Experiment
from bleuprint.files import DataError
from bleuprint.plan import fairseq_flags
from bleuprint.plan.keys import plan


@pytest.fixture
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language in ("de", "en"):
        Path(f"mine.{language}").write_text("a\n" * 100)
    monkeypatch.setattr(fairseq_flags, "parse", lambda experiments: None)  # takes long, and is no part of this


def accept(words: list[str]) -> list[Experiment]:
    """Plan what Hydra's words ask for."""
    chosen = [run.choice.experiment for run in plan(experiments({"overrides": words})).runs]
    fairseq_flags.check(chosen)
    return chosen


def refusal(words: list[str]) -> str:
    with pytest.raises(DataError) as error:
        accept(words)
    return str(error.value)


def key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]
