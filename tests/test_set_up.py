"""The lock, the environments and the rules agree; make, the hooks and the files for contributors do, too."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import ROOT, pytest_sessionfinish
from shares import DEFAULT, HEADROOM, SECONDS, too_long, with_seconds

from bleuprint.commands import cli
from bleuprint.commands import run as run_command
from bleuprint.config import compose, groups

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
    assert {re.sub(r"\[.*\]", "", pin) for pin in direct} <= set(pins())  # the lock names no extras


def test_uv_is_pinned_with_hashes_and_installs_a_supported_python() -> None:
    (pin,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["set-up"]
    lines = (ROOT / "envs" / "uv.txt").read_text().splitlines()
    assert lines[0] == f"{pin} \\" and "://" not in "".join(lines)
    assert len([line for line in lines if re.match(r"    --hash=sha256:[0-9a-f]{64}", line)]) > 10
    assert re.search(r"^pinned=3\.12\.\d+ ", (ROOT / "envs" / "python.sh").read_text(), re.M)


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
    for directive in ("log:", "threads:", "resources:", "conda:\n        ENVIRONMENT\n"):
        assert f"    {directive}" in body
    common = (ROOT / "workflow/rules/common.smk").read_text()
    (environment,) = re.findall(r"^ENVIRONMENT = .*/(envs/\S+\.yaml)", common, re.M)
    assert (ROOT / environment).exists()


def test_the_snakefile_is_a_table_of_contents() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 50
    stages = ["corpus", "text", "testset", "training", "decoding", "scoring", "report"]
    assert re.findall(r"rules/(\w+)\.smk", (ROOT / "Snakefile").read_text()) == ["common", *stages]
    assert {name for _, name, _ in RULES} >= set(stages)


def test_make_alone_lists_every_target() -> None:
    targets = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)[0].split()
    for words in ([], ["help"]):
        listing = subprocess.run(
            ["make", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        assert re.findall(r"^make ([a-z-]+) +[A-Z]", listing, re.M) == targets
        assert len(listing.splitlines()) == len(targets)


def test_the_hooks_of_pre_commit_are_the_linters_of_make() -> None:
    linters = re.findall(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[0].split("\n\t")
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == [f".venv/bin/{line.strip()}" for line in linters]


def test_github_runs_the_checks_on_every_python_and_asks_for_what_is_needed() -> None:
    github = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github").rglob("*.yml")}
    job = github["test"]["jobs"]["test"]
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12"] and requires == ">=3.11,<3.13"
    assert job["steps"][-1] == {"run": "bash .ci/run", "env": {"PYTHON": "python${{ matrix.python }}"}}
    questions = {part["id"]: part["attributes"]["label"] for part in github["bug"]["body"]}
    assert "bleuprint doctor" in questions["doctor"] and "provenance.json" in questions["provenance"]
    assert all(form["name"] and form["body"] for form in (github["bug"], github["feature"]))


def test_every_path_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = [word for word in re.findall(r"`([^` ]+)`", text) if "/" in word and "…" not in word]
    assert len(paths) > 20
    assert [word for word in paths if not (ROOT / word).exists() and not (ROOT / "workflow" / word).exists()] == []
    assert len(text.splitlines()) <= 120


def test_contributing_tells_the_seconds_of_each_test_file() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f" {name.removeprefix('test_')} {seconds}" in text for name, seconds in SECONDS.items())
    assert with_seconds(text) == text, "run: python tests/shares.py"


def test_files_that_take_more_than_their_share_of_time_are_named() -> None:
    usual = {name: float(value) for name, value in SECONDS.items()}
    assert too_long(usual | {"test_new": DEFAULT}) == []
    assert too_long({name: 0.1 * value for name, value in usual.items()}) == []
    name, limit = "test_kill", HEADROOM * usual["test_kill"]
    assert too_long(usual | {name: limit - 1}) == []
    (sentence,) = too_long(usual | {name: limit + 1})
    assert sentence.startswith(f"tests/{name}.py took {limit + 1:.0f} s and its share is {limit:.0f} s: ")
    slower = {name: 5 * value for name, value in usual.items()}  # another machine: everything takes longer
    assert too_long(slower | {"test_new": 5 * DEFAULT}) == []
    assert len(too_long(slower | {name: 5 * limit + 1})) == 1
    assert len(too_long({"test_new": HEADROOM * DEFAULT + 1})) == 1


@pytest.mark.parametrize("asked", [False, True])
def test_a_whole_run_fails_where_a_file_takes_more_than_its_share(asked: bool) -> None:
    report = pytest.TestReport("tests/test_new.py::test_x", ("", 0, ""), {}, "passed", None, "call", duration=999.0)
    printed: list[str] = []
    reporter = SimpleNamespace(stats={"passed": [report], "deselected": [object()]}, write_line=printed.append)
    config = SimpleNamespace(
        getoption=lambda name: asked and name == "--shares", pluginmanager=SimpleNamespace(getplugin=lambda _: reporter)
    )
    session: Any = SimpleNamespace(config=config, shouldfail=False, exitstatus=pytest.ExitCode.OK)
    pytest_sessionfinish(session)
    assert session.exitstatus == (pytest.ExitCode.TESTS_FAILED if asked else pytest.ExitCode.OK)
    assert str(session.shouldfail).startswith("tests/test_new.py took 999 s and its share is") == asked
    assert "".join(printed).endswith("seconds: test_new 999") == asked


@pytest.mark.parametrize("words", ["run", "explain", "doctor", "explain model=lightconv seed=1,2"])
def test_an_installation_without_its_checkout_ends_in_a_sentence(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "CONFIG_DIR", tmp_path / "config")
    monkeypatch.setattr(run_command, "ROOT", tmp_path)
    groups.shipped.cache_clear()
    compose._files.cache_clear()
    monkeypatch.setattr(sys, "argv", ["bleuprint", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    path = tmp_path / ("Snakefile" if words == "run" else "config")
    assert ended.value.code == (
        f"bleuprint: {path}: not found; bleuprint is installed without its checkout: run pip install -e . in the "
        "checkout's folder."
    )
