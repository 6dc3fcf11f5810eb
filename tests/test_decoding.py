"""fairseq-generate's output back in test order, complete or refused."""

import pytest

from bleuprint.decoding.hypotheses import hypotheses
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


@pytest.mark.parametrize("tokens", ["a d@@ og", "a d@@"])
def test_a_bpe_marker_is_refused(tokens: str) -> None:
    with pytest.raises(DataError, match="hypothesis 1 still has a BPE marker"):
        hypotheses([f"H-0\t-0.1\t{tokens}"], 1)
