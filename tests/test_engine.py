"""Which engine decodes, and ctranslate2's side of it; test_end_to_end.py shows that both translate the same."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Snakemake, jobs

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.decoding.ctranslate import batches, translate
from bleuprint.decoding.engine import engine
from bleuprint.files import DataError
from bleuprint.plan.keys import plan
from bleuprint.record.provenance import logs
from bleuprint.text import bpe

ASKED = "decoding.engine=ctranslate2"


def decoding(*overrides: str, **cli: Any) -> dict[str, Any]:
    """The decoding's slice, without its parent."""
    (stage,) = plan(experiments({"overrides": list(overrides), **cli})).stages["decoding"].values()
    return {key: value for key, value in stage.slice.items() if key != "parent"}


def test_results_of_fairseq_keep_their_names_however_it_is_chosen() -> None:
    plain = decoding(model="lightconv")
    assert plain == decoding("decoding.engine=auto", "decoding.compute_type=int8", model="lightconv")
    assert not {"engine", "compute_type"} & plain.keys()


def test_ctranslate2_is_another_decoding() -> None:
    slices = [decoding(), decoding(ASKED), decoding(ASKED, "decoding.compute_type=int8")]
    assert slices[1] == slices[0] | {"engine": "ctranslate2", "compute_type": "float32"}
    assert slices[2] == slices[1] | {"compute_type": "int8"}
    assert decoding("decoding.engine=auto") == slices[1]
    (run,) = plan(experiments({"overrides": ASKED})).runs
    assert set(json.loads(run.description)["expected"]["changed"]) == {"decoding.engine", "decoding.compute_type"}


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"model": "lightconv"}, "model.arch=lightconv_iwslt_de_en"),
        ({"model": "dynamicconv"}, "model.arch=lightconv_iwslt_de_en"),
        ({"overrides": ["+model.no_cross_attention=true"]}, "no_cross_attention"),
        ({"overrides": ["+training.adaptive_softmax_cutoff='10,20'"]}, "adaptive_softmax_cutoff"),
        ({"overrides": ["+model.activation_fn=tanh"]}, "activation_fn=tanh"),
        ({"overrides": ["model.encoder_attention_heads=8"]}, "encoder_attention_heads"),
        ({"overrides": ["+model.max_source_positions=2048"]}, "max_source_positions"),
        ({"overrides": ["+decoding.sampling=true"]}, "decoding.sampling"),
        ({"overrides": ["+decoding.no_repeat_ngram_size=2"]}, "decoding.no_repeat_ngram_size"),
        ({"overrides": ["+decoding.nbest=5"]}, "decoding.nbest"),
        ({"overrides": ["+decoding.unkpen=1"]}, "decoding.unkpen"),
        ({"overrides": ["decoding.ensemble=[2]"]}, "ensemble"),
        ({"overrides": ["decoding.tune={beam:[4,5]}"]}, "grid"),
    ],
)
def test_what_ctranslate2_cannot_do_is_refused_in_one_sentence(config: dict[str, Any], word: str) -> None:
    words = config.pop("overrides", [])
    with pytest.raises(ConfigError, match=r"^decoding.engine=ctranslate2: .*; use decoding.engine=fairseq$") as refused:
        decoding(ASKED, *words, **config)
    assert word in str(refused.value)
    (choice,) = experiments({"overrides": ["decoding.engine=auto", *words], **config})
    assert engine(choice.experiment) == "fairseq"


def test_what_it_can_do_is_not_refused() -> None:
    options = ["+decoding.max_len_a=1.2", "+decoding.max_len_b=10", "+decoding.min_len=2", "+decoding.sampling=false"]
    options += ["+model.share_all_embeddings=true", "+model.activation_fn=gelu", "training.fp16=true"]
    for model in ("transformer", "transformer_tiny"):
        assert decoding("decoding.engine=auto", *options, model=model)["engine"] == "ctranslate2"


def test_fairseq_has_no_int8() -> None:
    with pytest.raises(ConfigError, match=r"compute_type=int8: .* use decoding.engine=ctranslate2"):
        decoding("decoding.compute_type=int8")


def test_the_commands(snakemake: Snakemake) -> None:
    options = "+decoding.max_len_a=1.2 runtime.threads=1 runtime.device=cpu"
    planned = snakemake("-np", "decoding", "--config", "recipe=demo", f"overrides={ASKED} {options}")
    assert jobs(planned) | {"convert": 1, "translate_converted": 1} == jobs(planned)
    assert "translate" not in jobs(planned) and "fairseq-generate" not in planned.stdout
    words = planned.stdout + planned.stderr
    assert "ct2-fairseq-converter --model_path results/training/transformer_tiny-seed1-" in words
    assert "--source_lang de --target_lang en --user_dir " in words and "--quantization" not in words
    assert "--beam 5 --lenpen 1.0 --max-tokens 8000 --max-len-a 1.2 --compute-type float32 --device cpu" in words
    assert "--device cpu --max-tokens 2000 --threads 1" in words
    both = snakemake(
        "-np",
        "decoding",
        "--config",
        "model=transformer,lightconv",
        "overrides=decoding.engine=auto decoding.compute_type=int8 runtime.device=cuda",
        env={"CUDA_VISIBLE_DEVICES": "0"},
    )
    assert jobs(both) | {"convert": 1, "translate_converted": 1, "translate": 1} == jobs(both)
    assert "--quantization int8" in both.stdout and "--compute-type int8 --device cuda" in both.stdout
    assert "python -m bleuprint.machine.lease --gpus '' python -m bleuprint.decoding.ctranslate" in both.stdout


def test_the_log_of_the_conversion_belongs_to_the_run(tmp_path: Path) -> None:
    assert [log.name for log in logs("decoding", tmp_path)] == ["translate.log"]
    (tmp_path / "convert.log").touch()
    assert [log.name for log in logs("decoding", tmp_path)] == ["convert.log", "translate.log"]


class Copier:
    """A translator that copies its source, and remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[list[str]], dict[str, Any]]] = []

    def translate_batch(self, source: list[list[str]], **options: Any) -> list[Any]:
        """As ctranslate2's."""
        self.calls.append((source, options))
        return [
            argparse.Namespace(result=lambda tokens=tokens: argparse.Namespace(hypotheses=[tokens]))
            for tokens in source
        ]


def flags(**changes: Any) -> argparse.Namespace:
    values = {"beam": 5, "lenpen": 1.5, "max_tokens": 12, "max_len_a": 0.0, "max_len_b": 200, "min_len": 1}
    values |= {"segmenter": "subword_nmt"}
    return argparse.Namespace(**values | changes)


def test_every_sentence_is_translated_once_and_in_order() -> None:
    sentences = [["w"] * (number % 7) + [f"{number}"] for number in range(50)] + [[]]
    translator = Copier()
    assert translate(translator, sentences, flags()) == [" ".join(tokens) for tokens in sentences]
    for source, options in translator.calls:
        assert len(source) == 1 or len(source) * (max(map(len, source)) + 1) <= 12
        wanted = {"beam_size": 5, "length_penalty": 1.5, "min_decoding_length": 1, "max_decoding_length": 200}
        assert wanted.items() <= options.items() and options["max_input_length"] == 0


def test_the_limit_goes_by_the_sentences_own_length() -> None:
    translator = Copier()
    translate(translator, [["a"], ["a"] * 3, ["b"]], flags(max_len_a=2.0, max_len_b=1, max_tokens=100))
    assert [(len(source), options["max_decoding_length"]) for source, options in translator.calls] == [(1, 9), (2, 5)]
    translate(translator, [["a"] * 1023], flags(max_len_a=2.0))
    assert translator.calls[-1][1]["max_decoding_length"] == 1023


def test_a_sentence_beyond_the_models_positions_is_refused() -> None:
    with pytest.raises(DataError, match=r"test sentence 2 has 1,025 subwords.* reads 1,024 at most"):
        translate(Copier(), [["a"] * 1023, ["a"] * 1024], flags())


def test_batches_do_not_hang_on_their_order_alone() -> None:
    assert list(batches([3, 9, 3, 4], [5] * 4, 8)) == [[1], [3, 0], [2]]
    assert list(batches([], [], 8)) == []


@pytest.mark.parametrize(
    ("tokens", "line"), [(["a@@", "b", "c"], "ab c"), (["a", "b@@"], "a b"), ([], ""), (["<unk>"], "<unk>")]
)
def test_bpe_is_undone_as_fairseq_does(tokens: list[str], line: str) -> None:
    assert bpe.join(tokens) == line
