"""The lock, the environments and the rules agree."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "envs"))
from update import conda_files, pins

RULES = [
    (path.name, name, body)
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)*)", path.read_text(), re.M)
]


def test_conda_files_hold_the_lock() -> None:
    for path, text in conda_files().items():
        assert path.read_text() == text, f"{path.name}: run make lock"


def test_pyproject_pins_are_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    direct = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    assert len(direct) > 15
    assert set(direct) <= set(pins())


def test_every_package_has_hashes_and_torch_stands_apart() -> None:
    lock = (ROOT / "envs" / "requirements.lock").read_text()
    entries = re.findall(r"^([\w.-]+)==\S+( \\\n    --hash=sha256:[0-9a-f]{64})?", lock, re.M)
    assert len(entries) > 80
    assert all(hashed for _, hashed in entries)
    names = {name for name, _ in entries}
    assert not names & {"torch", "triton"} and not [name for name in names if name.startswith("nvidia")]
    assert "://" not in lock
    assert (ROOT / "envs" / "torch.txt").read_text() == "torch==2.13.0\n"


@pytest.mark.parametrize(("file", "name", "body"), RULES, ids=lambda value: value if len(value) < 30 else "")
def test_every_rule_that_works_has_log_threads_resources_and_conda(file: str, name: str, body: str) -> None:
    if "shell:" not in body:
        assert "output:" not in body  # a stage's word, a target only
        return
    for directive in ("log:", "threads:", "resources:", "conda:"):
        assert f"    {directive}" in body
    assert Path(ROOT / "workflow/rules" / re.findall(r'"(\S+\.yaml)"', body)[0]).exists()


def test_the_snakefile_is_a_table_of_contents() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 50
    stages = ["corpus", "text", "training", "decoding", "scoring", "report"]
    assert re.findall(r"rules/(\w+)\.smk", (ROOT / "Snakefile").read_text()) == stages
    assert {name for _, name, _ in RULES} >= set(stages)
