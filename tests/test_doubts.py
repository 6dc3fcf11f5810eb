"""Doubts: text that is not what it should be is told before the training."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CPU, Snakemake, run_snakemake, stand_ins

from bleuprint.corpus import checks
from bleuprint.corpus.checks import check, warnings
from bleuprint.corpus.doubts import doubts
from bleuprint.corpus.further import doubts_of_test_set
from bleuprint.corpus.monolingual import forms, has_markup, raw_figures
from bleuprint.files import DataError, write_lines
from bleuprint.report.soundness import files
from bleuprint.text import fingerprint
from bleuprint.text.tokenise import prepare
from bleuprint.text.unknown import most_frequent, shares
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


def told(checked: dict[str, Any], level: str) -> list[str]:
    return [doubt.sentence for doubt in doubts(checked) if doubt.level == level]


def test_exchanged_files_and_copies_are_told() -> None:
    exchanged = [(target, source) for source, target in PAIRS[:50]]
    found = check(parts(train=PAIRS, valid=PAIRS[:20], test=exchanged), "en", "de")
    (sentence,) = told(found, "meaningless")
    assert sentence.startswith("of 50 test pairs 50 have a line in en that looks like de, and 50 a line in de")
    assert "(line 1: “der hund nummer 0 sieht die katze” = “the dog" in sentence
    assert sentence.endswith("are the two files exchanged, or mixed?")
    assert f"WARNING: {sentence}" in warnings(found)
    few = check(parts(train=PAIRS, valid=PAIRS[:20], test=PAIRS[50:] + exchanged[:10]), "en", "de")
    assert not told(few, "meaningless") and "of 60 test pairs 10 have a line in en" in told(few, "warning")[0]
    copied = [(source, source) for source, _ in PAIRS[:50]]
    found = check(parts(train=PAIRS, valid=PAIRS[:20], test=copied), "en", "de")
    assert "50 of 50 test pairs are the same on both sides" in told(found, "warning")
    found = check(parts(train=PAIRS, valid=PAIRS[:20], test=PAIRS), "en", "de")
    (sentence,) = [doubt.sentence for doubt in doubts(found)]
    assert sentence == "the validation set has only 20 pairs, too few to choose a checkpoint well; 1,000 are usual"


def test_torn_words_are_not_taken_for_the_other_language() -> None:
    """As where Moses splits accents off: the pieces are rare on both sides, and the words tell nothing."""
    found = {"languages": ["vi", "en"], "parts": {"test": {"pairs": 40, "wrong_source": 27, "wrong_target": 0}}}
    assert "are the two files exchanged" in told(found, "meaningless")[0]
    files = {"test.vi": {"lines": 40, "judged": 40, "languages": {}}}
    assert [doubt.level for doubt in doubts(found | {"files": files})] == ["note"]
    assert forms(["tie \u0302 \u0301 ng"]) == {"two_forms": 1, "decomposed": 1}


FRENCH = [f"le chien numéro {n} regarde le chat" for n in range(100)]


def test_a_file_in_another_language_is_told() -> None:
    clean, mixed = parts(train=PAIRS, valid=PAIRS, test=PAIRS), dict(zip(PAIRS, FRENCH, strict=True))
    assert not doubts(check(clean, "en", "de", raw=clean))
    some = [(source, mixed[source, target] if n < 10 else target) for n, (source, target) in enumerate(PAIRS)]
    found = check(clean, "en", "de", raw=parts(train=PAIRS, test=some))
    assert found["files"]["test.de"]["judged"] == 100 and found["files"]["test.de"]["languages"] == {"fr": 10}
    (sentence,) = told(found, "warning")
    assert sentence.startswith("lines look like another language: 10 of 100 of test.de (fr 10), for instance line 1 of")
    assert "“le chien numéro 0 regarde" in sentence and not told(found, "meaningless")
    everywhere = parts(train=[*zip(FRENCH, FRENCH, strict=True)])
    (sentence,) = told(check(clean, "en", "de", raw=everywhere), "meaningless")
    assert (
        "100 of 100 of train.en (fr 100), 100 of 100 of train.de (fr 100), for instance line 1 of train.en" in sentence
    )
    assert "languages" not in raw_figures(FRENCH, "tlh")[0]  # a language that py3langid does not know
    assert "languages" not in raw_figures(["oui, oui"] * 30, "de")[0]  # lines that are too short
    assert raw_figures(FRENCH, "fr_CA")[0]["languages"] == {}


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("<b>bold</b>", True),
        ("R&amp;D, it&#39;s", True),
        ("<br/>", True),
        ('<a href="x">y', True),
        ("a < b > c & d; AT&T; x <3 &c.; &nothing;", False),
    ],
)
def test_markup(line: str, marked: bool) -> None:
    assert has_markup(line) is marked


def test_a_further_test_set_is_checked_by_itself() -> None:
    english, german = ([pair[side] for pair in PAIRS] for side in (0, 1))
    assert not doubts_of_test_set({"test.en": english, "test.de": german, "test.de.1": german}, "en", "de")
    (doubt,) = doubts_of_test_set({"test.en": german, "test.de": english, "test.de.1": german}, "en", "de")
    assert (
        doubt.level == "meaningless" and "100 of 100 of test.en (de 100), 100 of 100 of test.de (en" in doubt.sentence
    )


def test_markup_and_mojibake_are_told_with_an_example() -> None:
    lines = [target for _, target in PAIRS]
    stained = [
        *lines[:97],
        "<i>der hund</i> &amp; die katze",
        "Das MÃ¤dchen schlÃ¤ft noch",
        "Sie fÃ¤hrt Ã¼ber die BrÃ¼cke",
    ]
    clean = parts(train=PAIRS, test=PAIRS)
    raw = clean | {"train.de": stained, "test.de": ["Das MÃ¤dchen schlÃ¤ft noch"] * 100}
    found = check(clean, "en", "de", raw=raw)
    figures = found["files"]["train.de"]
    assert [figures[name] for name in ("lines", "markup", "mojibake", "mojibake_of")] == [100, 1, 2, 100]
    markup, mojibake = told(found, "warning")
    assert markup.startswith(
        "1 of 100 lines of train.de have HTML or XML markup, for instance line 98 of train.de, “<i>"
    )
    assert mojibake.startswith("2 of 100 lines of train.de were decoded wrongly once, for instance line 99 of")
    assert [sentence.split(" were")[0] for sentence in told(found, "meaningless")] == ["100 of 100 lines of test.de"]


def test_mixed_unicode_forms_are_told() -> None:
    composed, decomposed = "tiếng việt", "tie\u0302\u0301ng vie\u0323\u0302t"
    assert forms([composed, decomposed, "plain", "中文"]) == {"two_forms": 2, "decomposed": 1}
    text = {"train.vi": [composed] * 50, "test.vi": [decomposed] * 30 + [composed] * 10}
    found = {"parts": {}, "forms": {name: forms(lines) for name, lines in text.items()}}
    (sentence,) = told(found, "warning")
    assert sentence.startswith(
        "of the lines with accents or the like 100% of train.vi and 25% of test.vi are in Unicode's"
    )
    found["forms"]["test.vi"] = forms(text["train.vi"])
    assert not doubts(found)
    found["forms"]["train.vi"] = forms(text["test.vi"])
    mixed, between = told(found, "warning")
    assert mixed.startswith("train.vi mixes Unicode's composed form (NFC) with others, in 75% of the lines")
    assert between.endswith('bring all text into one form with overrides="text.unicode_normalization=NFC"')


def test_real_text_is_not_suspected(data: Path) -> None:
    """Of the lines of twelve languages hardly any is said to be of another, and none to have markup or mojibake."""
    files = [(path, path.name.partition("_")[0]) for path in (data / "flores200_devtest").glob("*.gz")]
    files += [(path, path.name.split(".")[1]) for path in (data / "tatoeba_de_en").glob("*.gz")]
    assert len(files) == 14
    for path, language in files:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()[::20]
        figures, _ = raw_figures(lines, language)
        assert figures["judged"] > 40 and sum(figures["languages"].values()) <= 1, path
        assert figures["markup"] == figures["mojibake"] == 0, path


def test_a_meaningless_text_stops_unless_insisted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exchanged = [(target, source) for source, target in PAIRS]
    for name, lines in parts(train=PAIRS, valid=PAIRS[:20], test=exchanged).items():
        write_lines(tmp_path / "text" / name, lines)
    command = ["checks", "--text", str(tmp_path / "text"), "--source", "en", "--target", "de", "--raw", "missing"]
    monkeypatch.setattr("sys.argv", [*command, "--output", str(tmp_path / "checks.json"), "--doubts", "error"])
    with pytest.raises(SystemExit) as error:
        checks.main()
    lines = str(error.value).splitlines()
    assert lines[0] == "bleuprint: scores of this text would be meaningless:" and lines[1].startswith("  - of 100 test")
    assert lines[2] == '  Correct the files, or train all the same: overrides="runtime.doubts=warning".'
    note = "Note: the validation set has only 20 pairs"
    assert capsys.readouterr().err.startswith(note)
    monkeypatch.setattr("sys.argv", [*command, "--output", str(tmp_path / "checks.json"), "--doubts", "warning"])
    checks.main()
    assert "WARNING: of 100 test pairs 100 have" in capsys.readouterr().err


def test_a_cleaning_that_leaves_little_is_told(tmp_path: Path) -> None:
    """As with Japanese, which is written without spaces, and a ratio that was chosen for German and English."""
    lines = [("one two three four five six", "ichi ni") if n % 10 else ("one two", "ichi ni") for n in range(1000)]
    for side, language in enumerate(("en", "ja")):
        for part in ("train", "test"):
            write_lines(tmp_path / f"raw/{part}.{language}", [pair[side] for pair in lines])
    prepare(tmp_path / "raw", tmp_path / "out", CONFIG, 1, tmp_path / "cleaning.json")
    cleaning = json.loads((tmp_path / "cleaning.json").read_text())
    assert cleaning == {"pairs": 1000, "left_out": {"max_ratio": 900}}
    (sentence,) = told({"parts": {}, "cleaning": cleaning}, "warning")
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
    write_lines(tmp_path / "dict.vi.txt", ["tiếng 5", "vi@@ 2"])
    write_lines(tmp_path / "bpe", ["tie@@ \u0302@@ ng vi@@ t", "tie@@ ng"])
    examples = {"test.vi": most_frequent(tmp_path / "bpe", tmp_path / "dict.vi.txt")}
    assert examples == {"test.vi": [("tie@@", 2), ("ng", 2), ("\u0302@@", 1), ("t", 1)]}
    sentence = unknown_warnings(unknown, tmp_path, examples)["test.vi"]
    assert "test.vi are unknown to the model (most often “tie@@” 2, “ng” 2, “◌\u0302@@” 1, “t” 1): 100% of" in sentence
    assert "0% of these are in Unicode's composed form (NFC)" in sentence
    write_lines(tmp_path / "test.vi", ["tiếng việt"])
    assert unknown_warnings(unknown, tmp_path)["test.vi"].endswith("tokenisation those of the training text?")
    assert shares(tmp_path / "missing.log") == {}


@pytest.mark.parametrize("way", ["error", "warning"])
def test_a_file_of_unknown_subwords_stops_unless_insisted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    for part, word in (("train", "a"), ("test", "b")):
        for folder in ("tokenized", "bpe"):
            write_lines(tmp_path / f"{folder}/{part}.en", [word])
    write_lines(tmp_path / "bin/dict.en.txt", ["a 1"])
    write_lines(tmp_path / "binarise.log", ["[en] x/test.en: 1 sents, 2 tokens, 50.0% replaced (by <unk>)"])
    monkeypatch.setattr("sys.argv", ["fingerprint", "--folder", str(tmp_path), "--doubts", way])
    sentence = "50.0% of the subwords of test.en are unknown to the model (most often “b” 1): are its spelling"
    if way == "error":
        with pytest.raises(SystemExit, match="would be meaningless") as error:
            fingerprint.main()
        assert sentence in str(error.value) and str(error.value).endswith('overrides="runtime.doubts=warning".')
    else:
        fingerprint.main()
        assert f"WARNING: {sentence}" in capsys.readouterr().err
        assert json.loads((tmp_path / "fingerprint.json").read_text())["unknown_examples"] == {"test.en": [["b", 1]]}


def test_the_table_of_files_reads_texts_of_older_versions() -> None:
    assert files({"parts": {"test": {"pairs": 5}}, "examples": {}}) is None
    clean = parts(train=PAIRS, valid=PAIRS, test=PAIRS)
    table = files(check(clean, "en", "de", raw=parts(train=[*zip(FRENCH, FRENCH, strict=True)])))
    assert table is not None and table["names"][:3] == ["train.en", "train.de", "valid.en"]
    rows = dict(table["rows"])
    assert rows["in another language"] == ["100 of 100", "100 of 100", "–", "–", "–", "–"]
    assert rows["not in Unicode form NFC"] == ["–"] * 6
    assert table["examples"][0][0] == "train.en: in another language" and len(table["examples"][0][1]) == 3


def test_the_terminal_and_the_page_tell_doubts(snakemake: Snakemake, tmp_path: Path) -> None:
    exchanged = [(target, source) for source, target in PAIRS]
    for name, lines in parts(train=PAIRS + [("x y z", "a")] * 50, valid=PAIRS[:20], test=exchanged).items():
        write_lines(tmp_path / name, lines)
    local = "corpus.train=train corpus.valid=valid corpus.test=test text=iwslt14 text.merges=50 text.tokenizer=none"
    local += " scoring.resamples=100"
    config = ["recipe=demo", "corpus=local", "source=en", "target=de"]
    env = stand_ins(tmp_path) | CPU
    stopped = run_snakemake(tmp_path, "--config", *config, f"overrides={local}", env=env)
    assert stopped.returncode != 0 and "bleuprint: scores of this text would be meaningless" in stopped.stderr
    assert not (tmp_path / "calls.jsonl").exists()  # nothing was binarised, nothing trained
    result = run_snakemake(tmp_path, "--config", *config, f"overrides={local} runtime.doubts=warning", env=env)
    assert result.returncode == 0, result.stderr
    told = result.stdout + result.stderr
    page = (tmp_path / "results/report/index.html").read_text()
    exchanged_sides = "f 100 test pairs 100 have a line in en"
    assert exchanged_sides in told and exchanged_sides in page
    assert "cleaning keeps only 100 of 150 training pairs" in told
    assert "Cleaning kept 100 of 150 training pairs (66.7%). Left out, and why:" in page
    assert '<th scope="row">in another language</th><td>0 of 100</td>' in page
    (path,) = tmp_path.glob("results/text/*/cleaning.json")
    assert yaml.safe_load(path.read_text()) == {"pairs": 150, "left_out": {"max_ratio": 50}}
