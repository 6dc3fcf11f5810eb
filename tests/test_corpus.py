"""The corpus stage: downloads from a server that misbehaves, archives, aligned lines, the generated corpus."""

import bz2
import gzip
import hashlib
import io
import lzma
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from backports import zstd

from bleuprint.config.compose import experiments
from bleuprint.config.local_text import local_file
from bleuprint.corpus import arguments, fetch, transfer
from bleuprint.corpus.demo import generate
from bleuprint.corpus.fetch import ATTEMPTS
from bleuprint.corpus.iwslt14 import TEST_SETS, read_archive
from bleuprint.corpus.lines import check_aligned, hold_out, read_text
from bleuprint.corpus.transfer import CHUNK
from bleuprint.files import ACTING, DataError
from bleuprint.plan.keys import plan

LANGUAGES = ("de", "en")

# Downloads

BODY = Random(0).randbytes(300_000)
FACTS: dict[str, Any] = {"size": len(BODY), "digest": hashlib.sha256(BODY).hexdigest()}
NAME = "corpus.tgz"


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    body: bytes = BODY
    status: int = 200
    cut: int | None = None  # bytes of this response after which the connection ends
    stall: float = 0  # seconds of silence before it ends
    ranges: bool = True  # whether a Range header is honoured
    chunked: bool = False  # no Content-Length
    pause: float = 0  # seconds after every so many
    grain: int = 1  # bytes
    head: bool = True  # False: not even the head of the answer comes to its end
    reason: str | None = None  # the words after the status
    raw: bytes | None = None  # sent as it is in place of an answer
    headers: dict[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """Gives each path its answers one after the other, the last one for ever; notes what was asked and sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.ranges: dict[str, list[str | None]] = defaultdict(list)  # path → the Range header of each request
        self.editions: dict[str, list[str | None]] = defaultdict(list)  # path → the If-Range header of each request
        self.served = 0  # bytes of bodies

    def offer(self, path: str, *answers: Answer) -> str:
        """Set the answers for `path`; its URL."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    """One connection per request, as in HTTP/1.0."""

    server: Server

    def do_GET(self) -> None:
        """Answer as planned."""
        planned = self.server.answers[self.path]
        answer = planned.pop(0) if len(planned) > 1 else planned[0]
        wanted = self.headers["Range"]
        self.server.ranges[self.path].append(wanted)
        edition = self.headers["If-Range"]
        self.server.editions[self.path].append(edition)
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            return
        current = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        partly = wanted and answer.ranges and edition in (None, current)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if partly else 0
        body, status = answer.body[start:], answer.status
        if start and status == 200:
            status = 206 if body else 416
        sent = body[: answer.cut]
        self.server.served += len(sent)
        if not answer.head:
            self._trickle(b"HTTP/1.0 200 OK\r\nX-Filler: " + sent, answer)
            return
        self.send_response(status, answer.reason)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        length = ("Transfer-Encoding", "chunked") if answer.chunked else ("Content-Length", str(len(body)))
        if "Content-Length" not in answer.headers:
            self.send_header(*length)
        self.end_headers()
        if answer.pause:
            self._trickle(sent, answer)
            return
        with suppress(ConnectionError):  # the client may have had enough
            for at in range(0, len(sent), 10_000):
                piece = sent[at : at + 10_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.chunked else piece)
            if answer.chunked and len(sent) == len(body):
                self.wfile.write(b"0\r\n\r\n")
        time.sleep(answer.stall)

    def _trickle(self, data: bytes, answer: Answer) -> None:
        with suppress(ConnectionError):
            for at in range(0, len(data), answer.grain):
                self.wfile.write(data[at : at + answer.grain])
                time.sleep(answer.pause)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep standard error for the progress bar."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "BACKOFF", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def closed_port() -> str:
    """Return the URL of a file behind a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/{NAME}"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_cut_download_is_resumed(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.offer("/a", Answer(cut=100_001), Answer(cut=99_999), Answer())
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS) == tmp_path / NAME
    assert (tmp_path / NAME).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=100001-", "bytes=200000-"]
    assert server.served == len(BODY)
    assert files(tmp_path) == [NAME]
    bar = capsys.readouterr().err
    assert f"{NAME}: " in bar
    assert "100%" in bar


def test_cut_chunked_transfer_is_resumed(server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer(chunked=True, cut=100_000), Answer(chunked=True))
    assert fetch.fetch(NAME, [url], tmp_path, digest=FACTS["digest"]).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=100000-"]


def test_silent_server_is_asked_again(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT", (5, 0.2))
    url = server.offer("/a", Answer(cut=CHUNK, stall=1), Answer())
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/a"] == [None, f"bytes={CHUNK}-"]


@pytest.mark.parametrize("answer", [Answer(pause=0.01), Answer(pause=0.01, head=False)])
def test_a_server_that_trickles_is_left(
    answer: Answer, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes within the socket's time limit, the file would take an hour."""
    monkeypatch.setattr(transfer, "WATCH", 0.2)
    monkeypatch.setattr(fetch, "ATTEMPTS", 2)
    began = time.monotonic()
    with pytest.raises(DataError, match=r"less than 2,000 bytes came in 0.2 seconds"):
        fetch.fetch(NAME, [server.offer("/a", answer)], tmp_path, **FACTS)
    assert len(server.ranges["/a"]) == 2
    assert time.monotonic() - began < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert fetch.fetch(NAME, [server.offer("/b", Answer())], tmp_path, **FACTS).read_bytes() == BODY


def test_a_slow_server_that_gets_on_is_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WATCH", 0.4)
    url = server.offer("/a", Answer(pause=0.05, grain=10_000))
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/a"] == [None]


@pytest.mark.parametrize("answer", [Answer(chunked=True), Answer()])
@pytest.mark.parametrize("size", [None, 100_000])
def test_a_server_that_sends_too_much_is_left(
    size: int | None, answer: Answer, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "LARGEST", 100_000)
    with pytest.raises(DataError, match=r"wrong size, .* bytes.* where 100,000 (were expected|are the limit)"):
        fetch.fetch(NAME, [server.offer("/a", answer)], tmp_path, size=size, digest=FACTS["digest"])
    assert len(server.ranges["/a"]) == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize("length", ["soon", "-1", "1e9", "10, 20"])
def test_a_length_that_is_no_number_is_no_crash(length: str, server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer(headers={"Content-Length": length}))
    with suppress(DataError):
        assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY


@pytest.mark.parametrize("chunk", [b"-5", b"-1", b"soon", b""])
def test_an_odd_size_of_a_chunk_ends_the_transfer(chunk: bytes, server: Server, tmp_path: Path) -> None:
    """http.client reads a chunk of -1 bytes until the server ends, which it may never do."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\n"
    url = server.offer("/a", Answer(raw=head + chunk + b"\r\n" + BODY[::-1]), Answer())
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=5-"]


TAG, DATE = {"ETag": '"1"'}, {"Last-Modified": "Fri, 27 Nov 2026 07:00:00 GMT"}


@pytest.mark.parametrize(("headers", "edition"), [(TAG, '"1"'), (DATE, DATE["Last-Modified"]), (TAG | DATE, '"1"')])
def test_only_the_same_edition_is_resumed(
    headers: dict[str, str], edition: str, server: Server, tmp_path: Path
) -> None:
    """Without size and checksum nothing else would tell that two editions were put together."""
    url = server.offer("/a", Answer(cut=100_000, headers=headers), Answer(headers=headers))
    assert fetch.fetch(NAME, [url], tmp_path).read_bytes() == BODY
    assert (server.ranges["/a"], server.editions["/a"]) == ([None, "bytes=100000-"], [None, edition])
    assert server.served == len(BODY)
    changed = Answer(BODY[::-1], headers={"ETag": '"2"'})
    url = server.offer("/b", Answer(cut=100_000, headers=headers), changed)
    assert fetch.fetch("b", [url], tmp_path).read_bytes() == BODY[::-1]
    assert server.editions["/b"] == [None, edition]
    assert files(tmp_path) == ["b", NAME]


@pytest.mark.parametrize("tag", ['W/"1"', '"a\tb"', "1", '"' + "x" * 300 + '"'])
def test_a_tag_that_cannot_be_sent_back_is_not_sent(tag: str, server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer(cut=100_000, headers={"ETag": tag}), Answer())
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.editions["/a"] == [None, None]


@pytest.mark.parametrize(
    "headers", [{"Content-Range": "bytes 100000-299999/300000", "ETag": '"2"'}, {"Content-Range": "items 5"}]
)
def test_another_edition_or_unit_is_not_appended(headers: dict[str, str], server: Server, tmp_path: Path) -> None:
    odd = Answer(BODY[::-1][100_000:], 206, ranges=False, headers=headers)
    url = server.offer("/a", Answer(cut=100_000, headers=TAG), odd, Answer())
    assert fetch.fetch(NAME, [url], tmp_path).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=100000-", None]


def test_editions_that_were_put_together_are_downloaded_again(server: Server, tmp_path: Path) -> None:
    """A server that names no edition: only the checksum tells."""
    url = server.offer("/a", Answer(BODY[::-1], cut=100_000), Answer())
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=100000-", None]


def test_a_shorter_range_than_asked_for_is_resumed(server: Server, tmp_path: Path) -> None:
    shorter = Answer(BODY[100_000:200_000], 206, ranges=False, headers={"Content-Range": "bytes 100000-199999/300000"})
    url = server.offer("/a", Answer(cut=100_000), shorter, Answer())
    assert fetch.fetch(NAME, [url], tmp_path, digest=FACTS["digest"]).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"", 204), "the server answered 204 No Content"),
        (Answer(b"", 304), "the server answered 304 Not Modified"),
        (
            Answer(BODY, 206, headers={"Content-Range": "bytes 5-300004/300005"}),
            "the server resumed at the wrong place",
        ),
        (Answer(b"", 302, headers={"Location": "http://["}), "the server's answer cannot be understood"),
        (Answer(b"", 302, headers={"Location": "http://.x/\x1b]0;x\x07"}), "the server's answer cannot be understood"),
        (Answer(b"", 302, headers={"Location": "/a"}), "Exceeded 30 redirects."),
        (Answer(headers={"Content-Length": "9" * 5000}), ""),
        (Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200), "no connection"),
        (Answer(raw=b"\x1b[31mHTTP/9 what\r\n\r\n"), "no connection"),
        (
            Answer(raw=b"HTTP/1.1 404 \x1b]0;pwned\x07\x9b31m\xe2\x80\xae" + b"x" * 9000 + b"\r\n\r\n"),
            "404 ⟨U+001B⟩]0;pwned",
        ),
    ],
)
def test_odd_answers_are_said_in_plain_characters(
    answer: Answer, reason: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ATTEMPTS", 2)
    try:
        path = fetch.fetch(NAME, [server.offer("/a", answer)], tmp_path, **FACTS)
    except DataError as error:
        assert reason in str(error) and not ACTING.search(str(error)) and len(str(error)) < 500
        assert NAME not in files(tmp_path)
    else:
        assert not reason and path.read_bytes() == BODY


def test_a_download_that_cannot_be_read_is_set_aside(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the right size and without a known checksum; the server is mended later."""
    (tmp_path / "right").mkdir()
    right = archive(tmp_path / "right", MEMBERS).read_bytes()
    wrong, url = right[::-1], server.offer("/a", Answer(right[::-1]))
    folder = tmp_path / "downloads"

    def call() -> Any:
        return fetch.fetch(
            "de-en.tgz", [url], folder, size=len(right), read=lambda path: sorted(read_archive(path, LANGUAGES))
        )

    with pytest.raises(DataError, match=r"could not be downloaded \(http.*/a: the archive is cut short or damaged"):
        call()
    assert files(folder) == ["de-en.tgz.unreadable.part"]
    other = server.offer("/b", Answer(right))
    assert fetch.fetch("b", [url, other], folder, read=lambda path: len(read_archive(path, LANGUAGES))) == 4
    for content in (None, wrong):  # not there, and left there by an older version
        if content:
            (folder / "de-en.tgz").write_bytes(content)
        server.offer("/a", Answer(right))
        assert call() == ["test.de", "test.en", "train.de", "train.en"]
        assert files(folder) == ["b", "de-en.tgz"]
    assert "de-en.tgz.unreadable.part; it is downloaded again." in capsys.readouterr().err
    assert len(server.ranges["/a"]) == 4


def test_a_server_that_goes_on_elsewhere_is_asked_for_all(server: Server, tmp_path: Path) -> None:
    elsewhere = Answer(headers={"Content-Range": "bytes 0-299999/300000"})
    url = server.offer("/a", Answer(cut=100_000), elsewhere, Answer())
    assert fetch.fetch(NAME, [url], tmp_path, size=len(BODY)).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=100000-", None]


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "//", "/a", "data:,x"])
def test_a_redirect_leads_only_to_the_web(target: str, server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer(b"", 302, headers={"Location": target}))
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch.fetch(NAME, [url], tmp_path)
    assert files(tmp_path) == []


@pytest.fixture
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that nobody vouches for, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    words = [*command.split(), "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(words, check=True, capture_output=True)
    return paths


@pytest.fixture
def secure(certificate: tuple[Path, Path], server: Server) -> Iterator[Server]:
    """Another server like `server`, by https."""
    with Server() as secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        Thread(target=secure.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield secure
        secure.shutdown()


def test_an_unknown_certificate_is_refused(
    secure: Server, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = secure.offer("/a", Answer()).replace("http:", "https:")
    with pytest.raises(DataError, match="no secure connection, its certificate may be unknown here"):
        fetch.fetch(NAME, [url], tmp_path, **FACTS)
    assert secure.served == 0
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY


def test_https_is_not_left_on_the_way(
    secure: Server, server: Server, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    plain = server.offer("/plain", Answer())
    url = secure.offer("/a", Answer(b"", 302, headers={"Location": plain})).replace("http:", "https:")
    with pytest.raises(DataError, match="the server redirects to an address without https"):
        fetch.fetch(NAME, [url], tmp_path, **FACTS)


def test_redirected_download_is_resumed(server: Server, tmp_path: Path) -> None:
    target = server.offer("/there", Answer(cut=100_000), Answer())
    url = server.offer("/here", Answer(b"", 302, headers={"Location": target}))
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/there"] == [None, "bytes=100000-"]


def test_server_without_ranges_starts_from_zero(server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer(cut=100_000), Answer(ranges=False))
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.served == 100_000 + len(BODY)


def test_unfinished_file_that_does_not_fit_is_dropped(server: Server, tmp_path: Path) -> None:
    """The server's file became shorter than what is there of it: 416, then from zero."""
    url = server.offer("/a", Answer(BODY + BODY, cut=350_000), Answer())
    assert fetch.fetch(NAME, [url], tmp_path, digest=FACTS["digest"]).read_bytes() == BODY
    assert server.ranges["/a"] == [None, "bytes=350000-", None]


def test_file_is_kept_as_published(server: Server, tmp_path: Path) -> None:
    """Some servers label a .gz file with Content-Encoding; it must not be unpacked on the way."""
    packed = gzip.compress(BODY)
    url = server.offer("/a", Answer(packed, headers={"Content-Encoding": "gzip"}))
    assert fetch.fetch("a.gz", [url], tmp_path, size=len(packed)).read_bytes() == packed


def test_interrupted_download_is_resumed_by_the_next_call(server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer(cut=50_000))
    with pytest.raises(DataError, match="the connection was cut"):
        fetch.fetch(NAME, [url], tmp_path, **FACTS)
    assert NAME not in files(tmp_path)
    server.offer("/a", Answer())
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/a"][-1] == f"bytes={ATTEMPTS * 50_000}-"
    assert server.served == len(BODY)


def test_ctrl_c_keeps_what_is_there(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    url = server.offer("/a", Answer())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bleuprint.corpus.transfer.tqdm.update", ctrl_c)
        fetch.fetch(NAME, [url], tmp_path, **FACTS)
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/a"] == [None, f"bytes={CHUNK}-"]


def test_unfinished_files_of_two_sources_are_not_mixed(server: Server, tmp_path: Path) -> None:
    other = server.offer("/other", Answer(BODY[::-1], cut=50_000))
    url = server.offer("/a", Answer())
    assert fetch.fetch(NAME, [other, url], tmp_path, **FACTS).read_bytes() == BODY
    assert server.ranges["/a"] == [None]


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer(b"", 503), Answer(b"", 429), Answer())
    assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY


@pytest.mark.parametrize(
    ("answer", "requests", "reason"),
    [
        (Answer(b"no", 404), 1, "the server answered 404 Not Found"),
        (Answer(b"no", 403), 1, "the server answered 403 Forbidden"),
        (Answer(b"no", 503), ATTEMPTS, "the server answered 503 Service Unavailable"),
        (Answer(b"no", 416), 1, "the server answered 416"),
        (Answer(cut=0), ATTEMPTS, "the connection was cut"),
        (Answer(BODY[::-1]), 1, f"wrong checksum, sha256 {hashlib.sha256(BODY[::-1]).hexdigest()}"),
        (Answer(BODY[:-1]), 1, "wrong size, 299,999 bytes where 300,000 were expected"),
        (Answer(BODY + b"x"), 1, "wrong size, 300,001 bytes where 300,000 were expected"),
    ],
)
def test_bad_source_gives_way_to_the_next(
    answer: Answer, requests: int, reason: str, server: Server, tmp_path: Path
) -> None:
    bad = server.offer("/bad", answer)
    with pytest.raises(DataError, match=re.escape(reason)) as error:
        fetch.fetch(NAME, [bad], tmp_path, **FACTS)
    assert "runtime.mirror=" in str(error.value)
    assert NAME not in files(tmp_path)
    assert len(server.ranges["/bad"]) == requests
    assert fetch.fetch(NAME, [bad, server.offer("/good", Answer())], tmp_path, **FACTS).read_bytes() == BODY


def test_landed_file_is_used_again_if_it_is_right(server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer())
    for content, requests in ((BODY, 0), (BODY[::-1], 1)):
        (tmp_path / NAME).write_bytes(content)
        assert fetch.fetch(NAME, [url], tmp_path, **FACTS).read_bytes() == BODY
        assert len(server.ranges["/a"]) == requests


def test_mirror_comes_first(server: Server, tmp_path: Path) -> None:
    mirror, url = tmp_path / "mirror", server.offer("/a", Answer())
    mirror.mkdir()
    for content, requests in ((BODY, 0), (BODY[::-1], 1)):
        (mirror / NAME).write_bytes(content)
        assert fetch.fetch(NAME, [url], tmp_path / "downloads", mirror=mirror, **FACTS).read_bytes() == BODY
        assert len(server.ranges["/a"]) == requests


@pytest.mark.parametrize("source", ["{folder}/{name}", "file:{quoted}/{name}", "file://{quoted}/{name}"])
def test_local_source(source: str, tmp_path: Path) -> None:
    path = tmp_path / "my data" / NAME
    path.parent.mkdir()
    path.write_bytes(BODY)
    source = source.format(folder=path.parent, quoted=str(path.parent).replace(" ", "%20"), name=NAME)
    assert fetch.fetch(NAME, ["nowhere/at/all", source], tmp_path / "downloads", **FACTS) == path


def test_no_network_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "BACKOFF", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url, mirror = closed_port(), tmp_path / "typo"
    with pytest.raises(DataError) as error:
        fetch.fetch(NAME, [url], tmp_path, mirror=mirror, **FACTS)
    assert str(error.value) == (
        f"{NAME} could not be downloaded ({mirror / NAME}: no such file; {url}: no connection); "
        'put the file into a folder and name that folder with overrides="runtime.mirror=FOLDER".'
    )


def test_refused_certificate_is_told_from_no_network(server: Server, tmp_path: Path) -> None:
    url = server.offer("/a", Answer()).replace("http://", "https://")
    with pytest.raises(DataError, match="no secure connection"):
        fetch.fetch(NAME, [url], tmp_path, **FACTS)


def test_full_disk_is_noticed_before_anything_is_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(DataError, match=r"300,000 bytes are needed and 1,000 are free"):
        fetch.fetch(NAME, [server.offer("/a", Answer())], tmp_path, **FACTS)
    assert files(tmp_path) == []


# IWSLT14's archive

TRAIN = """<url>http://x</url>
<keywords>talks</keywords>
<talkid>1</talkid>
<title>Titel</title>
<description>Rede: {0}</description>
 {0} geht’s
"""
XML = """<doc docid="1">
<title>kein Satz</title>
<seg id="1"> {0} geht’s </seg>
<seg id="23">Zwei</seg>
</doc>
"""
MEMBERS: dict[str, bytes | None] = {
    f"de-en/{name}": text.format(f"{what} {language}").encode()
    for language in LANGUAGES
    for name, what, text in (
        (f"train.tags.de-en.{language}", "train", TRAIN),
        *((f"IWSLT14.{name}.de-en.{language}.xml", name, XML) for name in reversed(TEST_SETS)),
    )
}


def archive(folder: Path, members: dict[str, bytes | None], level: int = 9) -> Path:
    """Make a tarball of `members`, name → content; None makes a symbolic link."""
    path = folder / "de-en.tgz"
    with tarfile.open(path, "w:gz", compresslevel=level) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content or b"")
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info, io.BytesIO(content or b""))
    return path


@pytest.mark.parametrize("prefix", ["", "./"])
def test_archive(prefix: str, tmp_path: Path) -> None:
    path = archive(tmp_path, {prefix + name: content for name, content in MEMBERS.items()})
    parts = read_archive(path, LANGUAGES)
    assert parts["train.de"] == ["Titel", "Rede: train de", " train de geht’s"]
    assert parts["test.en"] == [
        line
        for name in ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
        for line in (f"{name} en geht's", "Zwei")
    ]
    assert sorted(parts) == ["test.de", "test.en", "train.de", "train.en"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"de-en/../x": b""}, "member 'de-en/../x' leaves the archive's folder"),
        ({"/x": b""}, "member '/x' leaves the archive's folder"),
        ({"de-en/x": None}, "member 'de-en/x' is a link, a device"),
        ({"de-en/train.tags.de-en.de": None}, "member 'de-en/train.tags.de-en.de' is a link, a device"),
        ({"de-en/train.tags.de-en.en": b"a\nb\n\xe4\n"}, "train.tags.de-en.en, line 3: not UTF-8 (byte 0xe4)"),
    ],
)
def test_bad_member_is_refused(extra: dict[str, bytes | None], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_archive(archive(tmp_path, MEMBERS | extra), LANGUAGES)


def test_archive_of_another_pair_is_refused(tmp_path: Path) -> None:
    lacking = {name: content for name, content in MEMBERS.items() if "TEDX" not in name}
    lacking["elsewhere/IWSLT14.TEDX.dev2012.de-en.de.xml"] = b""
    with pytest.raises(DataError, match=r"it lacks IWSLT14.TEDX.dev2012.de-en.de.xml, IWSLT14.TEDX.dev2012.de-en.en"):
        read_archive(archive(tmp_path, lacking), LANGUAGES)


@pytest.mark.parametrize("damage", ["cut short", "one byte", "web page"])
def test_damaged_archive_is_refused(damage: str, tmp_path: Path) -> None:
    path = archive(tmp_path, MEMBERS | {"de-en/noise": BODY}, level=0)
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut short": data[: len(data) // 2],
            "one byte": data.replace(b"Zwei", b"Drei", 1),
            "web page": b"<html>Log in</html>",
        }[damage]
    )
    with pytest.raises(DataError, match="the archive is cut short or damaged"):
        read_archive(path, LANGUAGES)


def test_real_archive(data: Path) -> None:
    parts = read_archive(data / "iwslt14_sample" / "de-en.tgz", LANGUAGES)
    assert {name: len(lines) for name, lines in parts.items()} == {
        "train.de": 58_529,
        "train.en": 58_529,
        "test.de": 6_750,
        "test.en": 6_750,
    }
    assert not any(re.search(r"<(?!seg)[a-z/]+>|<seg id", line) for line in parts["train.de"] + parts["test.en"])


# Line-aligned files


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_lines_are_split_at_line_feeds_only(suffix: str, end: str, tmp_path: Path) -> None:
    lines = ["Ein\u2028Satz", "", "zwei\x0c\x85\x1c", "drei\rvier"]
    text = ("\ufeff" + ("\r\n" if end == "\r\n" else "\n").join(lines) + end).encode()
    path = tmp_path / f"train.de{suffix}"
    path.write_bytes(PACK[suffix](text))
    assert local_file(str(tmp_path / "train"), "de") == path
    assert read_text(path) == lines
    assert read_text(path.rename(tmp_path / "packed.de")) == lines  # the content decides


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Grüße\n".encode("utf-16"), "is UTF-16; convert it with iconv -f UTF-16 -t UTF-8"),
        ("Hello, world\n".encode("utf-16-le"), "is not UTF-8, but probably UTF-16; convert it with"),
        ("Hello, world\n".encode("utf-16-be"), "is not UTF-8, but probably UTF-16; convert it with"),
        ("Hello\n".encode("utf-32"), "is UTF-32; convert it with iconv -f UTF-32 -t UTF-8"),
        (gzip.compress(b"PK\x03\x04..."), "is a zip archive; unpack it"),
        (b'\n<?xml version="1.0"?>\n<mteval>', "is XML or SGML; write one sentence a line"),
        (b'<refset setid="t" srclang="any">', "grep '<seg' FILE | sed 's/<[^>]*>//g'"),
    ],
    ids=["utf-16", "utf-16-le", "utf-16-be", "utf-32", "zip", "xml", "sgm"],
)
def test_a_file_that_is_no_plain_text_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.de"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)):
        read_text(path)


def test_what_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.de"
    path.write_bytes("gut\nschön\n".encode("latin-1"))
    with pytest.raises(DataError, match=re.escape(f"{path}, line 2: not UTF-8 (byte 0xf6)")):
        read_text(path)


@pytest.mark.parametrize("suffix", [suffix for suffix in PACK if suffix])
def test_a_compressed_file_that_is_cut_short_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"train.de{suffix}"
    path.write_bytes(PACK[suffix](b"ein Satz\n" * 100)[:-6])
    with pytest.raises(DataError, match=re.escape(f"{path}: the file is cut short or damaged")):
        read_text(path)


@pytest.mark.parametrize("damage", ["cut short", "one byte", "plain"])
def test_damaged_gz_is_named(damage: str, tmp_path: Path) -> None:
    data = gzip.compress(b"ein Satz\n" * 100, compresslevel=0)
    path = tmp_path / "train.de.gz"
    path.write_bytes({"cut short": data[:-20], "one byte": data.replace(b"Satz", b"satz", 1), "plain": b"Satz"}[damage])
    with pytest.raises(DataError, match=re.escape(f"{path}: the file is cut short or damaged")):
        read_text(path)


def test_missing_local_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.de: no such file, nor with .gz, .bz2, .xz, .zst added; check corp"):
        local_file(str(tmp_path / "train"), "de")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train.de": ["a", "b"], "train.en": ["a"]}, "here: train.de has 2 lines and train.en has 1; "),
        ({"train.de": [], "train.en": []}, "here: train.de is empty"),
        ({"train.de": ["a"], "train.en": ["a"], "test.de": ["a"], "test.en": [" "]}, "here: test.en is empty"),
        ({"train.de": ["a"]}, "here: train.en is missing"),
    ],
)
def test_unaligned_parts_are_refused(parts: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        check_aligned(parts, LANGUAGES, "here")


def test_held_out_pairs_are_not_trained_on() -> None:
    pairs = [(f"Satz {number}", f"sentence {number}") for number in Random(1).choices(range(60), k=200)]
    train = {"train.de": [german for german, _ in pairs], "train.en": [english for _, english in pairs]}
    parts = hold_out(train, LANGUAGES, 10)
    kept = list(zip(parts["train.de"], parts["train.en"], strict=True))
    held = list(zip(parts["test.de"], parts["test.en"], strict=True))
    assert len(held) == len(set(held)) == len(set(pairs)) // 10
    assert kept == [pair for pair in pairs if pair not in held]
    assert set(kept) | set(held) == set(pairs)
    assert parts == hold_out(train, LANGUAGES, 10)


def test_too_few_pairs_to_hold_out() -> None:
    with pytest.raises(DataError, match=r"only 2 distinct pairs.*corpus.test"):
        hold_out({"train.de": ["a", "b", "b"], "train.en": ["a", "b", "b"]}, LANGUAGES, 3)


# The generated corpus


@pytest.fixture(scope="module")
def demo() -> dict[str, list[str]]:
    return generate({"train": 6000, "valid": 300, "test": 500}, seed=1)


def test_generated_corpus_is_always_the_same(demo: dict[str, list[str]]) -> None:
    joined = "".join(f"{line}\n" for name in sorted(demo) for line in demo[name])
    assert (
        hashlib.sha256(joined.encode()).hexdigest()
        == "c6dfda4838a6498e7f8c5f0d1d24e5c49b387789e293e0d3a41fd38f44267a22"
    )
    assert generate({"train": 10}, seed=2) != generate({"train": 10}, seed=1)


def test_generated_parts_share_no_sentence(demo: dict[str, list[str]]) -> None:
    sizes = {"train": 6000, "valid": 300, "test": 500}
    assert {name: len(lines) for name, lines in demo.items()} == {
        f"{part}.{language}": size for part, size in sizes.items() for language in LANGUAGES
    }
    for language in LANGUAGES:
        assert len({line for part in sizes for line in demo[f"{part}.{language}"]}) == sum(sizes.values())


ARTICLE = r"\b(?:[Dd]e[mnrs]|[Dd]ie|[Dd]as|[Ee]in(?:e[mnrs]?)?)"
FINITE = (
    "(?:hat|haben|sieht|sehen|kauft|kaufen|findet|finden|sucht|suchen|malt|malen|verkauft|verkaufen|vergisst|vergessen"
    "|bringt|bringen|mag|mögen|braucht|brauchen)"
)


@pytest.mark.parametrize(
    ("language", "place", "right"),
    [
        # Things are always objects. Masculine ones in the singular:
        ("de", ARTICLE + r" (?:\w+ )?(?:Apfel|Brief|Tisch|Vogel)\b", r"(?:den|einen) (?:\w+en )?\w+"),
        ("de", ARTICLE + r" (?:\w+ )?(?:Blume|Lampe|Brücke|Zeitung)\b", r"(?:die|eine) (?:\w+e )?\w+"),
        ("de", ARTICLE + r" (?:\w+ )?(?:Buch|Haus|Boot)\b", r"(?:das (?:\w+e )?|ein (?:\w+es )?)\w+"),
        # People are always subjects
        ("de", ARTICLE + r" (?:\w+ )?(?:Arzt|Koch|Nachbar|Hund)\b", r"(?i:der (?:\w+e )?|ein (?:\w+er )?)\w+"),
        ("de", r"\bhat .*?[.,]", r"hat .*(?:ge\w+|ver\w+)[.,]"),  # the participle ends a main clause in the perfect
        ("de", r"^(?:Heute|Manchmal|Am Abend|Im Sommer) \w+", rf".* {FINITE}"),  # inversion after a time adverb
        ("de", r", (?:dass|weil|obwohl|während|bevor) .*", rf".* {FINITE}\."),  # verb last in subordinate clauses
        ("en", r"\ban? \w", r"(?:an [aeiou]|a [^aeiou])"),
    ],
)
def test_grammar(language: str, place: str, right: str, demo: dict[str, list[str]]) -> None:
    found = [match for line in demo[f"train.{language}"] for match in re.findall(place, line)]
    assert len(found) > 100
    assert [words for words in found if not re.fullmatch(right, words)] == []


# The command


def corpus_command(folder: Path, **cli: Any) -> subprocess.CompletedProcess[str]:
    """Run the rule's command for `cli`, what a user types after --config."""
    (stage,) = plan(experiments(cli)).stages["corpus"].values()
    (folder / "config.yaml").write_text(yaml.safe_dump(stage.slice), encoding="utf-8")
    where = arguments(stage.experiment.corpus, stage.experiment.runtime)
    paths = ["--config", folder / "config.yaml", "--output", folder / "raw", "--downloads", folder / "downloads"]
    return subprocess.run(
        [sys.executable, "-m", "bleuprint.corpus", *map(str, paths), *where], capture_output=True, text=True
    )


def counts(folder: Path) -> dict[str, int]:
    return {path.name: path.read_bytes().count(b"\n") for path in sorted((folder / "raw").iterdir())}


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence that a failed command prints."""
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    return line


def mirror(folder: Path) -> str:
    return f"runtime.mirror='{folder}'"


IWSLT14 = [  # the sample's facts
    "corpus.bytes=5240878",
    "corpus.sha256=365a69d18409f07eb5174fd382c64432c9dd7ad63b1fcc3e5dbc7354c28f3c4e",
]


def test_iwslt14_command(data: Path, tmp_path: Path) -> None:
    result = corpus_command(tmp_path, corpus="iwslt14_de_en", overrides=[mirror(data / "iwslt14_sample"), *IWSLT14])
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "train: 58,529 pairs\ntest: 6,750 pairs\n"
    assert counts(tmp_path) == {"test.de": 6750, "test.en": 6750, "train.de": 58529, "train.en": 58529}
    assert not (tmp_path / "downloads").exists()


def test_iwslt14_command_with_another_archive(data: Path, tmp_path: Path) -> None:
    overrides = [mirror(data / "iwslt14_sample"), "corpus.sources=[]"]
    message = refusal(corpus_command(tmp_path, corpus="iwslt14_de_en", overrides=overrides))
    assert "wrong size, 5,240,878 bytes where 19,982,877 were expected" in message
    assert 'overrides="corpus.bytes=… corpus.sha256=…"' in message
    assert not (tmp_path / "raw").exists()


def test_iwslt14_command_with_unequal_sides(tmp_path: Path) -> None:
    path = archive(tmp_path, MEMBERS | {"de-en/train.tags.de-en.en": b"only one\n"})
    overrides = [mirror(tmp_path), f"corpus.bytes={path.stat().st_size}"]
    message = refusal(corpus_command(tmp_path, corpus="iwslt14_de_en", overrides=overrides))
    assert "corpus iwslt14: train.de has 3 lines and train.en has 1" in message
    assert not (tmp_path / "raw").exists()


def test_files_command(data: Path, tmp_path: Path) -> None:
    result = corpus_command(tmp_path, corpus="multi30k_de_en", overrides=[mirror(data / "multi30k_de_en")])
    assert (result.returncode, result.stderr) == (0, "")
    sizes = {"test": 1000, "train": 29_000, "valid": 1014}
    assert counts(tmp_path) == {f"{part}.{language}": size for part, size in sizes.items() for language in LANGUAGES}
    first = (tmp_path / "raw" / "train.de").read_text(encoding="utf-8").splitlines()[0]
    assert first == "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."


def test_files_command_without_the_files(tmp_path: Path) -> None:
    overrides = [mirror(tmp_path), f"corpus.sources=['{tmp_path}/none/']"]
    message = refusal(corpus_command(tmp_path, corpus="multi30k_de_en", overrides=overrides))
    name = "test_2016_flickr.de.gz"  # the first one
    assert (
        f"{name} could not be downloaded ({tmp_path}/{name}: no such file; {tmp_path}/none/{name}: no such file)"
        in message
    )


def test_demo_command(demo: dict[str, list[str]], tmp_path: Path) -> None:
    assert corpus_command(tmp_path, corpus="demo").returncode == 0
    for name, lines in demo.items():
        assert (tmp_path / "raw" / name).read_text(encoding="utf-8") == "".join(f"{line}\n" for line in lines)


def write_pairs(prefix: Path, size: int) -> str:
    """Files PREFIX.fr and PREFIX.en.gz with `size` pairs; PREFIX."""
    Path(f"{prefix}.fr").write_text("".join(f"phrase {n}\r\n" for n in range(size)), encoding="utf-8-sig")
    Path(f"{prefix}.en.gz").write_bytes(gzip.compress("".join(f"sentence {n}\n" for n in range(size)).encode()))
    return str(prefix)


def test_local_command(tmp_path: Path) -> None:
    user = {"corpus": "local", "source": "fr", "target": "en"}
    train, test = write_pairs(tmp_path / "my train", 100), write_pairs(tmp_path / "my test", 7)
    held = corpus_command(tmp_path, **user, overrides=[f"corpus.train='{train}'"])
    assert held.stdout == "train: 95 pairs\ntest: 5 pairs\n"
    assert (tmp_path / "raw" / "test.fr").read_bytes().startswith(b"phrase 19\nphrase 39\n")
    given = corpus_command(tmp_path, **user, overrides=[f"corpus.train='{train}'", f"corpus.test='{test}'"])
    assert given.stdout == "train: 100 pairs\ntest: 7 pairs\n"
    assert counts(tmp_path) == {"test.en": 7, "test.fr": 7, "train.en": 100, "train.fr": 100}


def test_local_command_with_bad_files(tmp_path: Path) -> None:
    user = {"corpus": "local", "source": "fr", "target": "en", "overrides": [f"corpus.train='{tmp_path}/train'"]}
    write_pairs(tmp_path / "train", 100)
    (tmp_path / "train.fr").write_text("une seule\n", encoding="utf-8")
    assert "train.en has 100 lines and train.fr has 1" in refusal(corpus_command(tmp_path, **user))
    (tmp_path / "train.fr").write_bytes(b"caf\xe9\n")
    assert f"{tmp_path}/train.fr, line 1: not UTF-8" in refusal(corpus_command(tmp_path, **user))


def test_command_that_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file where the folder should be", encoding="utf-8")
    assert str(tmp_path / "raw") in refusal(corpus_command(tmp_path, corpus="demo"))
