"""Doubts: text that is not what it should be is told before the training."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CPU, Snakemake, run_snakemake, stand_ins

from bleuprint.corpus.checks import check, doubts, warnings
from bleuprint.files import DataError, write_lines
from bleuprint.text.moses import note
from bleuprint.text.tokenise import prepare
from bleuprint.text.unknown import shares
from bleuprint.text.unknown import warnings as unknown_warnings

CONFIG: dict[str, Any] = {"source": "en", "target": "ja", "tokenizer": "none", "lowercase": False, "valid_every": 5}
CONFIG |= {"min_tokens": 1, "max_tokens": 175, "max_ratio": 1.5}
PAIRS = [(f"the dog number {n} sees the cat", f"der hund nummer {n} sieht die katze") for n in range(100)]


def parts(**pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {
        f"{part}.{language}": [pair[side] for pair in lines]
        for part, lines in pairs.items()
        for side, language in enumerate(("en", "de"))
    }


def test_exchanged_files_and_copies_are_told() -> None:
    exchanged = [(target, source) for source, target in PAIRS[:50]]
    found = check(parts(train=PAIRS, valid=PAIRS[:20], test=exchanged), "en", "de")
    (sentence,) = [line for line in doubts(found) if "test" in line]
    assert sentence.startswith("of 50 test pairs 50 have a line in en that looks like de, and 50 a line in de")
    assert sentence.endswith("are the two files exchanged, or mixed?")
    assert f"WARNING: {sentence}" in warnings(found)
    copied = [(source, source) for source, _ in PAIRS[:50]]
    found = check(parts(train=PAIRS, valid=PAIRS[:20], test=copied), "en", "de")
    assert "50 of 50 test pairs are the same on both sides" in doubts(found)
    assert not doubts(check(parts(train=PAIRS, valid=PAIRS[:20], test=PAIRS[50:]), "en", "de"))


def test_a_cleaning_that_leaves_little_is_told(tmp_path: Path) -> None:
    """As with Japanese, which is written without spaces, and a ratio that was chosen for German and English."""
    lines = [("one two three four five six", "ichi ni") if n % 10 else ("one two", "ichi ni") for n in range(1000)]
    for side, language in enumerate(("en", "ja")):
        for part in ("train", "test"):
            write_lines(tmp_path / f"raw/{part}.{language}", [pair[side] for pair in lines])
    prepare(tmp_path / "raw", tmp_path / "out", CONFIG, 1, tmp_path / "cleaning.json")
    cleaning = json.loads((tmp_path / "cleaning.json").read_text())
    assert cleaning == {"pairs": 1000, "left_out": {"max_ratio": 900}}
    (sentence,) = doubts({"parts": {}, "cleaning": cleaning})
    assert sentence.startswith("cleaning keeps only 100 of 1,000 training pairs; left out: 900 (text.max_ratio,")
    assert not doubts({"parts": {}, "cleaning": {"pairs": 1000, "left_out": {"max_ratio": 200}}})


@pytest.mark.parametrize("way", [{"min_kept": 0.0}, {"config": CONFIG | {"max_ratio": 3.0}, "min_kept": 0.5}])
def test_a_cleaning_that_leaves_less_than_half_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], way: dict[str, Any]
) -> None:
    write_lines(tmp_path / "raw/train.en", ["one two three", *["one two three four five"] * 3])
    write_lines(tmp_path / "raw/train.ja", ["ichi ni"] * 4)
    arguments: dict[str, Any] = {"config": CONFIG | {"valid_every": 2}, "workers": 1}
    with pytest.raises(DataError) as error:
        prepare(tmp_path / "raw", tmp_path / "out", **arguments, min_kept=0.5)
    assert str(error.value) == (
        "cleaning keeps only 1 of 4 training pairs; in 3 of the others one side has more than text.max_ratio=1.5 times "
        "as many tokens as the other: raise text.max_ratio (1.5 suits languages like German and English), or train on "
        'what is left with overrides="runtime.min_kept=0".'
    )
    first = "left out by max_ratio: line 2: one two three four five (5 tokens) = ichi ni (2 tokens)"
    assert capsys.readouterr().out.splitlines()[0] == first and not (tmp_path / "out").exists()
    write_lines(tmp_path / "raw/valid.en", ["one"])
    write_lines(tmp_path / "raw/valid.ja", ["ichi"])
    prepare(tmp_path / "raw", tmp_path / "out", **(arguments | way))


def test_subwords_that_no_dictionary_has_are_told(tmp_path: Path) -> None:
    log = tmp_path / "binarise.log"
    line = "INFO:fairseq_cli.preprocess:[vi] results/text/x/bpe/{}.vi: 2 sents, 740 tokens, {}% replaced (by <unk>)"
    write_lines(log, [line.format("train", 0.0), line.format("valid", 0.9), line.format("test", 31.8)])
    unknown = shares(log)
    assert unknown == {"train.vi": 0.0, "valid.vi": pytest.approx(0.009), "test.vi": pytest.approx(0.318)}
    write_lines(tmp_path / "train.vi", ["tiếng việt"])
    write_lines(tmp_path / "test.vi", ["tie\u0302\u0301ng vie\u0323\u0302t"])
    (sentence,) = unknown_warnings(unknown, tmp_path)
    assert sentence.startswith("31.8% of the subwords of test.vi are unknown to the model: 100% of the training lines")
    assert "0% of these are in Unicode's composed form (NFC)" in sentence
    write_lines(tmp_path / "test.vi", ["tiếng việt"])
    assert unknown_warnings(unknown, tmp_path)[0].endswith("tokenisation those of the training text?")
    assert shares(tmp_path / "missing.log") == {}


def test_a_language_without_rules_is_told() -> None:
    assert note("de") is None
    assert "fra and uses those of English. It knows two-letter codes, as fr: as, bn," in (note("fra") or "")
    assert "codes: as, bn" in (note("xho") or "")


def test_the_terminal_and_the_page_tell_doubts(snakemake: Snakemake, tmp_path: Path) -> None:
    exchanged = [(target, source) for source, target in PAIRS]
    for name, lines in parts(train=PAIRS + [("x y z", "a")] * 50, valid=PAIRS[:20], test=exchanged).items():
        write_lines(tmp_path / name, lines)
    local = "corpus.train=train corpus.valid=valid corpus.test=test text=iwslt14 text.merges=50 text.tokenizer=none"
    config = ["recipe=demo", "corpus=local", "source=en", "target=de", f"overrides={local}"]
    result = run_snakemake(tmp_path, "--config", *config, env=stand_ins(tmp_path) | CPU)
    assert result.returncode == 0, result.stderr
    told = result.stdout + result.stderr
    page = (tmp_path / "results/report/index.html").read_text()
    exchanged_sides = "f 100 test pairs 100 have a line in en"
    assert exchanged_sides in told and exchanged_sides in page
    assert "cleaning keeps only 100 of 150 training pairs" in told
    assert "Cleaning kept 100 of 150 training pairs (66.7%). Left out, and why:" in page
    (path,) = tmp_path.glob("results/text/*/cleaning.json")
    assert yaml.safe_load(path.read_text()) == {"pairs": 150, "left_out": {"max_ratio": 50}}
