"""Training text of genuine pairs and pairs that a model has made: order, cleaning, noise, tag, checks, report."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from bleuprint.corpus.checks import main as write_checks
from bleuprint.corpus.doubts import doubts
from bleuprint.files import DataError, read_lines, write_lines
from bleuprint.report.soundness import cleaning, mixture
from bleuprint.text import made
from bleuprint.text.made import noised, words
from bleuprint.text.tokenise import main as tokenise
from bleuprint.text.tokenise import prepare

CONFIG: dict[str, Any] = {
    "source": "de",
    "target": "en",
    "tokenizer": "none",
    "lowercase": False,
    "min_tokens": 1,
    "max_tokens": 175,
    "max_ratio": 1.5,
    "valid_every": 5,
}
BACK = {"translated": {"side": "target"}}
NOISE = {"drop": 0.1, "blank": 0.1, "shuffle": 3}


def written(folder: Path, **parts: list[tuple[str, str]]) -> Path:
    for part, pairs in parts.items():
        for side, language in enumerate(("de", "en")):
            write_lines(folder / f"{part}.{language}", (pair[side] for pair in pairs))
    return folder


def pairs(word: str, count: int, start: int = 1) -> list[tuple[str, str]]:
    return [(f"d {word}{n}", f"e {word}{n}") for n in range(start, start + count)]


def prepared(
    folder: Path, further: dict[str, Any], made: Sequence[tuple[str, str]] = (), least: float = 0.0, **parts: Any
) -> dict[str, Any]:
    """Prepare a text, and return what cleaning.json holds."""
    raw = written(folder / "raw", **({"train": pairs("g", 10), "test": pairs("t", 1)} | parts))
    files = [folder / f"made.{language}" for language in ("de", "en")]
    written(folder, made=list(made))
    prepare(raw, folder / "out", CONFIG | further, 1, folder / "c.json", least, files if made else ())
    cleaning: dict[str, Any] = json.loads((folder / "c.json").read_text())
    return cleaning


def train(folder: Path) -> list[tuple[str, str]]:
    return list(zip(*(read_lines(folder / f"out/train.{language}") for language in ("de", "en")), strict=True))


GENUINE = [pair for number, pair in enumerate(pairs("g", 10), 1) if number % 5]  # the others are for validation


def test_genuine_pairs_stand_as_often_as_asked_and_before_the_made_ones(tmp_path: Path) -> None:
    facts = prepared(tmp_path, {"translated": {"side": "target", "copies": 2}}, pairs("m", 3))
    assert train(tmp_path) == GENUINE * 2 + pairs("m", 3)
    assert read_lines(tmp_path / "out/valid.de") == ["d g5", "d g10"]
    once = GENUINE + pairs("m", 3)
    assert read_lines(tmp_path / "out/train.both") == [pair[side] for side in (0, 1) for pair in once]
    assert facts["made"] == {"pairs": 3, "left_out": {}}
    counts = {"genuine": 8, "copies": 2, "made": 3}
    assert facts["train"] == counts | {"bidirectional": False, "made_lines": [17]}


def test_without_copies_all_pairs_are_made(tmp_path: Path) -> None:
    prepared(tmp_path, {"translated": {"side": "source", "copies": 0}}, pairs("m", 3))
    assert train(tmp_path) == pairs("m", 3)
    assert read_lines(tmp_path / "out/train.both") == [pair[side] for side in (0, 1) for pair in pairs("m", 3)]
    assert len(read_lines(tmp_path / "out/valid.de")) == 2


def test_both_directions_follow_each_other_and_the_segmenter_reads_each_pair_once(tmp_path: Path) -> None:
    facts = prepared(tmp_path, BACK | {"bidirectional": True}, pairs("m", 2))
    one = GENUINE + pairs("m", 2)
    assert train(tmp_path) == one + [(target, source) for source, target in one]
    assert len(read_lines(tmp_path / "out/train.both")) == 2 * len(one)
    assert facts["train"]["made_lines"] == [9, 19]
    facts = prepared(tmp_path / "genuine", {"bidirectional": True})
    assert train(tmp_path / "genuine") == GENUINE + [(target, source) for source, target in GENUINE]
    assert facts["train"]["made_lines"] == [] and "made" not in facts


def test_a_share_is_taken_of_the_raw_training_pairs_alone(tmp_path: Path) -> None:
    facts = prepared(tmp_path, {"share": [0.25, 0.75]}, valid=pairs("v", 4))
    assert train(tmp_path) == pairs("g", 5, start=3)  # of 10: lines 2 to 7, from 0
    assert facts == {"pairs": 5, "left_out": {}}
    assert len(read_lines(tmp_path / "out/valid.de")) == 4


def test_made_pairs_are_cleaned_held_apart_and_limited(tmp_path: Path) -> None:
    odd = [("", "e"), ("d <unk>", "e x"), ("d bro@@", "e x"), ("d a b c d", "e")]
    held = [("ganz anders", "E  g5."), ("ganz anders", "e t1")]  # English lines of validation and test
    made = [*odd, *held, *pairs("m", 9)]
    facts = prepared(tmp_path, {"translated": {"side": "target", "ratio": 0.5}}, made)
    assert train(tmp_path) == [*GENUINE, ("ganz anders", "e t1"), *pairs("m", 3)]
    counts = {"ratio": 6, "symbol": 2, "empty": 1, "max_ratio": 1, "held_out": 1}
    assert facts["made"] == {"pairs": 15, "left_out": counts}
    facts = prepared(tmp_path, BACK | {"decontaminate": True, "max_ratio": None}, held)
    assert facts["made"]["left_out"] == {"held_out": 2}


def test_what_cleaning_must_keep_holds_for_both_kinds_of_pairs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only 1 of 3 pairs made by a model; in 2 of the others a side is empty: train"):
        prepared(tmp_path, BACK, [("", "e"), ("", "e"), ("d", "e")], least=0.5)
    with pytest.raises(DataError, match="only 0 of 1 training pairs"):
        prepared(tmp_path, BACK, [("d", "e")], least=0.5, train=[("", "e")])


def test_a_translation_that_is_cut_short_is_told(tmp_path: Path) -> None:
    raw = written(tmp_path / "raw", train=pairs("g", 10), test=pairs("t", 1))
    for name, lines in {"a": ["1"], "b": ["1", "2"]}.items():
        write_lines(tmp_path / name, lines)
    with pytest.raises(DataError, match=r"a has 1 lines and .*b has 2"):
        prepare(raw, tmp_path / "out", CONFIG | BACK, 1, made=[tmp_path / "a", tmp_path / "b"])


def test_a_text_with_made_pairs_is_not_prepared_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, raw = tmp_path / "config.yaml", written(tmp_path / "raw", train=pairs("g", 10), test=pairs("t", 1))
    config.write_text(yaml.safe_dump(CONFIG | BACK))
    words = ["--config", str(config), "--raw", str(raw), "--output", str(tmp_path / "out"), "--cleaning", "c.json"]
    monkeypatch.setattr("sys.argv", ["tokenise", *words])
    with pytest.raises(SystemExit):
        tokenise()
    assert "--made goes with `translated`" in capsys.readouterr().err


def test_subwords_of_a_word_stay_together() -> None:
    assert words("ei@@ n Wort s@@ o", "subword_nmt") == [["ei@@", "n"], ["Wort"], ["s@@", "o"]]
    assert words("▁ei n ▁Wort", "sentencepiece") == [["▁ei", "n"], ["▁Wort"]]
    assert words("中 文 ▁a", "sentencepiece") == [["中", "文"], ["▁a"]]
    assert words("", "subword_nmt") == []


def test_noise_drops_blanks_and_moves_words_no_further_than_asked() -> None:
    line = [[str(number)] for number in range(1000)]
    assert noised(line, {"drop": 0, "blank": 0, "shuffle": 0}, Random("a")) == line
    moved = noised(line, {"drop": 0, "blank": 0, "shuffle": 3}, Random("a"))
    assert sorted(moved) == sorted(line) and moved != line
    assert max(abs(place - int(word)) for place, (word,) in enumerate(moved)) == 3
    changed = noised(line, {"drop": 0.1, "blank": 0.2, "shuffle": 0}, Random("a"))
    assert 850 < len(changed) < 950 and 130 < changed.count(["<BLANK>"]) < 230
    assert noised([["a"]], {"drop": 0.999, "blank": 0, "shuffle": 3}, Random("a")) == [["a"]]
    assert noised([], NOISE, Random("a")) == []


def segmented(folder: Path, monkeypatch: pytest.MonkeyPatch, translated: dict[str, Any], **further: Any) -> Path:
    """Write a segmented text of two genuine pairs and two made ones, and set the arguments of text/made.py."""
    counts = {"genuine": 2, "copies": 1, "made": 2, "bidirectional": "bidirectional" in further}
    first = [3, 7] if further else [3]
    (folder / "c.json").write_text(json.dumps({"train": counts | {"made_lines": first}}))
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"translated": translated} | further))
    for name in ("train.de", "train2.de", "train.en", "valid.de"):
        write_lines(folder / "bpe" / name, ["g 1", "g 2", "m@@ 3 x y", "m@@ 4 x y"] * len(first))
    arguments = ["--segmented", "bpe", "--cleaning", "c.json", "--config", "config.yaml"]
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["made", *arguments])
    return folder / "bpe"


def test_a_tag_stands_before_the_source_side_of_made_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = segmented(tmp_path, monkeypatch, {"tag": "<BT>"}, bidirectional=True, segmentations=2)
    plain = read_lines(folder / "train.en")
    made.main()
    made.main()  # changes nothing
    expected = ["g 1", "g 2", "<BT> m@@ 3 x y", "<BT> m@@ 4 x y"] * 2
    assert read_lines(folder / "train.de") == read_lines(folder / "train2.de") == expected
    assert read_lines(folder / "train.en") == read_lines(folder / "valid.de") == plain


@pytest.mark.parametrize("killed", range(4))
def test_a_kill_anywhere_leaves_what_a_second_call_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: int
) -> None:
    translated = {"tag": "<BT>", "noise": NOISE}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = segmented(tmp_path / "whole", monkeypatch, translated, segmentations=2, bidirectional=True)
    made.main()
    folder = segmented(tmp_path / "killed", monkeypatch, translated, segmentations=2, bidirectional=True)
    replace, calls = os.replace, iter(range(100))

    def replace_until_killed(*paths: Path) -> None:
        if next(calls) == killed:
            raise KeyboardInterrupt
        replace(*paths)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", replace_until_killed)
        with pytest.raises(KeyboardInterrupt):
            made.main()
    made.main()
    for path in whole.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes()
    assert len([*whole.iterdir()]) == len([*folder.iterdir()])


def test_noise_depends_on_the_line_among_the_made_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = segmented(tmp_path, monkeypatch, {"noise": {"drop": 0.3, "blank": 0.3, "shuffle": 3}})
    long = " ".join(f"w@@ {number}" for number in range(40))
    write_lines(folder / "train.de", ["g", "g", long, long])
    made.main()
    first, second = read_lines(folder / "train.de")[2:]
    assert first != second and "<BLANK>" in first.split()
    facts = json.loads((tmp_path / "c.json").read_text())
    facts["train"] |= {"genuine": 1, "made_lines": [2]}
    (tmp_path / "c.json").write_text(json.dumps(facts))
    write_lines(folder / "train.de", ["g", long, long])
    made.main()
    assert read_lines(folder / "train.de") == ["g", first, second]


def test_checks_judge_genuine_pairs_and_search_all_for_held_out_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = {"copies": 2, "side": "target"}
    facts = prepared(tmp_path, {"translated": two, "bidirectional": True}, [*pairs("m", 2), ("d t1", "e t1")])
    words = ["--text", "out", "--source", "de", "--target", "en", "--cleaning", "c.json", "--output", "checks.json"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["checks", *words])
    write_checks()
    checked = json.loads((tmp_path / "checks.json").read_text())
    assert checked["parts"]["train"] | {"pairs": 8, "duplicates": 0, "wrong_source": 0} == checked["parts"]["train"]
    assert checked["parts"]["test"]["in_train"] == 1
    assert len(read_lines(tmp_path / "out/valid.de")) == 4  # both directions, too
    assert checked["parts"]["valid"]["pairs"] == 2 and checked["parts"]["valid"]["in_train"] == 0
    assert checked["cleaning"] == facts


def test_the_report_tells_genuine_pairs_from_made_ones() -> None:
    counts = {"genuine": 9000, "copies": 2, "made": 18500, "bidirectional": False, "made_lines": [18001]}
    left_out = {"pairs": 30000, "left_out": {"ratio": 1500, "empty": 10000}}
    checked = {"parts": {}, "cleaning": {"pairs": 9000, "left_out": {}, "made": left_out, "train": counts}}
    family = [{"role": "text translated by", "folder": "results/training/lstm-seed1-0"}]
    settings = {"translated": {"side": "target", "tag": "<BT>"}}
    assert mixture(checked, settings, family) == (
        "Training text: 9,000 genuine pairs (× 2) and 18,500 made by lstm-seed1-0 (target side genuine, tag <BT>)."
    )
    assert mixture({"parts": {}, "cleaning": {"pairs": 1, "left_out": {}}}, settings, ()) == ""
    checked["cleaning"]["train"] = counts | {"copies": 0, "bidirectional": True}
    assert mixture(checked, None, ()) == (
        "Training text: 9,000 genuine pairs, which are not trained on; 18,500 made by a model; each in both directions."
    )
    sentences = [entry["sentence"] for entry in cleaning(checked)]
    assert sentences == [
        "Cleaning kept all 9,000 training pairs.",
        "Cleaning kept 18,500 of 30,000 pairs made by a model (61.7%).",
    ]
    (doubt,) = doubts(checked)
    assert "only 20,000 of 30,000 pairs made by a model; left out: 10,000 (a side is empty)" in doubt.sentence
