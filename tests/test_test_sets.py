"""Further test sets: the user's own files with several references, and sets that sacreBLEU knows by name."""

import hashlib
import re
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sacrebleu.dataset import DATASETS
from sacrebleu.dataset.fake_sgml import FakeSGMLDataset

from bleuprint.config.compose import experiments
from bleuprint.config.local_text import _content_hash
from bleuprint.config.local_text import test_identity as identity
from bleuprint.corpus import fetch, test_sets
from bleuprint.files import DataError, sha256

DE_EN = ("de", "en")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _content_hash.cache_clear()  # it knows files by their paths
    return tmp_path


def write(name: str, *lines: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, list[str]]:
    """Run the command; the lines of each file that it writes."""
    monkeypatch.setattr(sys, "argv", ["test_sets", *words, "--source", "de", "--target", "en", "--output", "raw"])
    test_sets.main()
    return {path.name: path.read_text(encoding="utf-8").splitlines() for path in sorted(Path("raw").iterdir())}


# Own files


def test_one_reference_in_each_of_several_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write("data/mine.de", "eins", "", "drei")
    several = [write(f"data/mine.en.ref{n}", f"one {n}", "two", "three") for n in range(3)]
    assert identity("data/mine", DE_EN) == {"source": sha256(source), "references": list(map(sha256, several))}
    files = command(monkeypatch, "--where", "data/mine")
    assert files["test.de"] == ["eins", "", "drei"]
    assert [files[f"test.en{end}"][0] for end in ("", ".1", ".2")] == ["one 0", "one 1", "one 2"]
    printed = capsys.readouterr()
    assert printed.out == "test: 3 lines, 3 references\n"
    assert printed.err.endswith("Note: 1 source line of 3 is blank, and so will be its translation.\n")
    write("data/mine.en.ref1", "one", "two")
    with pytest.raises(DataError, match=r"data/mine, reference 1: test.de has 3 lines and test.en has 2;"):
        test_sets.read("data/mine", DE_EN)


def test_a_pair_of_files_and_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = {language: write(f"data/mine.{language}", language) for language in DE_EN}
    assert identity("data/mine", DE_EN) == {"source": sha256(pair["de"]), "references": [sha256(pair["en"])]}
    assert command(monkeypatch, "--where", "data/mine") == {"test.de": ["de"], "test.en": ["en"]}
    table = write("mine.tsv", "en\tde", "a\tb")
    assert identity("mine.tsv", DE_EN) == {"both": f"tsv {sha256(table)}"}
    assert test_sets.read("mine.tsv", DE_EN) == (["b"], [["a"]])
    with pytest.raises(DataError, match=r"data/his.de: no such file, nor with .gz"):
        identity("data/his", DE_EN)


def test_paths_of_test_sets_hold_in_another_folder() -> None:
    write("mine.tsv", "en\tde", "a\tb")
    words = {"corpus": "demo", "overrides": ["corpus.tests={a:mine.tsv,b:sacrebleu/wmt20}"]}
    (choice,) = experiments(words)
    moved = choice.experiment.corpus.relocated(Path("/x"))
    assert moved == {"tests.a": "/x/mine.tsv"}
    again = experiments(
        {"overrides": [*choice.overrides, *(f'corpus.{key}="{value}"' for key, value in moved.items())]}
    )
    assert again[0].experiment.corpus.tests == {"a": "/x/mine.tsv", "b": "sacrebleu/wmt20"}


# Sets that sacreBLEU knows


def sgm(*segments: str) -> str:
    return "\n".join(f'<seg id="{n}"> {text} </seg>' for n, text in enumerate(segments)) + "\n"


class Server(ThreadingHTTPServer):
    """Gives the files of a folder, and notes what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))


class Handler(SimpleHTTPRequestHandler):
    """Answers for the server."""

    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Note the path."""
        self.server.asked.append(self.path)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve a set with two references, which sacreBLEU knows as `made/up`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "BACKOFF", 0)
    files = {"x/src.sgm": sgm("A &amp;", "B  b"), "x/ref.sgm": sgm("a &amp;", "b"), "x/ref2.sgm": sgm("aa", "bb")}
    with tarfile.open("served.tgz", "w:gz") as tar:
        for name, text in files.items():
            tar.add(write(name, *text.splitlines()), name)
    Path("server").mkdir()
    Path("served.tgz").rename("server/made.tgz")
    server = Server(tmp_path / "server")
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    dataset = FakeSGMLDataset(
        "made/up",
        data=[f"http://127.0.0.1:{server.server_port}/made.tgz"],
        md5=[hashlib.md5(Path("server/made.tgz").read_bytes()).hexdigest()],
        langpairs={"de-en": list(files), "zh-en": list(files)},
    )
    dataset._outdir, dataset._rawdir = str(tmp_path / "cache"), str(tmp_path / "cache/raw")
    monkeypatch.setitem(DATASETS, "made/up", dataset)
    yield server
    server.shutdown()
    server.server_close()


def test_a_published_set_is_downloaded_once(published: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = DATASETS["made/up"].md5
    assert identity("sacrebleu/made/up", DE_EN) == {"set": "sacrebleu/made/up", "pair": "de-en", "md5": md5}
    lines = {"test.de": ["A &amp;", "B b"], "test.en": ["a &amp;", "b"], "test.en.1": ["aa", "bb"]}
    for _ in range(2):
        assert command(monkeypatch, "--where", "sacrebleu/made/up") == lines
    assert published.asked == ["/made.tgz"]
    assert sorted(path.name for path in Path("cache/raw").iterdir()) == ["made_up.made.tgz"]  # as sacreBLEU names it
    Path("cache/raw/made_up.made.tgz").write_bytes(b"damaged later")
    assert command(monkeypatch, "--where", "sacrebleu/made/up") == lines
    assert published.asked == ["/made.tgz"] * 2


def test_a_published_set_comes_from_the_mirror(published: Server) -> None:
    Path("mirror").mkdir()
    mirrored = Path("mirror/made.tgz")
    mirrored.write_bytes(Path("server/made.tgz").read_bytes())
    assert test_sets.read("sacrebleu/made/up", ("zho_Hans", "en"), Path("mirror"))[0] == ["A &amp;", "B b"]
    assert published.asked == []
    mirrored.write_bytes(b"another set with this name")
    assert test_sets.read("sacrebleu/made/up", DE_EN, Path("mirror"))[0] == ["A &amp;", "B b"]
    assert published.asked == ["/made.tgz"]


def test_a_published_set_that_is_another_file_is_refused(published: Server) -> None:
    Path("server/made.tgz").write_bytes(b"<html>Log in</html>")
    with pytest.raises(
        DataError, match=r"made_up.made.tgz could not be downloaded \(http.*: wrong checksum, md5 [0-9a-f]+ w"
    ):
        test_sets.read("sacrebleu/made/up", DE_EN)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("sacrebleu/wtm20", "sacrebleu/wtm20: sacreBLEU has no test set of this name; it has for instance wmt20"),
        ("sacrebleu/x", "it has for instance wmt24, wmt23"),
        ("sacrebleu/wmt20/robust/set1", "sacreBLEU has it for en-de, en-ja, and not for de-en"),
    ],
)
def test_an_unknown_set_or_pair_is_named_before_any_job(where: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        identity(where, DE_EN)
