"""What draws the pictures of terminals for README and docs: tests/pictures.py; and what the pictures must not hold."""

import re
import sys
from pathlib import Path

import pictures
import pytest
from conftest import ROOT

PRINTED = r"""
import os, sys
print("bar 1\rbar 2", os.get_terminal_size().columns, sys.stdout.isatty(), "\x1b[32mgreen\x1b[0m", flush=True)
"""


def test_a_terminal_is_drawn_as_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PICTURES", tmp_path)
    printed = pictures.in_terminal([sys.executable, "-c", PRINTED])
    assert f"bar 2 {pictures.COLUMNS} True" in printed
    pictures.draw("example", ["run", "recipe=demo"], printed)
    text = re.sub("<[^>]*>", "", (tmp_path / "example.svg").read_text()).replace("&#160;", " ")
    assert "$ bleuprint run recipe=demo" in text and "bar 2 80 True" in text and "bar 1" not in text
    assert "green" in text and "[32m" not in text


def test_what_the_demo_printed_is_kept_without_the_checkouts_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = f"snakemake --snakefile {ROOT}/Snakefile --cores all\nbar 1\rbar 2\nsee {ROOT}/profiles\n"
    monkeypatch.setattr(pictures, "in_terminal", lambda command: printed)
    pictures.demo()
    assert pictures.kept() == "snakemake --cores all\nbar 1\rbar 2\nsee profiles\n"


def test_a_command_without_an_end_is_ended() -> None:
    endless = "import time; print('shown', flush=True); time.sleep(60)"
    assert pictures.in_terminal([sys.executable, "-c", endless], 0.2) == "shown\n"


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").iterdir()), ids=lambda picture: picture.name)
def test_pictures_are_small_and_name_no_server_and_no_folder_of_a_machine(picture: Path) -> None:
    assert picture.stat().st_size < 300_000
    if picture.suffix == ".svg":
        text = picture.read_text()
        assert not re.search(r"url\([\"']?https?:", text) and str(ROOT) not in text
        assert not re.search(r"(?<![\w./<])/[a-z]+/[\w.-]+/", re.sub(r"<[^>]*>|https?://\S+", "", text))
