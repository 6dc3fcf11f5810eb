"""What commands share: files that prove to be whole, leftovers of killed commands, and messages in one sentence."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_up import make_run

from bleuprint.commands.alone import say_if_read_only
from bleuprint.commands.pack import pack
from bleuprint.corpus.checks import check, warnings
from bleuprint.files import ACTING, Damaged, DataError, exit_with_message, read_json, replacing, visible, write_lines
from bleuprint.record.provenance import base


def ending(error: Exception) -> str:
    """What an entry point prints of an error."""
    with pytest.raises(SystemExit) as ended, exit_with_message(OSError):
        raise error
    return str(ended.value.code)


def test_an_error_is_one_sentence_in_plain_characters() -> None:
    read_only = OSError(30, "Read-only file system", "a\x1b[31m\udcff")
    assert ending(read_only) == (
        "bleuprint: a⟨U+001B⟩[31m⟨U+DCFF⟩: Read-only file system; make it writable, or work in another folder."
    )
    assert (
        ending(FileNotFoundError(2, "No such file or directory", b"x\xff"))
        == "bleuprint: x⟨U+DCFF⟩: No such file or directory."
    )
    assert ending(DataError("de\u202etrap\n  more")) == "bleuprint: de⟨U+202E⟩trap\n  more"
    kept = "ä\tשלום \u200f\u200d文字\u00a0👩\u200d💻\n"
    assert visible(kept) == kept and not ACTING.search(visible("".join(map(chr, range(0x3000)))))


def test_pairs_that_are_quoted_on_the_terminal_do_not_act_on_it() -> None:
    pair = "\x1b]0;owned\x07 \u202e ein langer Satz"
    parts = {
        f"{part}.{language}": [f"{pair} {language}"] * 2 for part in ("train", "test") for language in ("de", "en")
    }
    told = warnings(check(parts, "de", "en"))
    (warning,) = [line for line in told if "owned" in line]
    assert "“⟨U+001B⟩]0;owned⟨U+0007⟩ ⟨U+202E⟩ ein langer Satz de”" in warning and not ACTING.search("".join(told))


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = """
from bleuprint.files import exit_with_message
with exit_with_message():
    for _ in range(100_000):
        print("x\\udcff")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"x\\udcff\n"  # bytes of a name that are no UTF-8
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 1


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"[]", b"null", b"\0\xff", b"{}", b"[" * 100_000])
def test_json_that_is_not_what_was_written_is_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"x.json is empty or damaged; delete it and run the same command again\."):
        read_json(tmp_path / "x.json", keys=["a"])


def test_what_killed_commands_left_is_swept(tmp_path: Path) -> None:
    """Not what a living process or one on another host is making, nor what has another name."""
    process = subprocess.Popen(["true"])
    process.wait()
    dead, living, host = process.pid, os.getppid(), socket.gethostname()
    kept = [f".x.{living}.part", f".x.{host}-{living}.part", f".x.elsewhere-{dead}.part", f".xy.{dead}.part", "x.part"]
    for name in [f".x.{dead}.part", f".x.{host}-{dead}.part", *kept]:
        write_lines(tmp_path / name, [])
    (tmp_path / f".x.{host}-{dead}0000.part").mkdir()
    write_lines(tmp_path / f".x.{host}-{dead}0000.part/y", [])
    with replacing(tmp_path / "x"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"x", *kept}


def test_a_run_is_found_whatever_links_and_dots_lead_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also inside a run whose results/ is a link to a folder of another name: only the shell knows the way back."""
    (tmp_path / "disk/data/runs/one").mkdir(parents=True)
    (tmp_path / "disk/data/runs/two").mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "results").symlink_to(tmp_path / "disk/data")
    (tmp_path / "mine").symlink_to(project / "results/runs/one")
    monkeypatch.chdir(project)
    assert base(Path("results/runs/one")) == base(project / "results/runs/two") == project
    assert base(Path("results/runs/two/../one")) == project
    monkeypatch.chdir("results/runs/one")
    monkeypatch.setenv("PWD", str(project / "results/runs/one"))
    assert base(Path(".")) == base(Path("../two")) == project
    monkeypatch.setenv("PWD", "/somewhere/else")
    with pytest.raises(DataError, match=r"^\. lies in no results/runs; name the run in the folder that holds results/"):
        base(Path("."))
    (project / "results").unlink()
    (tmp_path / "disk/data").rename(project / "results")
    monkeypatch.chdir(project / "results/runs/one")
    assert base(Path(".")) == base(Path("../two")) == base(project / "results/runs/one/") == project
    (tmp_path / "link").symlink_to(project / "results/runs/one")
    assert base(tmp_path / "link") == project
    with pytest.raises(DataError):
        base(Path("/"))


def test_a_read_only_folder_is_said_last(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Snakemake ends with errors of its own before it calls any hook."""
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    workflow = SimpleNamespace(is_main_process=True, dryrun=False)
    say_if_read_only(workflow)
    at_exit[0]()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    at_exit[0]()
    assert "cannot be written to; make it writable, or work in another folder." in capsys.readouterr().err
    workflow.dryrun = True  # which needs to write nothing
    at_exit[0]()
    assert capsys.readouterr().err == ""


def test_an_archive_without_a_place_names_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bleuprint.commands.pack._paths", lambda *arguments: {})
    name = make_run()["run"]
    (tmp_path / "file").write_text("")
    for place, reason in (("file/x.tgz", "File exists|Not a directory"), ("/proc/x/y", "No such file")):
        with pytest.raises(DataError, match=rf"cannot be written \(({reason}).*; name another place with --output\."):
            pack(name, Path(place), False)
    (tmp_path / "folder").mkdir()
    assert pack(name, Path("folder"), False) == Path(f"folder/{name}.tar.gz")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [f"{name}.tar.gz"]
