"""The corpus checks: what each figure counts and does not, leaks, their warnings, and decontamination."""

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Snakemake, sample_overrides

from bleuprint.config.compose import experiments
from bleuprint.config.stages import STAGES
from bleuprint.corpus.checks import check, main, warnings
from bleuprint.corpus.demo import generate
from bleuprint.corpus.leaks import leak, normal, without
from bleuprint.files import DataError, read_lines, write_lines
from bleuprint.plan.keys import plan
from bleuprint.text.fingerprint import expected
from bleuprint.text.tokenise import prepare

Pairs = list[tuple[str, str]]
SIZES = {"train": 2000, "valid": 100, "test": 100}
LEAKS = ("in_train", "in_train_normalised", "source_in_train")


@pytest.fixture(scope="module")
def clean() -> dict[str, Pairs]:
    """Distinct German-English pairs, each part its own."""
    lines = generate(SIZES, seed=3)
    return {part: list(zip(lines[f"{part}.de"], lines[f"{part}.en"], strict=True)) for part in SIZES}


def lines_of(parts: dict[str, Pairs]) -> dict[str, list[str]]:
    return {
        f"{part}.{language}": [pair[side] for pair in pairs]
        for part, pairs in parts.items()
        for side, language in enumerate(("de", "en"))
    }


def checked(parts: dict[str, Pairs], **more: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Check the parts with more pairs in some of them."""
    return check(lines_of({part: [*pairs, *more.get(part, [])] for part, pairs in parts.items()}), "de", "en")


def oddities(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count and name != "pairs"}


def test_a_clean_text_has_no_oddities(clean: dict[str, Pairs]) -> None:
    found = checked(clean)
    assert found["languages"] == ["de", "en"]
    assert {part: counts["pairs"] for part, counts in found["parts"].items()} == SIZES
    assert [oddities(counts) for counts in found["parts"].values()] == [{}, {}, {}]
    assert found["examples"] == {"train": {}, "valid": {}, "test": {}}
    assert warnings(found) == []


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("Das ist &apos;s .", "das ists"),
        ("it &apos;s", "IT’S!"),
        ("ﬁnden …", "finden"),
        ("Straße", "STRASSE"),
        ("１２ ½", "12 1⁄2"),
        ("a\u00a0b\u2028c", "abc"),
    ],
)
def test_normalised_the_same(line: str, same: str) -> None:
    assert normal(line) == normal(same)


@pytest.mark.parametrize(
    ("line", "other"),
    [("schon", "schön"), ("कि", "की"), ("5", "6"), ("...", "!"), ("", "."), ("你好", "您好")],
)
def test_normalised_still_different(line: str, other: str) -> None:
    assert normal(line) != normal(other)


def test_duplicates_repeat_a_pair_of_their_own_part(clean: dict[str, Pairs]) -> None:
    (german, english), third = clean["train"][0], clean["train"][2]
    more = [(german, english), (german, english), (german, third[1]), third]
    found = checked(clean, train=more)
    assert found["parts"]["train"]["duplicates"] == 3
    assert [one["line"] for one in found["examples"]["train"]["duplicates"]] == [2001, 2002, 2004]
    assert found["parts"]["test"]["duplicates"] == 0


def test_untranslated_copies_are_more_than_numbers_and_exclamations(clean: dict[str, Pairs]) -> None:
    same = ["Home page of the project .", "Über uns: Geschichte"]
    small = ["12 , 345 . 678 901 234", "Oh !", "Okay ."]
    pairs = [(line, line) for line in small] + [(line, line.upper().replace(" .", ".")) for line in same]
    found = checked(clean, test=pairs)
    assert found["parts"]["test"]["copies"] == 2
    assert [one["source"] for one in found["examples"]["test"]["copies"]] == same


def test_lines_of_the_other_language_are_found_and_the_own_are_not(clean: dict[str, Pairs]) -> None:
    swapped = [(english, german) for german, english in clean["test"]]
    found = checked(clean | {"test": swapped})["parts"]["test"]
    assert (found["wrong_source"], found["wrong_target"]) == (100, 100)
    # Even where a tenth of the training text is wrong itself
    english = [(pair[1], pair[1]) for pair in clean["train"][:200]]
    found = checked(clean, train=english)["parts"]
    assert (found["train"]["wrong_source"], found["train"]["wrong_target"]) == (200, 0)
    assert (found["test"]["wrong_source"], found["test"]["wrong_target"]) == (0, 0)


def test_one_word_or_unknown_words_are_no_proof(clean: dict[str, Pairs]) -> None:
    pairs = [("the", "der"), ("xyzzy plugh qux", "foo bar baz"), ("", "")]
    found = checked(clean, test=pairs)["parts"]["test"]
    assert (found["wrong_source"], found["wrong_target"]) == (0, 0)


def test_length_outliers_are_far_from_the_usual_ratio(clean: dict[str, Pairs]) -> None:
    german, english = clean["train"][5]
    pairs = [(german, "Yes."), (german, ""), (german, f"{english} {english} {english}"), ("Ja.", "Yes."), ("", "")]
    found = checked(clean, test=pairs)
    assert [one["line"] for one in found["examples"]["test"]["outliers"]] == [101, 102, 103]
    # That one language needs twice the letters is usual, and no outlier
    doubled = {part: [(f"{german} {german}", english) for german, english in pairs] for part, pairs in clean.items()}
    assert checked(doubled)["parts"]["test"]["outliers"] == 0


def test_real_text_is_hardly_ever_suspected(data: Path, sample_text: Path) -> None:
    """Genuine talks: what was flagged was looked at once; all but a few were English quotations in German lines."""
    (folder,) = (sample_text / "results" / "text").iterdir()
    found = json.loads((folder / "checks.json").read_text())["parts"]
    assert found["train"] == {
        "pairs": 54124,
        "duplicates": 0,
        "copies": 27,
        "wrong_source": 16,
        "wrong_target": 0,
        "outliers": 28,
    }
    assert found["test"]["in_train_normalised"] == 0


# Leaks


def leaky(clean: dict[str, Pairs]) -> dict[str, Pairs]:
    """Of the test set five pairs are in train, two of them changed in case and punctuation; of validation one."""
    test, valid = clean["test"], clean["valid"]
    changed = [(german.upper(), english.replace(".", " !")) for german, english in test[3:5]]
    other = [(test[10][0], "Something else.")]  # the source alone
    return clean | {"train": [*clean["train"], *test[:3], *changed, *other, valid[7]]}


def test_leaks_are_counted_exactly_and_normalised(clean: dict[str, Pairs]) -> None:
    found = checked(leaky(clean))
    assert [found["parts"]["test"][name] for name in LEAKS] == [3, 5, 6]
    assert [found["parts"]["valid"][name] for name in LEAKS] == [1, 1, 1]
    assert not set(LEAKS) & found["parts"]["train"].keys()
    longest = max(clean["test"][:5], key=lambda pair: len(pair[0]))
    assert found["examples"]["test"]["in_train_normalised"][0]["source"] == longest[0]


def test_leaks_warn_loudly_and_name_the_way_out(clean: dict[str, Pairs]) -> None:
    found = checked(leaky(clean))
    valid, test = warnings(found)
    example = found["examples"]["test"]["in_train_normalised"][0]
    assert test.startswith("WARNING: 5 of 100 test pairs (5.00 %) are in train too, 3 of them character by character:")
    assert "scores are too good" in test and example["source"][:70] in test and f"line {example['line']}," in test
    assert valid.startswith("WARNING: 1 of 100 validation pairs (1.00 %)") and "checkpoint" in valid
    for line in (valid, test):
        assert 'overrides="corpus.decontaminate=true"' in line


def test_a_warning_is_no_louder_than_its_leak() -> None:
    counts = {"pairs": 1000, "in_train": 0, "in_train_normalised": 2, "source_in_train": 2}
    example = {"in_train_normalised": [{"line": 1, "source": "x" * 500, "target": "y"}]}
    few = warnings({"parts": {"valid": counts, "test": counts}, "examples": {"valid": example, "test": example}})
    assert [line.split(":")[0] for line in few] == ["Note", "WARNING"]
    assert all("hardly" in line and len(line) < 400 for line in few)
    assert leak("test", counts | {"in_train_normalised": 0}) == leak("test", {}) == ""


def raw(folder: Path, parts: dict[str, Pairs]) -> Path:
    for name, lines in lines_of(parts).items():
        write_lines(folder / name, lines)
    return folder


CONFIG = {
    "source": "de",
    "target": "en",
    "tokenizer": "moses",
    "lowercase": True,
    "min_tokens": 1,
    "max_tokens": 175,
    "max_ratio": 2.0,
    "valid_every": 23,
}


def checked_text(folder: Path) -> dict[str, Any]:
    """Check a tokenised text as the rule's command does."""
    output, errors = folder.parent / "checks.json", io.StringIO()
    words = ["--text", str(folder), "--output", str(output), "--source", "de", "--target", "en"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", ["checks", *words])
        main()
    found: dict[str, Any] = json.loads(output.read_text())
    assert errors.getvalue().splitlines() == warnings(found)
    return found["parts"] | {"warnings": errors.getvalue()}


def test_decontaminate_leaves_no_leak(
    clean: dict[str, Pairs], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = raw(tmp_path / "raw", leaky(clean))
    prepare(folder, tmp_path / "as is/tokenized", CONFIG, 1)
    before = checked_text(tmp_path / "as is/tokenized")
    assert before["test"]["in_train_normalised"] == 5 and before["warnings"].count("WARNING") == 2
    assert capsys.readouterr().out == ""
    prepare(folder, tmp_path / "out/tokenized", CONFIG | {"decontaminate": True}, 1)
    assert capsys.readouterr().err == "train: 6 pairs left out that validation or test set holds too\n"
    after = checked_text(tmp_path / "out/tokenized")
    for part in ("valid", "test"):
        assert [after[part][name] for name in LEAKS[:2]] == [0, 0]
        assert read_lines(tmp_path / f"out/tokenized/{part}.de") == read_lines(tmp_path / f"as is/tokenized/{part}.de")
    assert after["train"]["pairs"] == before["train"]["pairs"] - 6 and after["warnings"] == ""
    assert len(read_lines(tmp_path / "out/tokenized/train.both")) == 2 * after["train"]["pairs"]


def test_decontaminate_where_validation_is_split_off_train(
    clean: dict[str, Pairs], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is split off holds no test pair, and its copies leave train."""
    twice = [*clean["train"], *clean["test"][:30], *clean["train"]]
    folder = raw(tmp_path / "raw", {"train": twice, "test": clean["test"]})
    counts = prepare(folder, tmp_path / "out/tokenized", CONFIG | {"decontaminate": True}, 1)
    found = checked_text(tmp_path / "out/tokenized")
    assert found["warnings"] == ""
    assert [found[part]["in_train_normalised"] for part in ("valid", "test")] == [0, 0]
    test, valid = (set(read_lines(tmp_path / f"out/tokenized/{part}.de")) for part in ("test", "valid"))
    assert valid.isdisjoint(test)
    left_out = len(twice) - counts["train"][1] - counts["valid"][1]
    assert capsys.readouterr().err == f"train: {left_out:,} pairs left out that validation or test set holds too\n"
    assert left_out > 30


def test_decontaminate_that_leaves_nothing_is_said(clean: dict[str, Pairs], tmp_path: Path) -> None:
    folder = raw(tmp_path / "raw", {"train": clean["test"], "valid": clean["valid"], "test": clean["test"]})
    with pytest.raises(DataError, match=r"left in train .* and corpus\.decontaminate"):
        prepare(folder, tmp_path / "out", CONFIG | {"decontaminate": True}, 1)


def test_the_terminal_and_the_report_hear_of_leaks(
    clean: dict[str, Pairs], snakemake: Snakemake, fake_fairseq: dict[str, str], tmp_path: Path
) -> None:
    raw(tmp_path, {part: pairs[-500:] for part, pairs in leaky(clean).items()})
    local = "corpus.train=train corpus.valid=valid corpus.test=test text=iwslt14 text.merges=50 scoring.resamples=100"
    config = ["--config", "recipe=demo", "corpus=local", "text=small", f"overrides={local}"]
    result = snakemake(*config, env=fake_fairseq)
    assert result.returncode == 0, result.stderr
    said = result.stdout + result.stderr
    assert said.count("WARNING: 5 of 100 test pairs") == said.count("WARNING: 1 of 100 validation pairs") == 1
    assert "5 of 100 test pairs" in (tmp_path / "results/report/scores.md").read_text()
    (run,) = (tmp_path / "results/runs").iterdir()
    assert "python -m bleuprint.corpus.checks" in (run / "commands.sh").read_text()
    config[-1] += " corpus.decontaminate=true"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        (key,) = plan(experiments(dict(word.split("=", 1) for word in config[1:]))).stages["text"]
    result = snakemake(f"results/text/{key}/checks.json", *config, env=fake_fairseq)
    assert "train: 6 pairs left out" in result.stdout + result.stderr
    assert "WARNING" not in result.stdout + result.stderr


def test_only_copies_leave() -> None:
    train = [("a b .", "x"), ("A b", "X !"), ("a b", "y"), ("...", "."), ("", "")]
    assert without(train, [("a b", "x"), ("!", "?")]) == train[2:]


def test_decontaminate_is_another_text_of_the_same_corpus() -> None:
    def keys(overrides: str) -> dict[str, str]:
        (run,) = plan(experiments({"overrides": overrides})).runs
        return run.keys

    plain, clean = keys(""), keys("corpus.decontaminate=true")
    assert [stage for stage in STAGES if plain[stage] == clean[stage]] == ["corpus"]
    assert keys("corpus.decontaminate=false") == plain


def test_decontaminate_is_no_longer_the_published_text() -> None:
    plain, clean = experiments({"overrides": "corpus.decontaminate=false,true"})
    assert "valid.de" in expected(plain) and expected(clean) == "{}"
    (run,) = plan([clean]).runs
    assert json.loads(run.description)["expected"]["changed"] == {"corpus.decontaminate": [False, True]}


def test_a_dry_run_names_the_key_as_it_is_written(data: Path, sample_text: Path) -> None:
    config = f"{sample_overrides(data)} corpus.decontaminate=true"
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "-n", "text", "--config", config]
    result = subprocess.run(command, cwd=sample_text, capture_output=True, text=True)
    assert "corpus.decontaminate=True (there absent)" in result.stderr
