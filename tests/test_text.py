"""The text stage equals prepare-iwslt14.sh to the byte."""

import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import run_snakemake, sample_overrides
from hypothesis import given, settings
from hypothesis import strategies as st
from sacremoses import MosesTokenizer
from subword_nmt.apply_bpe import BPE
from subword_nmt.learn_bpe import learn_bpe

from bleuprint.config.compose import experiments
from bleuprint.files import DataError, read_lines, write_lines
from bleuprint.text.cleaning import Limits, fault
from bleuprint.text.fingerprint import differences, expected, fingerprint
from bleuprint.text.learn_bpe import learn
from bleuprint.text.moses import FastTokenizer, detokenise, tokenise
from bleuprint.text.tokenise import prepare

CONFIG = {
    "source": "de",
    "target": "en",
    "tokenizer": "moses",
    "lowercase": True,
    "min_tokens": 1,
    "max_tokens": 175,
    "max_ratio": 1.5,
    "valid_every": 23,
}


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("Sie sagt, das ist's.", "Sie sagt , das ist &apos; s ."),
        ("Brot, Käse usw.", "Brot , Käse usw ."),  # sacremoses alone keeps the stop on a prefix,
        ("Er wurde 70.", "Er wurde 70 ."),  # a number,
        ("Das war Vitamin B.", "Das war Vitamin B ."),  # an initial
        ("Dr. Schmidt kam.", "Dr. Schmidt kam ."),
        ("Und dann ...", "Und dann ..."),
        ("Ende..", "Ende .."),
        (".", "."),
        ("", ""),
        ("a & b < c | d [e]", "a &amp; b &lt; c &#124; d &#91; e &#93;"),
        ("über-mäßig", "über-mäßig"),
        ("a\0b \x1bc", "ab c"),  # control characters go
        ("DOTMULTI DOTMULTIDOTMULTI", "DOTMULTI DOTMULTI DOTMULTI"),
        ("DOTMULTI x.DOTDOTMULTI, DOT\0MULTI ..", "DOTMULTI x . DOTDOTMULTI , DOTMULTI .."),  # Perl makes dots of these
    ],
)
def test_tokenize_as_perl_does(line: str, tokens: str) -> None:
    assert tokenise(line, "de") == tokens


FAST = {language: FastTokenizer(language) for language in ("en", "de", "fr", "zh", "xx")}
SLOW = {language: MosesTokenizer(lang=language) for language in FAST}
PIECES = ["a", "B", "Dr", "usw", "No", "5", ".", ",", "'", "s", "-", " ", "\u00a0", "ß", "中", "`", "&", '"', "|", "["]


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.sampled_from(sorted(FAST)))
def test_the_fast_tokenizer_is_sacremoses_own(line: str, language: str) -> None:
    assert FAST[language].tokenize(line, return_str=True) == SLOW[language].tokenize(line, return_str=True)


def test_detokenize_undoes_escapes() -> None:
    assert detokenise("it &apos;s &quot; fine &quot; &amp; 5 &lt; 6 .", "en") == 'it\'s "fine" & 5 < 6.'


@pytest.mark.parametrize(
    ("source", "target", "clean"),
    [
        ("a b", "a b", True),
        ("", "a", False),
        ("a", "", False),
        ("a b c", "a b", True),  # exactly 1.5
        ("a b c d", "a b", False),
        ("a", "a b", False),
        (" ".join("a" * 175), " ".join("b" * 175), True),
        (" ".join("a" * 176), " ".join("b" * 175), False),
        ("a" * 1000, "b", True),
        ("a" * 1001, "b", False),
    ],
)
def test_clean_as_clean_corpus_n(source: str, target: str, clean: bool) -> None:
    assert (fault(source, target, Limits(min_tokens=1, max_tokens=175, max_ratio=1.5)) is None) is clean


def raw(folder: Path, **parts: list[str]) -> Path:
    for part, lines in parts.items():
        for language in ("de", "en"):
            write_lines(folder / f"{part}.{language}", (f"{language} {line}" if line else "" for line in lines))
    return folder


def test_every_23rd_clean_pair_is_validation(tmp_path: Path) -> None:
    lines = ["", *(f"Satz {n}" for n in range(100))]
    counts = prepare(raw(tmp_path / "raw", train=lines, test=["eins", "", "drei"]), tmp_path / "out", CONFIG, 2)
    assert counts == {"test": (3, 3), "train": (101, 96), "valid": (0, 4)}
    assert read_lines(tmp_path / "out/valid.de") == [f"de satz {n}" for n in (22, 45, 68, 91)]
    assert read_lines(tmp_path / "out/test.en") == ["en eins", "", "en drei"]  # never cleaned
    both = read_lines(tmp_path / "out/train.both")
    assert both == read_lines(tmp_path / "out/train.de") + read_lines(tmp_path / "out/train.en")


def test_a_given_validation_set_is_kept(tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw", train=[str(n) for n in range(50)], valid=["v"], test=["t"])
    assert prepare(folder, tmp_path / "out", CONFIG | {"tokenizer": "none", "lowercase": False}, 1) == {
        "test": (1, 1),
        "train": (50, 50),
        "valid": (1, 1),
    }


def test_unicode_line_ends_inside_a_line_keep_the_lines_aligned(tmp_path: Path) -> None:
    for tokenizer in ("moses", "none"):
        folder = raw(tmp_path / tokenizer, train=["a b\u2028c\x85d\x0ce\rf"] * 30, test=["x\u2029y"])
        prepare(folder, tmp_path / "out", CONFIG | {"tokenizer": tokenizer}, 1)
        assert (tmp_path / "out/test.de").read_text().splitlines() == ["de x y"]
        assert (tmp_path / "out/train.en").read_text().splitlines()[0] == "en a b c d e f"


def test_nothing_left_is_said(tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw", train=["x " * 200], test=["t"])
    with pytest.raises(DataError, match="no pair is left in train"):
        prepare(folder, tmp_path / "out", CONFIG, 1)


@pytest.mark.parametrize("word", ["a@@", "@@", "<s>", "</s>", "<PAD>", "x<unk>"])
def test_a_token_that_would_not_come_through_is_named(word: str, tmp_path: Path) -> None:
    """BPE's undoing would glue it to the next token, or fairseq take it for a symbol of its own."""
    folder = raw(tmp_path / "raw", train=["x"] * 30, test=["a", f"b {word} c"])
    with pytest.raises(DataError, match=rf"raw/test.de, line 2: the token '{word.lower()}' ends in BPE's mark"):
        prepare(folder, tmp_path / "out", CONFIG | {"tokenizer": "none"}, 1)
    prepare(folder, tmp_path / "out", CONFIG, 1)


def learnt_by_subword_nmt(text: str, merges: int) -> str:
    codes = io.StringIO()
    learn_bpe(io.StringIO(text), codes, merges)
    return codes.getvalue()


def learnt(text: str, merges: int) -> str:
    return "".join(f"{line}\n" for line in ("#version: 0.2", *map(" ".join, learn(Counter(text.split()), merges))))


# Few letters: symbols come about in several ways, pairs overlap, and some look like an end of word
WORDS = st.text("ab\\", min_size=2, max_size=12) | st.lists(st.sampled_from(["a", "b", "</w>"]), min_size=2).map(
    "".join
)


@pytest.mark.slow
@settings(max_examples=150, derandomize=True, database=None, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=40), st.integers(1, 250))
def test_merges_are_subword_nmts(words: list[str], merges: int) -> None:
    text = " ".join(words)
    assert learnt(text, merges) == learnt_by_subword_nmt(text, merges)


@pytest.mark.slow
@pytest.mark.parametrize(("letters", "seed"), [("ab", 1), ("ab", 2), ("abc", 3), ("abcdefgh", 4)])
def test_merges_are_subword_nmts_after_pruning(letters: str, seed: int) -> None:
    """Some are learnt after its pruning has lost count of a pair."""
    made_up = random.Random(seed)
    words = ("".join(made_up.choices(letters, k=made_up.randint(1, 14))) for _ in range(1500))
    text = " ".join(word for word in words for _ in range(made_up.randint(1, 9)))
    merges = learnt(text, 1500)
    assert merges.count("\n") > 500 and merges == learnt_by_subword_nmt(text, 1500)


def test_segments_are_subword_nmts(tmp_path: Path) -> None:
    codes = tmp_path / "codes"
    codes.write_text(learnt("lower lowest newer newest wider " * 3, 12))
    lines = ["", "lowest low x", "newest é wider lower", "中文 a\u200bb"]
    write_lines(tmp_path / "train.en", lines)
    words = ["--codes", codes, "--output", tmp_path / "bpe", tmp_path / "train.en"]
    subprocess.run([sys.executable, "-m", "bleuprint.text.apply_bpe", *words], check=True)
    with open(codes) as file:
        bpe = BPE(file)
    assert read_lines(tmp_path / "bpe/train.en") == [bpe.process_line(line) for line in lines]


def test_lines_too_long_for_fairseq_are_named(tmp_path: Path) -> None:
    """1,023 subwords and the end of the sentence fill its 1,024 positions."""
    for part in ("train", "test"):
        write_lines(tmp_path / f"{part}.de", ["", "a " * 1022 + "a", "a " * 1023 + "a", "a", "b" * 5000, "a " * 2000])
    words = [sys.executable, "-m", "bleuprint.text.lengths", tmp_path / "test.de", tmp_path / "train.de"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0
    test, train = result.stderr.splitlines()
    assert "test.de: 2 lines of 1,024 subwords or more, the first is line 3; no training on this text starts" in test
    assert "train.de: 2 lines" in train and "leaves them out" in train


def test_differences_name_what_was_expected_and_found() -> None:
    found = {"lines": {"train": 5, "test": 2}, "dictionary": {"de": 3}, "sha256": {}}
    wanted = {"lines": {"train": 6, "test": 2}, "sha256": {"test.de": "ab"}}
    assert differences(found, wanted) == [("lines train", 6, 5), ("sha256 test.de", "ab", None)]


def test_every_output_on_the_sample_archive_is_the_scripts_own(data: Path, sample_text: Path) -> None:
    golden = json.loads((data / "iwslt14_sample" / "golden.json").read_text())
    (folder,) = (sample_text / "results" / "text").iterdir()
    expected = {"codes": golden["bpe_codes"]["sha256"]}
    expected |= {f"tokenized/{name}": facts["sha256"] for name, facts in golden["tokenized"].items()}
    expected |= {f"bpe/{name}": facts["sha256"] for name, facts in golden["bpe"].items()}
    expected |= {f"bin/{name}": facts["sha256"] for name, facts in golden["dict"].items()}
    expected |= {f"bin/{name}": digest for name, digest in golden["bin"].items()}
    assert len(expected) == 27
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in expected}
    assert found == expected


def test_the_fingerprint_counts_as_the_scripts_do(data: Path, sample_text: Path) -> None:
    golden = json.loads((data / "iwslt14_sample" / "golden.json").read_text())
    (folder,) = (sample_text / "results" / "text").iterdir()
    found = fingerprint(folder)
    written = json.loads((folder / "fingerprint.json").read_text())
    unknown = written.pop("unknown")
    assert found == written
    assert unknown.keys() == {f"{part}.{side}" for part in ("train", "valid", "test") for side in ("de", "en")}
    assert max(unknown.values()) < 0.01
    assert found["lines"] == {"train": 54124, "valid": 2460, "test": 6750}
    assert found["dictionary"] == {"de": 8384, "en": 6432}
    assert "[de] Dictionary: 8384 types" in (folder / "binarise.log").read_text()
    assert found["tokens"] == {name: golden["tokenized"][name]["tokens"] for name in found["tokens"]}
    full = json.loads((data / "iwslt14_full" / "expected.json").read_text())
    assert found["sha256"]["test.de"] == full["tokenized"]["test.de"]["sha256"]


def test_the_config_expects_what_is_known_of_the_full_archive(data: Path) -> None:
    full = json.loads((data / "iwslt14_full" / "expected.json").read_text())
    wanted = {kind: {name: facts[kind] for name, facts in full["tokenized"].items()} for kind in ("tokens", "sha256")}
    wanted |= {"lines": full["lines"], "dictionary": full["dict_types"]}
    wanted["sha256"] |= {"codes": full["bpe_codes_10k"]["sha256"]}
    (choice,) = experiments({})
    assert json.loads(expected(choice)) == wanted


def test_nothing_is_trained_on_text_that_is_not_as_expected(
    data: Path, sample_text: Path, tmp_path: Path, fake_fairseq: dict[str, str]
) -> None:
    """The sample archive is no full one: an error with a table, or a warning if the user says so."""
    shutil.copytree(sample_text, tmp_path, symlinks=True, dirs_exist_ok=True)
    overrides = sample_overrides(data).replace("corpus.expected=null", "runtime.device=cpu training.max_update=1")
    forced = ["training", "--verbose", "--forcerun", "binarise", "--config", overrides]
    stopped = run_snakemake(tmp_path, *forced, env=fake_fairseq)
    assert stopped.returncode != 0
    last = stopped.stderr[stopped.stderr.rindex("bleuprint: this is not the text that the corpus' config expects:") :]
    assert [line.split() for line in last.splitlines() if "lines train" in line] == [
        ["lines", "train", "160239", "54124"]
    ]
    assert "tokens valid.de" in last and "dictionary en" in last and "sha256 codes" in last
    assert "corpus.expected=null" in last and "runtime.fingerprint=warning" in last
    assert "rule train:" not in stopped.stderr
    warning = ["text", "--config", f"{overrides} runtime.fingerprint=warning"]
    warned = run_snakemake(tmp_path, *warning, env=fake_fairseq)
    assert warned.returncode == 0, warned.stderr
    assert "bleuprint: WARNING: this is not the text" in warned.stdout and "160239" in warned.stdout
