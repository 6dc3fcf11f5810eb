"""Band matrices in place of fairseq's convolutions: the same outputs, gradients and random draws, and a note of it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import fairseq_pool

from bleuprint.files import write_lines
from bleuprint.record.provenance import job
from bleuprint.record.same import promise
from bleuprint.training.save_dir import add_implementations

Ask = Callable[..., Any]


def answer(function: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    import convolution_process  # brings fairseq: not into this process

    return getattr(convolution_process, function)(*arguments, **options)


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """`ask(function, *arguments, **options)`: the answer of a function of convolution_process.py."""
    with fairseq_pool() as pool:
        yield lambda function, *arguments, **options: pool.submit(answer, function, arguments, options).result()


@pytest.mark.parametrize("length", [1, 2, 5, 12])
@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("causal", [True, False])
def test_outputs_and_gradients_are_fairseqs(ask: Ask, causal: bool, kernel: int, length: int) -> None:
    common = {"causal": causal, "kernel": kernel, "length": length}
    for softmax, bias in ((True, False), (False, True)):
        options = common | {"softmax": softmax, "bias": bias}
        assert ask("layers_apart", double=True, **options) < 1e-10
        assert ask("layers_apart", double=False, **options) < 1e-5


def test_dropout_draws_as_fairseq(ask: Ask) -> None:
    assert ask("layers_apart", 9, False, kernel=3, causal=True, dropout=0.3) < 1e-5  # the same numbers
    for kept in ask("kept"):  # anew for each position, sentence and head
        assert abs(float(kept.float().mean()) - 0.7) < 0.03
        for dim in range(3):
            alike = (kept == kept.roll(1, dim)).float().mean()
            assert abs(float(alike) - (0.7**2 + 0.3**2)) < 0.04


def test_decoding_step_by_step_is_the_whole_sentence(ask: Ask) -> None:
    assert ask("steps_apart") < 1e-5


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_whole_model_trains_and_judges_the_same(ask: Ask, dropout: float) -> None:
    trained, judged = ask("models_apart", dropout)
    assert trained < 1e-4 and judged < 1e-5


def test_the_record_tells_which_implementations_ran_in_all_sessions(ask: Ask, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    write_lines(log, ["+ fairseq-train", "2026 | INFO | fairseq_plugin.layers | what a log says does not count"])
    assert "implementations" not in job(log)
    add_implementations(tmp_path / "checkpoints", ["one of an earlier session", "LightConv by fairseq's expanded"])
    for _ in range(2):
        ask("noted", tmp_path / "checkpoints")
    names = job(log)["implementations"]
    assert names[:2] == ["one of an earlier session", "LightConv by fairseq's expanded"]
    assert sorted(names[2:]) == [
        "DynamicConv by bleuprint's band matrices",
        "DynamicConv by fairseq's unfolded",  # in decoding
        "LightConv by fairseq's unfolded",
    ]


def test_no_equal_bits_are_promised_of_another_implementation() -> None:
    def stages(*layers: str) -> dict[str, Any]:
        one = {"environment": {}, "jobs": [{"commands": ["fairseq-train --cpu"], "implementations": list(layers)}]}
        return {"stages": {"training": one, "decoding": one}}

    assert promise(stages("one"), stages("one")).endswith("that was the case here.")
    assert promise(stages("one"), stages()).endswith("Not the case here: layers one → none.")


@pytest.mark.slow
def test_who_only_loads_checkpoints_is_spared_fairseq() -> None:
    script = "import sys; from bleuprint.training.checkpoints import allow; allow(); sys.exit('fairseq' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
