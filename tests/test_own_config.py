"""The user's own config files: experiments/ or `config_dir`, beside bleuprint's. fairseq is a stand-in here."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CPU, ROOT, TINY, run_snakemake

from bleuprint.commands import completion
from bleuprint.commands.pack import pack
from bleuprint.commands.replay import again
from bleuprint.commands.run import cli_config
from bleuprint.commands.verify import problems
from bleuprint.config import compose, groups
from bleuprint.config.compose import Choice, ConfigError, experiments
from bleuprint.files import read_json
from bleuprint.plan.ancestors import with_parents
from bleuprint.plan.keys import plan

HEAD = "# @package _global_\n"
MINE = f"""{HEAD}# My demo.
defaults:
  - demo
  - override /model: mine
training:
  max_epoch: 3
expected: {{metric: bleu, low: 1, high: null, source: me}}
"""
MODEL = "# A model of my own.\ndefaults: [transformer_tiny]\ndropout: 0.25\n"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    compose._files.cache_clear()


def write(folder: str, **files: str) -> None:
    """Write config files, named GROUP__FILE."""
    for name, text in files.items():
        path = Path(folder, *name.split("__")).with_suffix(".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def one(folder: Path | None = None, **cli: object) -> Choice:
    (choice,) = experiments(cli, folder)
    return choice


def test_files_are_found_in_experiments_and_in_config_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("experiments", recipe__mine=MINE, model__mine=MODEL, recipe__other=HEAD)
    choice = one(recipe="mine")
    assert (choice.groups["recipe"], choice.groups["model"]) == ("mine", "mine")
    assert (choice.experiment.model.dropout, choice.experiment.training.max_epoch) == (0.25, 3)
    assert choice.own == {"recipe/mine.yaml": MINE, "model/mine.yaml": MODEL}  # not the other one
    assert one(recipe="demo").own == {}
    # config_dir goes before experiments/, however it is given; it is no override
    write("an (odd), folder", recipe__there=HEAD)
    for cli in (
        cli_config(["config_dir=an (odd), folder", "recipe=there"]),
        {"config_dir": "an (odd), folder", "recipe": "there"},
        {"overrides": ["config_dir='an (odd), folder'", "recipe=there"]},
    ):
        there = one(**cli)
        assert (there.groups["recipe"], there.overrides) == ("there", ("recipe=there",))
        assert there.config_dir == tmp_path / "an (odd), folder"
    # A folder experiments/ that is something else; then the checkout's own counts
    (tmp_path / "else/experiments/2026").mkdir(parents=True)
    monkeypatch.chdir("else")
    with pytest.raises(ConfigError, match="recipe=mine: no such recipe; there are assignment, "):
        one(recipe="mine")
    shutil.copytree(ROOT / "config", tmp_path / "checkout/config")
    write(str(tmp_path / "checkout/experiments"), recipe__shared=HEAD)
    monkeypatch.setattr(groups, "CONFIG_DIR", tmp_path / "checkout/config")
    assert one(recipe="shared").config_dir == tmp_path / "checkout/experiments"


def test_identity_goes_by_the_values() -> None:
    write("experiments", recipe__mine=MINE, model__mine=MODEL, recipe__same=MINE)
    sweep = plan(experiments({"recipe": "mine,same"}))
    first, second = sweep.runs
    assert first.name.startswith("mine-mine-seed1-") and second.name.startswith("same-mine-seed1-")
    assert first.keys == second.keys
    usual = plan(experiments({"recipe": "demo", "overrides": "model.dropout=0.25 training.max_epoch=3"})).runs[0]
    assert [key[-8:] for key in usual.keys.values()] == [key[-8:] for key in first.keys.values()]
    # The recipe's score is the measure of the recipe itself, not of what differs from it
    assert '"changed":{}' in first.description
    (longer,) = plan(experiments({"recipe": "mine", "overrides": "training.max_epoch=4"})).runs
    assert '"changed":{"training.max_epoch":[3,4]}' in longer.description


def test_they_are_among_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    write("experiments", recipe__mine=MINE, model__mine=MODEL)
    with pytest.raises(ConfigError, match=r"model=mien: no such model; there are .*, mine, transformer"):
        one(model="mien")
    with pytest.raises(ConfigError, match=r"defaults: model=gone: no such model; there are .*, mine, "):
        write("experiments", recipe__astray=f"{HEAD}defaults:\n  - override /model: gone\n")
        one(recipe="astray")
    assert [choice.groups["recipe"] for choice in experiments({"recipe": "glob(m*)"})] == ["mine"]
    assert "recipe=mine" in completion.settings("recipe=m") and "config_dir=" in completion.settings("c")
    write("else", text__special="defaults: [small]\n")
    monkeypatch.setenv("COMP_LINE", "bleuprint run config_dir=else text=")
    assert "text=special" in completion.settings("text=") and "recipe=mine" not in completion.settings("recipe=")


WRONG = [
    ({"recipies/a": HEAD}, {}, r"d/recipies: no such group; there are corpus, decoding, "),
    ({"a": HEAD}, {}, r"d/a\.yaml: lies in no group; move it to .*d/recipe"),
    ({}, {}, r"config_dir=d: holds no config file; put one into it, such as d/recipe/mine\.yaml"),
    ({"recipe/demo": HEAD}, {}, r"d/recipe/demo\.yaml: bleuprint has a recipe of that name; rename the file"),
    ({"recipe/my recipe": HEAD}, {}, r"d/recipe/my recipe\.yaml: a name has letters, .* rename the file"),
    (
        {"recipe/a": "model: {dropout: 0.1}\n"},
        {},
        r"d/recipe/a\.yaml: a recipe begins with the line # @pack",
    ),
    ({"recipe/a": f"{HEAD}model: {{"}, {"recipe": "a"}, r"d/recipe/a\.yaml, line 2: is no YAML: "),
    ({"recipe/a": f"{HEAD}- 1\n"}, {"recipe": "a"}, r"d/recipe/a\.yaml: holds no keys with values"),
    ({"model/a": "defaults: 3\n"}, {"model": "a"}, r"d/model/a\.yaml: defaults is a list of files"),
    ({"model/a": "defaults: [b]\n", "model/b": "defaults: [a]\n"}, {"model": "a"}, "name each other in a circle"),
    ({"recipe/a": f"{HEAD}training: 5\n"}, {"recipe": "a"}, "training=5: is no mapping"),
    ({"recipe/a": f"{HEAD}defaults: [/model: lightconv]\n"}, {"recipe": "a"}, "write override /model: NAME"),
    ({"recipe/a": f"{HEAD}modle: {{}}\n"}, {"recipe": "a"}, "did you mean model?"),
    ({"recipe/a": HEAD}, {"config_dir": "none"}, "config_dir=none: no such folder; name the folder that holds"),
    ({"recipe/a": HEAD}, {"config_dir": "d,e"}, "config_dir=d,e: is one folder, for all runs; write config_dir=FOLDER"),
    ({"recipe/a": HEAD}, {"config_dir": "d/recipe/a.yaml"}, "a.yaml: is a file; name the folder that holds"),
]


@pytest.mark.parametrize(("files", "cli", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_what_is_wrong_there_is_said_in_a_sentence(files: dict[str, str], cli: dict[str, str], message: str) -> None:
    Path("d").mkdir()
    write("d", **{name.replace("/", "__"): text for name, text in files.items()})
    with pytest.raises(ConfigError, match=message) as refused:
        experiments({"config_dir": "d"} | cli)
    assert "\n" not in str(refused.value)


def test_other_endings_and_encodings_are_said_and_what_is_no_config_is_left_alone() -> None:
    write("d", recipe__a=HEAD)
    Path("d/README.md").write_text("mine")
    Path("d/.git").mkdir()
    Path("d/recipe/.#a.yaml").symlink_to("nowhere")
    Path("d/recipe/a.yaml~").write_text("old")
    assert one(config_dir="d", recipe="a").groups["recipe"] == "a"
    Path("d/recipe/b.yml").write_text(HEAD)
    with pytest.raises(ConfigError, match=r"b\.yml: the name must end in \.yaml; rename it"):
        one(config_dir="d")
    Path("d/recipe/b.yml").unlink()
    Path("d/model").mkdir()
    Path("d/model/c.yaml").write_bytes(b"x: \xff")
    with pytest.raises(ConfigError, match=r"c\.yaml: is no text in UTF-8"):
        one(config_dir="d", model="c")


@pytest.fixture
def run(tmp_path: Path, tiny_text: Path, fake_fairseq: dict[str, str]) -> Path:
    """Return the folder of a run with files of the user's own, which have changed since."""
    shutil.copytree(tiny_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    write("experiments", recipe__mine=MINE, model__mine=MODEL)
    result = run_snakemake(tmp_path, "--config", "recipe=mine", f"overrides={TINY}", env=fake_fairseq | CPU)
    assert result.returncode == 0, result.stderr
    write("experiments", recipe__mine=f"{HEAD}seed: 9\n", model__mine="defaults: [lightconv]\n")
    (folder,) = Path("results/runs").iterdir()
    return folder


def test_a_run_keeps_its_files_and_is_planned_from_them(tmp_path: Path, run: Path) -> None:
    assert (run / "config/recipe/mine.yaml").read_text() == MINE
    known = read_json(run / "provenance.json")
    assert {"config/recipe/mine.yaml", "config/model/mine.yaml"} <= set(known["files"])
    assert "config" not in known["asked"] and known["asked"]["words"][0] == "recipe=mine"
    with tarfile.open(pack(run.name, None, checkpoint=False)) as archive:
        assert f"{run.name}/config/model/mine.yaml" in archive.getnames()
    # Neither the user's folder nor what it holds today counts any more
    (heir,) = map(with_parents, experiments({"recipe": "demo", "overrides": f"training.start_from={run.name} {TINY}"}))
    assert heir.parents["start"].own == {"recipe/mine.yaml": MINE, "model/mine.yaml": MODEL}
    shutil.rmtree("experiments")
    (replayed,) = plan(experiments({"overrides": again(known, tmp_path)})).runs
    assert replayed.name == run.name and replayed.choice.own["recipe/mine.yaml"] == MINE
    (run / "config/model/mine.yaml").write_text("dropout: 0.3\n")
    assert any(line.startswith("changed  ") for line in problems(run, known))


@pytest.mark.nightly
def test_a_run_is_replayed_from_its_files(run: Path, fake_fairseq: dict[str, str]) -> None:
    shutil.rmtree("experiments")
    command = [sys.executable, "-m", "bleuprint.commands.cli", "replay", run.name]
    env = os.environ | fake_fairseq | CPU | {"PYTHONPATH": str(ROOT / "workflow")}
    replayed = subprocess.run(command, env=env, capture_output=True, text=True)
    assert replayed.returncode == 0 and "hypotheses: the same bytes" in replayed.stdout, replayed.stderr
    assert Path("replays", run.name, run, "config/recipe/mine.yaml").read_text() == MINE


def test_recipes_may_start_from_one_another() -> None:
    start = MINE.replace("max_epoch: 3", "start_from: [recipe=first]")
    write("mine", recipe__first=MINE, recipe__second=start, model__mine=MODEL)
    made = plan(experiments({"config_dir": "mine", "recipe": "second"}))
    assert '"recipe/first.yaml"' in made.runs[0].asked and '"recipe/second.yaml"' in made.runs[0].asked
    assert len(made.stages["training"]) == 2
