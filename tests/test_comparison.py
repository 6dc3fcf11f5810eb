"""Groups, sacrebleu's paired tests, what they allow to be said, and the verdict on a published score."""

import statistics
from pathlib import Path
from typing import Any

import pytest
from made_up import METRICS, REFERENCES, make_run, noisy
from sacrebleu.significance import PairedTest

from bleuprint.files import DataError
from bleuprint.report.comparison import Comparison, Pair, cautions, compare, conclusion
from bleuprint.report.groups import baseline, groups, interval, summary
from bleuprint.report.tables import best_first, heading, score_text
from bleuprint.report.verdict import verdict
from bleuprint.scoring.metrics import scorer


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sweep(shares: dict[str, float], seeds: tuple[int, ...] = (1, 2, 3)) -> list[dict[str, Any]]:
    return [make_run(model, seed, noisy(REFERENCES, share, seed)) for model, share in shares.items() for seed in seeds]


def test_runs_that_differ_only_in_their_seed_are_a_group() -> None:
    runs = sweep({"transformer": 0.3, "lightconv": 0.1})
    first, second = groups(runs)
    assert (first.label, second.label) == ("transformer", "lightconv")
    assert list(first.seeds) == [1, 2, 3]
    scores = [run["metrics"]["chrf"]["score"] for run in runs[:3]]
    assert first.scores("chrf") == scores
    assert summary(scores) == {
        "mean": statistics.fmean(scores),
        "sd": statistics.stdev(scores),
        "min": min(scores),
        "max": max(scores),
        "n": 3,
    }
    assert [group.label for group in best_first([first, second])] == ["lightconv", "transformer"]


def test_a_group_of_one_shows_its_interval() -> None:
    run = make_run()
    (group,) = groups([run])
    metric = run["metrics"]["chrf"]
    low, high = metric["mean"] - metric["ci"], metric["mean"] + metric["ci"]
    assert metric["ci"] > 0
    assert score_text(group, "chrf") == f"{metric['score']:.2f} [{low:.2f}, {high:.2f}]"
    assert group.label == "transformer"


def test_an_interval_ends_where_scores_end() -> None:
    bleu: dict[str, Any] = {"config": METRICS["bleu_tok_lc"], "mean": 99.9, "ci": 0.2}
    assert interval(bleu) == (pytest.approx(99.7), 100)
    assert interval(bleu | {"config": {"metric": "ter"}}) == (pytest.approx(99.7), pytest.approx(100.1))
    assert interval(bleu | {"mean": 0.1}) == (0, pytest.approx(0.3))


def test_groups_are_told_apart_by_what_differs() -> None:
    beams = [make_run(overrides=[f"decoding.beam={beam}", "text.merges=9"], group=f"{beam}") for beam in (4, 8)]
    assert [group.label for group in groups(beams)] == ["decoding.beam=4", "decoding.beam=8"]
    nameless = [make_run(group="a1"), make_run(group="b2")]
    assert [group.label for group in groups(nameless)] == ["transformer a1", "transformer b2"]


def test_the_baseline_is_named_by_any_of_its_words() -> None:
    found = groups([make_run(), make_run("lightconv", overrides=["training.lr=1e-3"])])
    assert baseline(found, None).label == "transformer"
    for name in ("lightconv", "training.lr=1e-3", "lightconv training.lr=1e-3", "demo-lightconv-seed1"):
        assert baseline(found, name) is found[1]
    with pytest.raises(DataError, match=r"report\.baseline=lightcnv names no group; the groups are: transformer, "):
        baseline(found, "lightcnv")
    with pytest.raises(DataError, match="names 2 groups"):
        baseline(found, "demo")


def test_the_tests_are_sacrebleus_own() -> None:
    runs = sweep({"transformer": 0.3, "lightconv": 0.25}, (1, 2))
    base, other = groups(runs)
    found = compare(base, [other], resamples=200, workers=2)
    assert [one.metric for one in found] == list(METRICS)
    for one in found:
        for pair, ours, theirs in zip(one.pairs, other.runs, base.runs, strict=True):
            texts = [
                Path(run["stages"]["decoding"], "hypotheses.tok").read_text().splitlines() for run in (theirs, ours)
            ]
            systems = [("baseline", texts[0]), ("run", texts[1])]
            p = []
            for kind in ("bs", "ar"):
                metric = scorer(METRICS[one.metric])
                _, scores = PairedTest(systems, {"m": metric}, [REFERENCES], test_type=kind, n_samples=200)()
                p.append(next(value for name, value in scores.items() if name != "System")[1].p_value)
            assert [pair.bootstrap, pair.randomisation] == p
            scores = [run["metrics"][one.metric]["score"] for run in (theirs, ours)]
            assert pair.difference == scores[1] - scores[0]
            assert "ar:200" in pair.signatures[1] and "bs:200" in pair.signatures[0]


def test_the_tests_take_all_references() -> None:
    """With a perfect second reference each sentence of the other group is as good as it can be."""
    best = noisy(REFERENCES, 0.5, 7)
    base, other = groups(
        [
            make_run("transformer", 1, noisy(REFERENCES, 0.3, 1), further=(best,)),
            make_run("lightconv", 1, best, further=(best,)),
        ]
    )
    for one in compare(base, [other], resamples=100, workers=1):
        assert one.word == "better, one seed pair" and one.pairs[0].signatures[0].startswith("nrefs:2|")
        assert other.scores(one.metric) == [pytest.approx(100)]
    fewer = groups([make_run("dynamicconv", 1, corpus="fewer")])[0]
    assert "their references differ" in conclusion(compare(base, [fewer], resamples=100, workers=1)[0])


def test_equal_output_is_no_difference() -> None:
    """sacrebleu gives p = 1 / (resamples + 1) to two systems with the same output."""
    base, other = groups([make_run(), make_run("lightconv")])
    found = compare(base, [other], resamples=100, workers=1)
    assert {(pair.bootstrap, pair.randomisation) for one in found for pair in one.pairs} == {(1.0, 1.0)}
    assert found[0].word == "no difference shown"


def test_other_words_with_the_same_score_are_no_difference() -> None:
    """Where every resample differs by 0 sacrebleu says p = 1 / (resamples + 1) as well."""
    other_case = [line.upper() for line in noisy(REFERENCES, 0.2, 1)]
    base, other = groups([make_run(), make_run("lightconv", hypotheses=other_case)])
    one = compare(base, [other], resamples=100, workers=1)[0]
    assert one.pairs[0].difference == 0 and one.pairs[0].changed == len(REFERENCES)
    assert one.word == "no difference shown"


@pytest.mark.slow
def test_a_handful_of_sentences_proves_nothing() -> None:
    """sacrebleu's randomisation finds five sentences, all better, significant; the exact p is 2 · ½^5 = 0.06."""
    many = REFERENCES * 9
    worse = [
        " ".join("x" for _ in line.split()) if n in (7, 90, 200, 333, 500) else line for n, line in enumerate(many)
    ]
    base, other = groups([make_run("transformer", 1, worse, many), make_run("lightconv", 1, noisy(many, 0.0, 1), many)])
    one = compare(base, [other], resamples=1000, workers=1)[0]
    assert one.pairs[0].randomisation < 0.05 and one.pairs[0].bootstrap < 0.05 and one.pairs[0].changed == 5
    assert one.word == "no difference shown" and "at most 5 sentences differ" in conclusion(one)


def test_runs_without_a_partner_are_named() -> None:
    runs = sweep({"transformer": 0.4}, (1, 2, 3)) + sweep({"lightconv": 0.1}, (3, 4, 5))
    base, other = groups(runs)
    one = compare(base, [other], resamples=100, workers=1)[0]
    assert [pair.seed for pair in one.pairs] == [3] and one.unpaired == 4
    assert "seed 3 (" in conclusion(one) and "runs without a partner of the same seed, left out: 4" in conclusion(one)
    assert "one seed each" not in conclusion(one)


def test_the_heading_says_what_is_best_only_of_what_compares() -> None:
    def says(*runs: dict[str, Any]) -> str:
        found = groups(list(runs))
        return heading(found, found[0], compare(found[0], found[1:], resamples=200, workers=1))

    first, best = sweep({"transformer": 0.4, "lightconv": 0.1}, (1,))
    assert says(first) == "transformer"
    assert says(first, best) == (
        "lightconv has the best bleu_tok_lc of 2 groups; against the baseline transformer: better, one seed pair"
    )
    assert says(best, first) == "lightconv has the best bleu_tok_lc of 2 groups; the others: worse, one seed pair"
    elsewhere = make_run("dynamicconv", references=REFERENCES[:30], corpus="half")
    assert says(first, best, elsewhere) == "3 groups, not all comparable by bleu_tok_lc"


def test_a_clear_difference_over_seeds_is_found_and_stated() -> None:
    base, other = groups(sweep({"transformer": 0.4, "lightconv": 0.1}))
    one = compare(base, [other], resamples=200, workers=2)[0]
    assert one.word == "better" and one.separate
    assert "better in all 3 seed pairs" in conclusion(one) and "the two groups' scores do not overlap" in conclusion(
        one
    )
    back = compare(other, [base], resamples=200, workers=2)[0]
    assert back.word == "worse" and "worse in all 3" in conclusion(back)


def test_what_cannot_be_paired_says_why() -> None:
    base = groups([make_run()])[0]
    other_seed = groups([make_run("lightconv", 2)])[0]
    other_text = groups([make_run("dynamicconv", references=REFERENCES[:30], corpus="half")])[0]
    seeds, text = (compare(base, [group], resamples=100, workers=1)[0] for group in (other_seed, other_text))
    assert seeds.pairs == text.pairs == ()
    assert "no seed in common" in conclusion(seeds) and "their references differ" in conclusion(text)
    assert text.word == "not compared"


def pairs(*values: tuple[float, float]) -> tuple[Pair, ...]:
    return tuple(Pair(seed, gain, p, p / 2, gain > 0, 99, ()) for seed, (gain, p) in enumerate(values, 1))


@pytest.mark.parametrize(
    ("found", "separate", "word", "says"),
    [
        (pairs((1.0, 0.001)), True, "better, one seed pair", "one seed each, so no claim about training variance"),
        (
            pairs((1.0, 0.3)),
            True,
            "no difference shown",
            "seed 1 (+1.00, p = 0.300); one seed each, so no claim about training variance",
        ),
        (
            pairs((-1.0, 0.001), (-1.2, 0.01)),
            True,
            "worse",
            "worse in all 2 seed pairs (mean -1.10, largest p = 0.010)",
        ),
        (pairs((1.0, 0.001), (1.2, 0.01)), False, "better, scores overlap", "but the two groups' scores overlap"),
        (pairs((1.0, 0.001), (0.2, 0.4)), True, "not decided", "1 significantly better and 0 significantly worse"),
        (pairs((1.0, 0.001), (-1.2, 0.01)), False, "not decided", "which one is better depends on the seed"),
        (pairs((0.1, 0.2), (0.2, 0.4)), True, "no difference shown", "smallest p = 0.200"),
    ],
)
def test_conclusions(found: tuple[Pair, ...], separate: bool, word: str, says: str) -> None:
    one = Comparison("B", "A", "bleu", found, separate)
    assert one.word == word
    assert conclusion(one).startswith("B against A, bleu: ") and says in conclusion(one)


def test_both_tests_must_agree_and_many_tests_are_named() -> None:
    assert not Pair(1, 1.0, 0.01, 0.2, True, 99, ()).significant
    assert not Pair(1, 1.0, 0.2, 0.01, True, 99, ()).significant
    one = Comparison("B", "A", "bleu", pairs((1, 0.01), (1, 0.01)), True)
    assert any("2 pairs were tested over all metrics, and p is not corrected" in line for line in cautions([one]))
    assert any("few seeds" in line for line in cautions([one]))
    assert cautions([]) == []


def test_of_ter_the_lower_is_the_better() -> None:
    ter = {"ter": {"metric": "ter", "text": "tokens", "lowercase": True, "tokenize": None}}
    runs = [make_run(model, 1, noisy(REFERENCES, share, 1), metrics=ter) for model, share in (("a", 0.4), ("b", 0.1))]
    base, other = groups(runs)
    (one,) = compare(base, [other], resamples=100, workers=1)
    assert one.pairs[0].difference < 0 and one.pairs[0].better
    assert [group.label for group in best_first([base, other])] == ["b", "a"]


def expected(low: float, high: float | None, **changed: Any) -> dict[str, Any]:
    return {"metric": "bleu_tok_lc", "low": low, "high": high, "source": "a paper", "changed": changed}


def config(**corpus: Any) -> dict[str, Any]:
    return {"corpus": {"expected": corpus or None}, "training": {"checkpoint": "best", "max_update": 500}}


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0, 100, "REPRODUCED"), (0, None, "REPRODUCED"), (99, 100, "LOW"), (0, 1, "HIGH")]
)
def test_verdicts(low: float, high: float | None, word: str) -> None:
    run = make_run(expected=expected(low, high))
    found = verdict(run, config())
    assert found is not None
    assert (found["word"], found["score"]) == (word, run["metrics"]["bleu_tok_lc"]["score"])
    assert bool(found["because"]) == (word in ("LOW", "HIGH"))
    assert verdict(make_run(), config()) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"corpus.bytes": [1, 2]}, "another corpus (corpus.bytes=2, not 1)"),
        ({"source": ["de", "en"]}, "another corpus (source=en, not de)"),
        ({"training.max_epoch": [50, 5]}, "fewer updates (training.max_epoch=5, not 50)"),
        ({"training.max_update": [50, 500]}, "more updates (training.max_update=500, not 50)"),
        ({"training.max_epoch": [50, None]}, "the recipe was changed (training.max_epoch=None, not 50)"),
        ({"model.arch": ["a", "b"]}, "the recipe was changed (model.arch=b, not a)"),
    ],
)
def test_not_comparable(changed: dict[str, Any], reason: str) -> None:
    found = verdict(make_run(expected=expected(0, 100, **changed)), config())
    assert found is not None
    assert (found["word"], found["because"]) == ("NOT COMPARABLE", [reason])


@pytest.mark.parametrize("changed", [{"corpus.kind": ["iwslt14", "local"]}, {"corpus.languages": [1, 2]}])
def test_no_score_was_published_for_another_corpus(changed: dict[str, Any]) -> None:
    assert verdict(make_run(expected=expected(0, 100, **changed, **{"text.merges": [1, 2]})), config()) is None


def test_another_test_set_is_not_comparable() -> None:
    found = verdict(make_run(expected=expected(0, 100)), config(lines={"test": 6750}))
    assert found is not None
    assert found["because"] == ["another test set (60 sentences, not 6,750)"]
    tokens = config(sha256={"test.en": "0a", "valid.en": "0b"})
    found = verdict(make_run(expected=expected(0, 100)), tokens)
    assert found is not None and found["because"] == ["another test set (sha256 test.en)"]
    missing = verdict(make_run(expected=expected(0, 100) | {"metric": "ter"}), config())
    assert missing is not None and missing["because"] == ["ter was not computed"]


def test_other_training_text_is_named_even_where_the_score_is_right() -> None:
    found = verdict(make_run(expected=expected(0, 100)), config(lines={"train": 100}))
    assert found is not None and found["word"] == "REPRODUCED"
    assert found["because"] == ["the text differs from the published one (lines train)"]


def test_a_low_score_names_causes_from_the_runs_own_data() -> None:
    short = [line[: len(line) // 2] for line in REFERENCES]
    run = make_run(hypotheses=short, expected=expected(99, 100))
    found = verdict(run, config(lines={"test": 60, "train": 100}, dictionary={"en": 8848}))
    assert found is not None and found["word"] == "LOW"
    because = "; ".join(found["because"])
    for cause in (
        "the text differs from the published one (lines train)",
        "dictionary en has 10 types, not 8,848",
        "the output is too short (brevity penalty",
        "200 updates were done, of 500",
        "the recipe averages no checkpoints",
    ):
        assert cause in because
