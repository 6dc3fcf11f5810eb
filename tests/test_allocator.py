"""Trainings and decodings on a CPU have mimalloc; whoever preloads or sets something else keeps it."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from bleuprint.machine import allocator

MAPS = "import ctypes; print(open('/proc/self/maps').read()); ctypes.CDLL(None).mi_version"


def test_the_command_runs_with_mimalloc() -> None:
    command = [sys.executable, "-m", "bleuprint.machine.allocator", sys.executable, "-c", MAPS]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr  # mi_version is mimalloc's
    assert "libmimalloc" in result.stdout


def test_its_exit_status_is_the_commands() -> None:
    command = [sys.executable, "-m", "bleuprint.machine.allocator", "sh", "-c", "exit 7"]
    assert subprocess.run(command).returncode == 7


def test_what_the_user_preloads_and_sets_comes_first() -> None:
    given = {"LD_PRELOAD": "/usr/lib/mine.so", "MIMALLOC_PURGE_DELAY": "10"}
    made = allocator.environment(given)
    assert made["LD_PRELOAD"] == f"/usr/lib/mine.so:{allocator.library()}"
    assert made["MIMALLOC_PURGE_DELAY"] == "10" and made["MIMALLOC_ALLOW_LARGE_OS_PAGES"] == "1"


def test_without_the_package_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(allocator, "distribution", missing)
    assert allocator.library() is None
    assert allocator.environment({"A": "b"}) == {"A": "b"}


def test_every_command_spins_briefly_and_the_user_may_say_how_long() -> None:
    script = "import os, bleuprint; print(os.environ['GOMP_SPINCOUNT'])"
    for given, wanted in (({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7")):
        rest = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
        result = subprocess.run([sys.executable, "-c", script], env=rest | given, capture_output=True, text=True)
        assert result.stdout.strip() == wanted, result.stderr


def test_the_library_is_the_pinned_packages() -> None:
    path = allocator.library()
    assert path is not None and path.is_absolute() and Path(sys.prefix).resolve() in path.parents
