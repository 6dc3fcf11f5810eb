"""fairseq-generate's output back in test order, complete or refused."""

from pathlib import Path

import pytest

from bleuprint.decoding.hypotheses import hypotheses
from bleuprint.decoding.tune import bleu, picked, points, translated
from bleuprint.files import DataError

GENERATED = [
    "S-2\tein hund",
    "T-2\ta dog",
    "H-2\t-0.3\ta dog .",
    "D-2\t-0.3\ta dog.",
    "H-0\t-0.1\tH-1\tnot an id",
    "H-1\t-0.2\t",
    "H-1\t-0.9\tthe second of an n-best list",
    "Generate test with beam=5: BLEU4 = 99",
]


def test_hypotheses_come_in_test_order() -> None:
    assert hypotheses(GENERATED, 3) == ["H-1\tnot an id", "", "a dog ."]


@pytest.mark.parametrize("sentences", [2, 4])
def test_a_wrong_count_is_refused(sentences: int) -> None:
    with pytest.raises(DataError, match="required_batch_size_multiple"):
        hypotheses(GENERATED, sentences)


@pytest.mark.parametrize(
    ("tokens", "segmenter"), [("a d@@ og", "subword_nmt"), ("a d@@", "subword_nmt"), ("▁a ▁d og", "sentencepiece")]
)
def test_subwords_that_were_not_joined_are_refused(tokens: str, segmenter: str) -> None:
    with pytest.raises(DataError, match="hypothesis 1 still has subwords"):
        hypotheses([f"H-0\t-0.1\t{tokens}"], 1, segmenter)


def test_a_grid_is_each_beam_with_each_penalty_once() -> None:
    found = points({"beam": [4, 8, 4], "lenpen": [0.6, 1.0]})
    assert found == [{"beam": beam, "lenpen": lenpen} for beam in (4, 8) for lenpen in (0.6, 1.0)]


def test_of_equal_scores_the_smaller_beam_then_the_penalty_nearest_to_1() -> None:
    def best(*rows: tuple[int, float, float]) -> tuple[int, float]:
        one = picked([{"beam": beam, "lenpen": lenpen, "bleu": score} for beam, lenpen, score in rows])
        return one["beam"], one["lenpen"]

    assert best((4, 1.0, 20.0), (5, 0.6, 20.001)) == (5, 0.6)
    assert best((5, 1.0, 20.0), (4, 0.6, 20.0), (8, 1.0, 20.0)) == (4, 0.6)
    assert best((4, 0.6, 20.0), (4, 1.2, 20.0), (4, 1.9, 20.0)) == (4, 1.2)
    assert best((4, 1.5, 20.0), (4, 0.5, 20.0)) == (4, 0.5)


def test_tuning_goes_by_the_metric_of_the_tokens() -> None:
    score, signature = bleu(["A dog , runs ."], ["a dog , runs ."])
    assert score == pytest.approx(100) and "case:lc" in signature and "tok:none" in signature


def test_a_failed_or_incomplete_translation_is_no_point(tmp_path: Path) -> None:
    point = {"beam": 2, "lenpen": 1.0}
    with pytest.raises(DataError, match="ended with status 3; its log says why"):
        translated(["bash", "-c", "exit 3"], point, tmp_path, 2, "subword_nmt")
    (tmp_path / "generate-valid.txt").write_text("H-0\t-0.1\ta dog\n")
    with pytest.raises(DataError, match="translated 1 of 2 sentences"):
        translated(["true"], point, tmp_path, 2, "subword_nmt")
