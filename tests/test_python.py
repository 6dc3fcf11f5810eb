"""envs/python.sh: which Python `make env` takes, and where it gets one. Nothing is installed here."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

# A stand-in for a Python answers as the one that runs the tests would if it had another version; an environment that it
# makes holds a copy of it, into which pip puts the stand-in for uv
TOOLS = {tool: str(shutil.which(tool)) for tool in ("sh", "sed", "tail", "mkdir", "cp", "make")}
PYTHON = """
[ "$1" != -c ] || exec {real} -ISc 'import sys
sys.version_info = {version}
sys.executable = sys.argv[2]
exec(sys.argv[1])' "$2" "$0"
echo "python $*" >>{log}
case $2 in
venv) {venv} && {mkdir} -p "$3/bin" && {cp} "$0" "$3/bin/python" ;;
pip) {pip} && {cp} {uv} "${{0%python}}uv" ;;
esac
"""
UV = """
echo "uv $*" >>{log}
case "$2 $4" in
"find cpython>=3.11,<3.13") {finds} && echo {real} ;;
"find 3.12."*) [ -d "$UV_PYTHON_INSTALL_DIR" ] && echo {real} ;;
"install "*) {installs} && {mkdir} "$UV_PYTHON_INSTALL_DIR" ;;
esac
"""
THREE_WAYS = (
    "Install one with apt or dnf (python3.12, with python3.12-venv), with uv (uv python install 3.12) or with conda "
    "(conda create -n py312 python=3.12), and name it: make env PYTHON=its path.\n"
)
OFFLINE = "{ printf 'error: a\\n  cause: no network\\n' >&2; false; }"


class Machine:
    """A PATH that holds a few Pythons and nothing else but what the shell needs."""

    def __init__(self, folder: Path) -> None:
        self.path, self.venv, self.log, self.uv = (folder / name for name in ("path", "venv", "log", "uv"))
        self.path.mkdir()
        for tool in ("sh", "sed", "tail"):
            (self.path / tool).symlink_to(TOOLS[tool])
        self.values = TOOLS | {"real": shlex.quote(sys.executable), "log": str(self.log), "uv": str(self.uv)}

    def has(self, name: str, version: tuple[int, int], venv: str = "true", pip: str = "true") -> None:
        self._write(self.path / name, PYTHON, version=repr((*version, 0)), venv=venv, pip=pip)

    def has_uv(self, path: Path | None = None, finds: str = "false", installs: str = "true") -> None:
        self._write(path or self.uv, UV, finds=finds, installs=installs)

    def _write(self, path: Path, body: str, **values: str) -> None:
        path.write_text("#!/bin/sh" + body.format_map(self.values | values))
        path.chmod(0o755)

    def choose(self, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [TOOLS["sh"], "envs/python.sh", str(self.venv)]
        environment |= {"PATH": str(self.path)}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def calls(self) -> list[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return text.replace(str(self.venv), ".venv").splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": (3, 11), "python3.12": (3, 12)}, "python3"),
        ({"python3": (3, 12)}, "python3"),
        ({"python3": (3, 13), "python3.11": (3, 11), "python3.12": (3, 12)}, "python3.12"),
        ({"python3": (3, 9), "python3.11": (3, 11)}, "python3.11"),
    ],
)
def test_a_supported_python_on_the_path_is_taken(machine: Machine, pythons: dict[str, Any], chosen: str) -> None:
    for name, version in pythons.items():
        machine.has(name, version)
    choice = machine.choose()
    assert (choice.stdout, choice.stderr, choice.returncode) == (f"{machine.path / chosen}\n", "", 0)
    assert machine.calls() == [] and not machine.venv.exists()


@pytest.mark.parametrize("version", [(3, 9), (3, 13), (3, 14)])
@pytest.mark.parametrize("finds", [True, False])
def test_where_all_pythons_are_too_old_or_too_new_uv_finds_or_installs_one(
    machine: Machine, version: tuple[int, int], finds: bool
) -> None:
    machine.has("python3", version)
    machine.has_uv(finds=str(finds).lower())
    choice = machine.choose()
    assert (choice.stdout, choice.returncode) == (f"{sys.executable}\n", 0)
    line = r"bleuprint: no Python 3\.11 or 3\.12 is on the PATH; uv finds one, or installs CPython (3\.12\.\d+)\.\n"
    match = re.fullmatch(line, choice.stderr)
    assert match
    fetched = [
        "python -m venv .venv/uv",
        "python -m pip install --quiet --no-deps --require-hashes -r envs/uv.txt",
        "uv python find --system cpython>=3.11,<3.13",
    ]
    installed = [f"uv python install {match[1]}", f"uv python find --system {match[1]}"]
    assert machine.calls() == (fetched if finds else fetched + installed)
    assert (machine.venv / "python").is_dir() != finds  # so that deleting .venv undoes the set-up


def test_a_uv_on_the_path_needs_no_python_to_be_fetched_with(machine: Machine) -> None:
    machine.has_uv(machine.path / "uv", finds="true")
    assert machine.choose().stdout == f"{sys.executable}\n"
    assert machine.calls() == ["uv python find --system cpython>=3.11,<3.13"]


@pytest.mark.parametrize(
    ("python", "installs", "reason"),
    [
        (None, "true", "there is no python3 to fetch it with"),
        (
            {"venv": "false"},
            "true",
            "python3 cannot create environments; on Debian and Ubuntu, apt install python3-venv",
        ),
        ({"pip": "{ echo 'ERROR: No matching'; false; }"}, "true", "pip could not install it (No matching)"),
        ({}, OFFLINE, r"it could not install CPython 3\.12\.\d+ \(no network\)"),
    ],
    ids=["no python", "no venv", "no package index", "no network"],
)
def test_where_uv_cannot_help_one_sentence_names_three_ways(
    machine: Machine, python: dict[str, str] | None, installs: str, reason: str
) -> None:
    if python is not None:
        machine.has("python3", (3, 13), **python)
    machine.has_uv(installs=installs)
    choice = machine.choose()
    assert (choice.stdout, choice.returncode) == ("", 1)
    reason = reason if "\\" in reason else re.escape(reason)
    sentence = f"bleuprint: there is no Python 3.11 or 3.12, and uv could not help: {reason}. {re.escape(THREE_WAYS)}"
    assert re.fullmatch(sentence, choice.stderr.partition("\n")[2])


def test_the_python_that_is_named_is_taken_or_refused(machine: Machine) -> None:
    machine.has("python3", (3, 12))
    machine.has("other", (3, 11))
    machine.has("new", (3, 13))
    assert machine.choose(PYTHON="other").stdout == f"{machine.path / 'other'}\n"
    assert machine.choose(PYTHON=f"sh {machine.path / 'other'}").stdout == f"{machine.path / 'other'}\n"
    for name in ("new", "missing", "missing words"):
        choice = machine.choose(PYTHON=name)
        assert (choice.stdout, choice.returncode) == ("", 1)
        assert choice.stderr == (
            f"bleuprint: PYTHON={name} is not a Python 3.11 or 3.12; "
            "name another one, or none: then make env looks for one.\n"
        )
    assert machine.calls() == []


def test_make_env_ends_with_that_sentence_and_makes_nothing(machine: Machine) -> None:
    command = [TOOLS["make"], "--no-print-directory", "env", f"VENV={machine.venv}", "PYTHON=missing"]
    ended = subprocess.run(
        command, cwd=ROOT, env={"PATH": str(machine.path)}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("bleuprint: PYTHON=missing is not a Python 3.11 or 3.12; ")
    assert len(ended.stderr.splitlines()) == 2 and not machine.venv.exists()  # the second line is make's
