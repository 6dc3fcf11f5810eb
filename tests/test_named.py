"""What messages name exists, also where following them needs a GPU, another machine, a full disk or a person."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
from conftest import ROOT
from snakemake.cli import get_argument_parser
from ways_out import accept, in_a_folder

from bleuprint.commands import parser
from bleuprint.config import known_flags
from bleuprint.config.schema import Experiment

__all__ = ["in_a_folder"]  # a fixture
pytestmark = pytest.mark.usefixtures("in_a_folder")

PACKAGE = ROOT / "workflow/bleuprint"
KEY = re.compile(r"(\+?)(?<![\w./-])(corpus|text|model|training|decoding|scoring|runtime|report)\.([a-z]\w+)\b(?!\()")


def sentences(path: Path) -> list[str]:
    """Return the texts of a module that are no docstrings, what is filled in left out."""
    tree = ast.parse(path.read_text())
    told = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]  # docstrings
    inner = [value for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values]
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (value.value if isinstance(value, ast.Constant) else "{}" for value in node.values)
            texts.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in [*told, *inner]:
            texts.append(node.value)
    return [text for text in texts if " " in text]


MESSAGES = {path: "\n".join(sentences(path)) for path in sorted(PACKAGE.rglob("*.py"))}
MESSAGES[known_flags.TABLE] = "\n".join({line.reason for flag in known_flags.flags().values() for line in flag})
SECTIONS = "corpus|text|model|training|decoding|scoring|runtime|report"
GROUPS = "recipe|corpus|text|model|training|decoding|scoring|runtime|seed|source|target"
SETTING = re.compile(rf"\+?\b(?:(?:{SECTIONS})\.\w+|(?:{GROUPS}))=(?:\w+(?:[.-]\w+)*|\[\w+\])")
GIVEN = {"FILE": "mine.de", "FOLDER": ".", "N": "1"}  # for the words that stand for a value
NEEDS = {  # words that other words have to go with
    "training.criterion=nat_loss": "the rows of CONFIG",
    "+training.task=translation_lev": "the rows of CONFIG",
    "text.segmentations=8": "text.bpe_dropout=0.1",
    "source=LANGUAGE": "target=LANGUAGE",
    "target=LANGUAGE": "source=LANGUAGE",
}


def settings() -> list[str]:
    """Return the words KEY=VALUE of all messages, those that stand for a value filled in."""
    text = "\n".join(MESSAGES.values()).replace("{section}", "training")
    words = {match[0] for match in SETTING.finditer(text)} - set(NEEDS)
    return sorted({re.sub("=([A-Z]+)$", lambda match: f"={GIVEN.get(match[1], match[1])}", word) for word in words})


@pytest.mark.parametrize("word", settings())
def test_words_that_a_message_names_are_accepted_as_they_stand(word: str) -> None:
    accept([word])


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_keys_that_a_message_names_exist(path: Path) -> None:
    for match in KEY.finditer(MESSAGES[path]):
        plus, section, name = match.groups()
        kinds = Experiment.model_fields[section].annotation
        fields = {name for kind in get_args(kinds) or [kinds] for name in kind.model_fields}
        # A message begins with the key that it is about
        flag = name in known_flags.flags() and (plus or MESSAGES[path][: match.start()][-1:] in ("", "\n"))
        assert name in fields or flag, match[0]


def test_commands_options_targets_and_files_that_messages_name_exist() -> None:
    text = "\n".join(MESSAGES.values())
    (commands,) = [action.choices for action in parser.parser()._actions if isinstance(action.choices, dict)]
    named = set(re.findall(r"\bbleuprint ([a-z]+)(?= [-{A-Z]| says| runs| packs)", text))
    assert {"verify", "pack", "translate", "run"} <= named <= set(commands)
    own = {option for command in commands.values() for option in command._option_string_actions}
    snakemakes = set(get_argument_parser()._option_string_actions)
    told = "\n".join(text for path, text in MESSAGES.items() if path.parent.name == "commands")
    told = re.sub(r"scancel --\w+", "", told)  # SLURM's own
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", told))
    assert {"--yes", "--folder", "--output"} <= options <= own | snakemakes
    rules = re.findall(r"^rule (\w+):", "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk")), re.M)
    assert {"gather_run"} == set(re.findall(r" -R (\w+)", text)) <= set(rules)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    made = set(re.findall(r"(?:run|or:|with|that|;) make ([a-z-]+)", text)) - {"room", "it", "one"}  # plain words
    assert {"env"} <= made <= set(targets)
    files = set(re.findall(r"(?<![\w/.{}])(?:config|envs|docs|tests|bench|workflow)/[\w./-]*\w", text))
    assert {"config/README.md", "envs/requirements.lock"} <= files and all((ROOT / file).exists() for file in files)
