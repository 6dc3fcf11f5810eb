"""Hostile input: made-up text, archives, logs and config values, a few in `make test`, many in `make fuzz`.

Whatever comes, lines stay aligned and in order, nothing is lost silently, or a DataError says what is wrong.
"""

import gzip
import io
import json
import os
import pickle
import re
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from conftest import ROOT, Snakemake, show_at_the_end
from fairseq_process import binarised, without_bpe
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sacremoses.util import is_cjk
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe
from test_corpus import LANGUAGES, MEMBERS, archive

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.flags import argv, shell
from bleuprint.config.schema import Files
from bleuprint.corpus import iwslt14, packed
from bleuprint.corpus.iwslt14 import read_archive
from bleuprint.corpus.lines import check_aligned, hold_out, read_text
from bleuprint.decoding.hypotheses import hypotheses
from bleuprint.files import DataError, decode_lines, read_lines, write_lines
from bleuprint.scoring.metrics import score
from bleuprint.text import moses, tokenise
from bleuprint.text.cleaning import Limits, fault
from bleuprint.text.tokenise import prepare, tokens_of
from bleuprint.training.progress import Display, metrics_of, tidy

FUZZ = int(os.environ.get("FUZZ", "0"))  # how many times as many inputs as in `make test`, and ever other ones
TRIED: Counter[str] = Counter()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def count(pytestconfig: pytest.Config) -> Iterator[None]:
    """Say at the end how many inputs were tried."""
    yield
    numbers = [f"{number:10,} {name}" for name, number in TRIED.items()]
    show_at_the_end(pytestconfig, [f"{TRIED.total():10,} hostile inputs tried:", *numbers])


def tries(number: int, **inputs: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Test a property with `number` inputs, FUZZ times as many under `make fuzz`."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def counted(*args: Any, **kwargs: Any) -> None:
            test(*args, **kwargs)
            TRIED[test.__name__] += 1  # not those that `assume` ends

        quiet = settings(
            max_examples=number * max(1, FUZZ),
            derandomize=not FUZZ,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        return quiet(given(**inputs)(counted))

    return decorate


# Text

SPACES = ["\r", "\t", " ", "  ", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\xa0", "\u2028", "\u2029", "\u3000"]
UNSEEN = ["\0", "\x01", "\x1b", "\x7f", "\ufeff", "\u200b", "\u200d", "\u202e", "\xad", "\ufffd", "\U0010ffff"]
LETTERS = [
    "e\u0301",
    "\u0301",
    "Z\u0351\u0352",
    "👩\u200d💻",
    "🇩🇪",
    "🏴",
    "ﷺ",
    "İ",
    "ß",
    "ǅ",
    "中",
    "文字",
    "กำ",
    "हिन्दी",
    "שלום",
]
MARKS = ["@@", "@@@", "@", "@-@", "a@@", "@@ b", "<s>", "</s>", "<unk>", "<pad>", "x<unk>", "</w>", "<pad"]
MARKS += ["madeupword0000", "madeupword0001", "#fairseq:overwrite", "H-1", "H-1\t-0.5\tx", "S-0\tx", "DOTMULTI"]
MARKS += [
    "DOTDOTMULTI",
    "DOT\0MULTI",
    "&lt;",
    "&amp;",
    "&amp;lt;",
    "&apos;",
    "&#124;",
    "&quot;",
    "&#91;",
    "&",
    "|",
    "[",
]
MARKS += ["]", "<", ">", "'", '"', "``", "`", "''", "...", "..", ".", "usw.", "Dr.", "5,300", "1.", "$", "%", "(", ")"]
MARKS += [
    "-",
    "--",
    "¿",
    "„",
    "“",
    "<url>",
    '<seg id="1">',
    "</seg>",
    "#version: 0.2",
    "\\",
    "\\1",
    "{}",
    "\N{MINUS SIGN}",
]
WORDS = ["ein", "Haus", "the", "house", "is", "blue", "A", "b", "10", "straße"]
CHARACTER = st.characters(exclude_categories=["Cs"], exclude_characters="\n")
WORD = st.one_of(
    *map(st.sampled_from, (WORDS, WORDS, MARKS, LETTERS, UNSEEN)),
    st.text(CHARACTER, max_size=5),
    st.builds(
        lambda word, times: word * times, st.sampled_from(["a", "@@", "<s>", "é", ".", " "]), st.integers(1, 3000)
    ),
)
LINE = st.one_of(
    st.lists(WORD, max_size=8).map(" ".join),
    st.lists(st.one_of(WORD, st.sampled_from(SPACES)), max_size=8).map("".join),
    st.sampled_from(["", " ", "\t \u2028"]),
)
LINES = st.lists(LINE, max_size=12)
PAIRS = st.lists(st.tuples(LINE, LINE), min_size=1, max_size=12)
LANGUAGE = st.sampled_from(["de", "en", "fr", "cs", "fi", "zh", "ko", "xx"])
ROUGH = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda some, junk, rest: f"{some}\n".encode() + junk + rest.encode(), LINE, st.binary(max_size=3), LINE),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the files of one property's inputs, which replace each other's."""
    return tmp_path_factory.mktemp("hostile")


@tries(100, text=LINES)
def test_written_lines_are_read_again(folder: Path, text: list[str]) -> None:
    write_lines(folder / "x", text)
    assert read_lines(folder / "x") == text


def first_broken(data: bytes) -> int | None:
    """The number of the first line that is no UTF-8."""
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return None


@tries(200, data=ROUGH)
def test_bytes_are_lines_or_an_error_with_file_and_line(data: bytes) -> None:
    broken = first_broken(data)
    try:
        assert "\n".join(decode_lines(data, "x.de")).encode() == data.removesuffix(b"\n")
        assert broken is None
    except DataError as error:
        assert str(error).startswith(f"x.de, line {broken}: not UTF-8")


@tries(100, text=LINES, end=st.sampled_from(["\n", "\r\n"]), mark=st.sampled_from(["", "\ufeff"]), packed=st.booleans())
def test_local_text_is_read_as_it_is(folder: Path, text: list[str], end: str, mark: str, packed: bool) -> None:
    path = folder / ("x.de.gz" if packed else "x.de")
    data = (mark + "".join(line + end for line in text)).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    expected = [line.removesuffix("\r") for line in text] if end == "\n" else text
    if not mark and expected:
        expected = [expected[0].removeprefix("\ufeff"), *expected[1:]]
    assert read_text(path) == expected


@tries(100, text=LINES, at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_gz_is_refused_or_whole(folder: Path, text: list[str], at: float, value: int, cut: bool) -> None:
    plain = "".join(f"{line}\n" for line in text).encode()
    data = bytearray(gzip.compress(plain, mtime=0))
    place = int(at * len(data))
    data[place:] = b"" if cut else bytes([value]) + data[place + 1 :]
    (folder / "x.de.gz").write_bytes(data)
    try:
        found = read_text(folder / "x.de.gz")
    except DataError as error:
        assert str(error).startswith(f"{folder / 'x.de.gz'}: the file is cut short or damaged")
    else:
        (folder / "x.de").write_bytes(plain if data else b"")
        assert found == read_text(folder / "x.de")


@tries(100, pairs=PAIRS, every=st.integers(2, 5))
def test_held_out_pairs_are_whole_and_in_order(pairs: list[tuple[str, str]], every: int) -> None:
    sides = dict(zip(("train.de", "train.en"), map(list, zip(*pairs, strict=True)), strict=True))
    try:
        parts = hold_out(sides, LANGUAGES, every)
    except DataError:
        assert len(set(pairs)) < every
        return
    train = list(zip(parts["train.de"], parts["train.en"], strict=True))
    test = list(zip(parts["test.de"], parts["test.en"], strict=True))
    assert train == [pair for pair in pairs if pair not in test]
    assert test == list(dict.fromkeys(pairs))[every - 1 :: every]


@tries(
    100,
    parts=st.dictionaries(st.sampled_from(["train.de", "train.en", "test.de", "test.en"]), st.lists(LINE, max_size=2)),
)
def test_only_aligned_text_passes(parts: dict[str, list[str]]) -> None:
    one, other = (
        {name.removesuffix(end): len(parts[name]) for name in parts if name.endswith(end)} for end in (".de", ".en")
    )
    aligned = one == other
    empty = any(not "".join(text).strip() for text in parts.values())
    try:
        check_aligned(parts, LANGUAGES, "here")
        assert aligned and not empty
    except DataError as error:
        assert not aligned or empty
        assert str(error).startswith("here: ") and str(error).endswith(".")


def letters(text: str) -> str:
    """Text without white space and control characters, which Moses does not keep."""
    return re.sub(r"[\s\0-\x1f]", "", text)


@tries(150, line=LINE, language=LANGUAGE)
def test_moses_keeps_each_letter_and_mostly_its_tokens(line: str, language: str) -> None:
    """Detokenising sets the spaces by rule, so beside . ' ` and between Chinese characters tokens may change."""
    tokens = moses.tokenise(line, language)
    text = moses.detokenise(tokens, language)
    assert letters(text) == letters(line)
    assert len(tokens.splitlines()) <= 1 and len(text.splitlines()) <= 1
    again = moses.tokenise(text, language)
    assert letters(again) == letters(tokens)
    if not set(line) & set(".'`") and not any(map(is_cjk, line)):
        assert again == tokens


CONFIG = {
    "source": "de",
    "target": "en",
    "lowercase": True,
    "min_tokens": 1,
    "max_tokens": 175,
    "max_ratio": 1.5,
    "valid_every": 3,
}


@tries(40, train=PAIRS, test=PAIRS, tokenizer=st.sampled_from(["moses", "none"]))
def test_each_pair_is_kept_in_its_place_or_removed_by_rule(
    folder: Path, train: list[tuple[str, str]], test: list[tuple[str, str]], tokenizer: str
) -> None:
    raw, settings = {"train": train, "test": test}, {"tokenizer": tokenizer, "lowercase": True}
    for part, pairs in raw.items():
        for side, language in enumerate(LANGUAGES):
            write_lines(folder / f"raw/{part}.{language}", [pair[side] for pair in pairs])
    tokens = {
        part: [
            (tokens_of([source], "de", 0, settings)[0], tokens_of([target], "en", 1, settings)[0])
            for source, target in pairs
        ]
        for part, pairs in raw.items()
    }
    clean = [pair for pair in tokens["train"] if fault(*pair, Limits(1, 175, 1.5)) is None]
    expected = {
        "train": [pair for number, pair in enumerate(clean, 1) if number % 3],
        "valid": clean[2::3],
        "test": tokens["test"],
    }
    try:
        with pytest.MonkeyPatch.context() as patch:  # a thread is started sooner than a process
            patch.setattr(tokenise, "ProcessPoolExecutor", ThreadPoolExecutor)
            counts = prepare(folder / "raw", folder / "out", CONFIG | {"tokenizer": tokenizer}, 1)
    except DataError as error:
        if "no pair is left" in str(error):
            assert not all(expected.values())
            return
        match = re.match(r".*raw/(train|test)\.(de|en), line (\d+): the token", str(error))
        assert match and tokenizer == "none"
        line = tokens[match[1]][int(match[3]) - 1][match[2] == "en"]
        assert any(token.endswith(("@@", "<s>", "<pad>", "</s>", "<unk>")) for token in line.split(" "))
        return
    for part, pairs in expected.items():
        assert counts[part] == (len(raw.get(part, [])), len(pairs))
        written = [read_lines(folder / f"out/{part}.{language}") for language in LANGUAGES]
        assert list(zip(*written, strict=True)) == pairs


def usable(text: list[str], tokenizer: str) -> list[str]:
    """The text stage's tokens of those lines that it does not refuse."""
    found = (tokens_of([line], "en", 1, {"tokenizer": tokenizer, "lowercase": False})[0] for line in text)
    return [line for line in found if not tokenise.RESERVED.search(line)]


@tries(40, text=LINES, tokenizer=st.sampled_from(["moses", "none"]), merges=st.integers(1, 300))
def test_bpe_comes_undone(fairseq: Callable[..., Any], text: list[str], tokenizer: str, merges: int) -> None:
    tokens, codes = usable(text, tokenizer), io.StringIO()
    assume(any(len(token) > 1 for line in tokens for token in line.split()))
    learn_bpe(io.StringIO("".join(f"{line}\n" for line in [*tokens, *tokens])), codes, merges)
    assume(codes.getvalue().count("\n") > 1)
    bpe = BPE(codes)
    segmented = [bpe.process_line(f"{line}\n").rstrip("\n") for line in tokens]
    assert fairseq(without_bpe, segmented) == tokens


@tries(25, train=LINES, test=LINES, tokenizer=st.sampled_from(["moses", "none"]), workers=st.sampled_from([1, 1, 1, 3]))
def test_fairseq_binarises_each_line_in_its_place(
    fairseq: Callable[..., Any], train: list[str], test: list[str], tokenizer: str, workers: int
) -> None:
    """All tokens of the training text come back; of other text those that the training text has."""
    parts = {"train": usable(train, tokenizer), "test": usable(test, tokenizer)}
    assume(any(parts["train"]) and parts["test"])
    with TemporaryDirectory() as name:
        for part, text in parts.items():
            write_lines(Path(name, f"{part}.de"), text)
        index, ids = fairseq(binarised, Path(name), list(parts), workers)
    for part, text in parts.items():
        expected = [[index.get(token, index["<unk>"]) for token in line.split()] for line in text]
        assert ids[part] == [[*line, index["</s>"]] for line in expected]
        assert part == "test" or index["<unk>"] not in chain(*expected)


# Translations, logs, scores

TOKENS = LINE.map(lambda line: " ".join(line.split()).replace("@@", ""))


@tries(100, text=st.lists(TOKENS, min_size=1, max_size=8), data=st.data())
def test_translations_come_back_in_order_or_not_at_all(text: list[str], data: st.DataObject) -> None:
    generated = []
    for number in data.draw(st.permutations(range(len(text)))):
        line = text[number]
        generated += [f"S-{number}\t{line}", f"T-{number}\t{line}", f"H-{number}\t-0.1\t{line}", f"D-{number}\t-0.1\tx"]
        generated += [f"H-{number}\t-0.2\tthe second best"] if data.draw(st.booleans()) else []
    assert hypotheses(generated, len(text)) == text
    lost = data.draw(st.sampled_from([line for line in generated if line.startswith("H-")]))
    number = lost.split("\t")[0]
    kept = [line for line in generated if not line.startswith(f"{number}\t")]
    for found, sentences in ((kept, len(text)), (generated, len(text) + 1), (generated, len(text) - 1)):
        with pytest.raises(DataError, match=r"translated \d+ of \d+ sentences"):
            hypotheses(found, sentences)


FIGURE = st.one_of(
    st.sampled_from(["1", "", "nan", "inf", "-1e999", "x", "NaN"]), st.floats(), st.integers(), st.none()
)
KEYS = st.sampled_from(
    ["epoch", "update", "valid_loss", "loss", "valid_num_updates", "num_updates", "wall", "lr", "wps"]
)
FIGURES = st.dictionaries(KEYS, st.one_of(FIGURE, st.lists(FIGURE, max_size=2)))
LOG_LINE = st.one_of(
    LINE,
    st.builds(
        lambda kind, figures, cut, end: f"x | INFO | {kind} | {json.dumps(figures)[cut:]}{end}\n",
        st.sampled_from(["train", "train_inner", "valid", "x"]),
        FIGURES,
        st.sampled_from([0, 0, 0, 1, 5]),
        st.sampled_from(["", "}", " ", "\0", "\u2028", "\r"]),
    ),
    st.sampled_from(["| valid | " + '{"a":' * 5000 + "}" * 5000, '| valid | {"epoch": ' + "9" * 5000 + "}"]),
)


@tries(150, log=st.lists(LOG_LINE, max_size=8), max_epoch=st.sampled_from([None, 3]))
def test_following_a_log_never_fails(log: list[str], max_epoch: int | None) -> None:
    display = Display(max_epoch, max_update=7, name="x", stream=io.StringIO())
    for line in log:
        if (row := metrics_of(line)) is not None:
            display.show(row)
    rows = tidy(log)
    assert [row["updates"] for row in rows] == sorted(row["updates"] for row in rows)


METRICS = [
    {"metric": name, "lowercase": lowercase, "tokenize": tokenizer}
    for name, tokenizer in (
        ("bleu", "none"),
        ("bleu", "13a"),
        ("bleu", "intl"),
        ("bleu", "char"),
        ("chrf", None),
        ("chrf++", None),
        ("ter", None),
    )
    for lowercase in (True, False)
]


@tries(40, pairs=PAIRS, metric=st.sampled_from(METRICS))
def test_any_text_is_scored(pairs: list[tuple[str, str]], metric: dict[str, Any]) -> None:
    found, references = (list(side) for side in zip(*pairs, strict=True))
    row, singles = score(metric, found, [references], 100)
    assert len(singles) == len(pairs)
    assert all(
        value >= 0 and (value <= 100 or metric["metric"] == "ter")
        for value in (row["score"] - 1e-9, *singles)
        if value > 0
    )


# Archives

NAME = st.one_of(
    st.sampled_from(
        ["../x", "/etc/x", "de-en/../../x", "~/x", ".", "", "de-en", "x/" * 60, "C:\\x", "de-en/train.tags.de-en.de"]
    ),
    st.text(CHARACTER, max_size=8),
)
KIND = st.sampled_from([bytes([value]) for value in b"01234567xgLKSVD"] + [b"\0"])
MEMBER = st.tuples(
    NAME, KIND, st.binary(max_size=600), st.sampled_from([None, None, -1, -512, 0, 10**6, 1 << 40, 1 << 62])
)
DAMAGE = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)


@tries(150, extra=st.lists(MEMBER, max_size=4), place=st.integers(0, 12), damage=DAMAGE)
def test_an_archive_is_read_or_refused(
    folder: Path, extra: list[tuple[str, bytes, bytes, int | None]], place: int, damage: list[tuple[float, int]]
) -> None:
    before, stream = sorted(os.listdir("/etc")), io.BytesIO()
    members: list[tuple[str, bytes, bytes, int | None]] = [
        (n, tarfile.REGTYPE, c or b"", None) for n, c in MEMBERS.items()
    ]
    for name, kind, content, size in [*members[:place], *extra, *members[place:]]:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(content) if size is None else size, kind, "/etc/passwd"
        stream.write(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
    stream.write(bytes(1024))
    data = bytearray(stream.getvalue())
    for at, value in damage:
        data[int(at * len(data))] = value
    path = folder / "de-en.tgz"
    path.write_bytes(gzip.compress(data, 1))
    try:
        parts = read_archive(path, LANGUAGES)
    except DataError as error:
        assert str(error).startswith(str(path)) and len(str(error)) < 2000
    else:
        assert sorted(parts) == ["test.de", "test.en", "train.de", "train.en"]
        assert damage or any(kind not in b"05\0" for _, kind, _, _ in extra) or extra or len(parts["train.de"]) == 3
    assert (
        sorted(os.listdir("/etc")) == before and [entry.name for entry in folder.iterdir() if entry.is_symlink()] == []
    )


def zeros(path: Path, size: int) -> Path:
    """A small file that unpacks to `size` zeros: many packed members, one after the other."""
    block = 1 << 28
    packed = gzip.compress(bytes(block))
    with open(path, "wb") as file:
        for _ in range(size // block):
            file.write(packed)
    return path


def test_100_gb_of_zeros_are_refused_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zeros(tmp_path / "x.de.gz", 100 << 30)
    assert path.stat().st_size < 120e6
    monkeypatch.setattr(packed, "LIMIT", 1 << 24)
    with pytest.raises(DataError, match=r"x.de.gz: refused, it unpacks to more than 16,777,216 bytes; if it should"):
        read_text(path)
    with pytest.raises(DataError, match="refused, it unpacks to more than 268,435,456 bytes"):
        read_archive(path, LANGUAGES)
    path.unlink()


def test_an_archive_of_very_many_members_is_refused(tmp_path: Path) -> None:
    many = {f"de-en/{number}": b"" for number in range(iwslt14.MEMBERS)}
    with pytest.raises(DataError, match="it has more than 1,000 members"):
        read_archive(archive(tmp_path, MEMBERS | many), LANGUAGES)


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"6", b"S"])
def test_only_plain_files_and_folders_are_taken(kind: bytes, tmp_path: Path) -> None:
    """Not hard and symbolic links, devices, pipes and sparse files."""
    info = tarfile.TarInfo("de-en/x")
    info.type, info.linkname = kind, "/etc/passwd"
    (tmp_path / "x.tgz").write_bytes(gzip.compress(info.tobuf() + bytes(1024)))
    with pytest.raises(DataError, match="member 'de-en/x' is a link, a device or a sparse file"):
        read_archive(tmp_path / "x.tgz", LANGUAGES)


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    """A header of its own for each header: tarfile calls itself for each of them."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 0
    (tmp_path / "x.tgz").write_bytes(gzip.compress(info.tobuf() * 5000))
    with pytest.raises(DataError, match="cut short or damaged"):
        read_archive(tmp_path / "x.tgz", LANGUAGES)


# Checkpoints


class Evil:
    """Makes a folder when it is unpickled carelessly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_fairseq_does_not_run_what_a_checkpoint_carries(tmp_path: Path) -> None:
    """Neither when it resumes a training nor when it decodes; told otherwise, it would."""
    (tmp_path / "bin").mkdir()
    for language in LANGUAGES:
        (tmp_path / f"bin/dict.{language}.txt").write_text("a 1\n")
    state = {"args": None, "cfg": None, "model": {}, "extra_state": Evil(tmp_path / "ran")}
    torch.save(state, tmp_path / "evil.pt")
    plugin = ROOT / "workflow/bleuprint/fairseq_plugin"
    common = f"{tmp_path}/bin --source-lang de --target-lang en --user-dir {plugin} --cpu"
    training = f"--arch transformer_tiny --max-tokens 100 --max-update 1 --save-dir {tmp_path}"
    training += " --disable-validation --restore-file"  # so that it needs no data before the checkpoint
    commands = [
        f"fairseq-generate {common} --path {tmp_path}/evil.pt",
        f"fairseq-train {common} {training} {tmp_path}/evil.pt",
    ]
    processes = [
        subprocess.Popen(command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode != 0
        assert "WeightsUnpickler error" in said or "Weights only load failed" in said, said
        assert not (tmp_path / "ran").exists()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "evil.pt")
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert (tmp_path / "ran").exists()


# Config values

VALUE = st.one_of(
    LINE,
    st.sampled_from(
        ["$(touch pwned)", "`touch pwned`", "; touch pwned", "a\n touch pwned", "'", '"', "\\", "{x}", "%s", "-x"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(CHARACTER, max_size=5), st.floats(), max_size=2),
    st.booleans(),
).map(lambda value: value.replace("\0", "") if isinstance(value, str) else value)


@tries(60, flags=st.dictionaries(st.text("abc_", min_size=1, max_size=4), VALUE, max_size=8))
def test_a_shell_gets_the_very_arguments(folder: Path, flags: dict[str, Any]) -> None:
    command = "printf '%s\\0' x " + shell(flags)
    result = subprocess.run(["bash", "-c", command], capture_output=True, check=True, cwd=folder)
    assert result.stdout.decode().split("\0")[1:-1] == argv(flags)
    assert not (folder / "pwned").exists()


HOSTILE = (
    "a  b\t'c' \"d\"; touch pwned; $(touch pwned) `touch pwned` {x} {{y}} {params.flags} %s $HOME \\ \\' \n"
    "touch pwned\n+ touch pwned\n# !! * ~ ü\u2028"
)


TINY = ["corpus.pairs=100", "corpus.valid_pairs=5", "corpus.test_pairs=5", "text.merges=50", "training.eval_bleu=true"]


def quoted(value: str) -> str:
    """A value as Hydra's grammar quotes it."""
    return "'" + re.sub(r"(\\+)(?='|$)", r"\1\1", value).replace("'", "\\'") + "'"


def given_as(*overrides: str) -> str:
    return f"overrides={json.dumps(overrides)}"


def pwned(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("pwned*")]


def test_config_values_reach_fairseq_as_they_are(
    snakemake: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path
) -> None:
    overrides = given_as(
        *TINY,
        f"training.adam_betas={quoted(HOSTILE)}",
        f"training.eval_bleu_detok={quoted('-x ' + HOSTILE)}",
        "training.eval_bleu_args={note:" + quoted(HOSTILE) + "}",
        f"+training.wandb_project={quoted(HOSTILE)}",
        f"+decoding.model_overrides={quoted(HOSTILE)}",
    )
    result = snakemake("--until", "gather_run", "--config", "recipe=demo", overrides, env=fake_fairseq)
    assert result.returncode == 0, result.stderr
    calls = [json.loads(line) for line in Path(fake_fairseq["CALLS"]).read_text().splitlines()]
    _, train, generate = calls
    assert train[train.index("--adam-betas") + 1] == HOSTILE
    assert f"--eval-bleu-detok=-x {HOSTILE}" in train
    assert json.loads(train[train.index("--eval-bleu-args") + 1])["note"] == HOSTILE
    assert train[train.index("--wandb-project") + 1] == HOSTILE
    assert generate[generate.index("--model-overrides") + 1] == HOSTILE
    # commands.sh typed again, with commands that only record their arguments
    (tmp_path / "python").write_text('#!/bin/sh\n[ "$2" != bleuprint.machine.allocator ] || { shift 2; exec "$@"; }\n')
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "subword-nmt").symlink_to("/bin/true")
    (script,) = tmp_path.glob("results/runs/*/commands.sh")
    again = {"PATH": f"{tmp_path}{os.pathsep}{fake_fairseq['PATH']}", "CALLS": str(tmp_path / "again.jsonl")}
    subprocess.run(["bash", str(script)], cwd=tmp_path, env=os.environ | again, capture_output=True)
    assert [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()] == calls
    assert pwned(tmp_path) == []


def test_hostile_paths_are_only_paths(snakemake: Snakemake, tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "").replace("\n", " \n")
    place = tmp_path / name
    place.mkdir()
    for language in LANGUAGES:
        write_lines(place / f"train.{language}", [f"{language} {number}" for number in range(40)])
    local = given_as(f"corpus.train={quoted(f'{name}/train')}")
    result = snakemake("corpus", "--config", "recipe=demo", "corpus=local", local)
    assert result.returncode == 0, result.stderr
    (place / "-x").mkdir()
    size = archive(place / "-x", MEMBERS).stat().st_size
    mirror, sources = quoted(f"{name}/-x"), quoted(f"{name}/nothing")
    found = given_as(f"runtime.mirror={mirror}", f"corpus.sources=[{sources}]", f"corpus.bytes={size}")
    result = snakemake("corpus", "--config", "recipe=demo", "corpus=iwslt14_de_en", found)
    assert result.returncode == 0, result.stderr
    (raw,) = tmp_path.glob("results/corpus/iwslt14*/raw")
    assert read_lines(raw / "train.de")[0] == "Titel"
    assert pwned(tmp_path) == []


SHA256 = "0" * 64


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["corpus=iwslt14_de_en", "corpus.archive=.."], "corpus.archive=..: string should match"),
        (["corpus=iwslt14_de_en", "corpus.archive='../x'"], "corpus.archive=../x: string should match"),
        (["corpus=multi30k_de_en", f"corpus.files={{'../x.de':{{name:x,sha256:{SHA256}}}}}"], "x.de"),
        (["source='../x'"], "source=../x: no language code"),
        (["model='../../etc/passwd'"], "model=../../etc/passwd: no such model"),
        (["recipe=/etc/passwd"], "recipe=/etc/passwd: no such recipe"),
        (["training.adam_betas='a\0b'"], "training.adam_betas='a\\x00b': holds a NUL"),
        (["training.eval_bleu_args={note:'a\0b'}"], "training.eval_bleu_args.note='a\\x00b': holds a NUL"),
        (["+training.x='a\ud800b'"], "training.x='a\\ud800b': holds a NUL or an invalid Unicode character"),
        (["runtime.mirror='a\0b'"], "runtime.mirror='a\\x00b': holds a NUL"),
    ],
)
def test_no_name_climbs_and_no_value_holds_a_nul(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        experiments({"overrides": overrides})
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("part", "name"),
    [("../x.de", "x"), ("train.de/../../x", "x"), ("x.de", "x"), ("train.de", ".."), ("train.de", "a/b")],
)
def test_published_files_do_not_climb(part: str, name: str) -> None:
    facts = {"kind": "files", "languages": ("de", "en"), "sources": [], "pairs": None}
    with pytest.raises(ValidationError, match="should match pattern"):
        Files.model_validate(facts | {"files": {part: {"name": name, "sha256": SHA256}}})


def test_a_target_outside_the_results_is_refused(snakemake: Snakemake, tmp_path: Path) -> None:
    result = snakemake("results/training/../../x/checkpoint.pt", "--config", "recipe=demo")
    assert result.returncode != 0 and "No rule to produce x/checkpoint.pt" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], [".snakemake"])
