"""The whole pipeline with fairseq itself: the demo, the sample archive, and the same commands typed by hand."""

import json
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
import yaml
from conftest import CPU, run_snakemake, sample_overrides
from tensorboardX.proto.event_pb2 import Event

from bleuprint.training.checkpoints import load


def report(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "results/report/scores.json").read_text())
    return rows


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_the_demo_is_learnt_by_both_architectures(demo: Path) -> None:
    rows = [json.loads(path.read_text()) for path in demo.glob("results/runs/*/scores.json")]
    assert {row["model"] for row in rows} == {"transformer_tiny", "lightconv_tiny"}
    for row in rows:
        assert row["sentences"] == 500
        assert row["metrics"]["bleu_tok_lc"]["score"] >= 80
        signature = row["metrics"]["bleu_tok_lc"]["signature"]
        assert signature.startswith("nrefs:1|bs:1000|seed:12345|case:lc|eff:no|tok:none")


def test_the_score_means_something(demo: Path) -> None:
    hypotheses = lines(only(demo, "results/runs/*transformer_tiny*/hypotheses.tok"))
    references = lines(only(demo, "results/text/*/tokenized/test.en"))
    assert sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score >= 80
    random.Random(1).shuffle(references)
    assert sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score < 10


def test_metrics_of_the_training_are_tidy(demo: Path) -> None:
    rows = [json.loads(line) for line in lines(only(demo, "results/runs/*transformer_tiny*/metrics.jsonl"))]
    valid = [row for row in rows if row["split"] == "valid"]
    assert [row["epoch"] for row in valid] == list(range(1, 9))
    assert valid[-1]["loss"] < valid[0]["loss"] / 2
    train = [row for row in rows if row["split"] == "train"]
    assert [row["updates"] for row in train] == list(range(50, train[-1]["updates"] + 1, 50))
    assert all({"loss", "lr", "words_per_second"} <= set(row) for row in train)


def test_the_lightconv_demo_trained_lightconv(demo: Path) -> None:
    """The architecture's default is DynamicConv, which has a weight-predicting layer."""
    state = load(only(demo, "results/runs/*lightconv*/checkpoint.pt"))
    assert "encoder.layers.0.conv.weight" in state["model"]
    assert not [name for name in state["model"] if "weight_linear" in name]


def test_the_record_names_the_layers_that_ran(demo: Path) -> None:
    """A training of before bleuprint's own dropout drew other bits, and only its record can tell."""
    record = json.loads(only(demo, "results/runs/*lightconv*/provenance.json").read_text())
    found = [job["implementations"] for job in record["stages"]["training"]["jobs"] if "implementations" in job]
    assert found == [["dropout by bleuprint's 16 random bits an element", "LightConv by fairseq's expanded"]]


def test_ctranslate2_translates_as_fairseq_does(demo: Path, tmp_path: Path) -> None:
    """The same model, trained once: float32 the same sentences, int8 nearly the same score."""
    demo = shutil.copytree(demo, tmp_path / "demo", symlinks=True)
    kinds = "overrides=decoding.engine=ctranslate2 decoding.compute_type=float32,int8"
    result = run_snakemake(demo, "decoding", "--config", "recipe=demo", kinds, env=CPU)
    assert result.returncode == 0, result.stderr
    assert "epoch" not in result.stderr  # the training was reused
    references = lines(only(demo, "results/text/*/tokenized/test.en"))
    found: dict[str, list[str]] = {}
    for path in demo.glob("results/decoding/transformer_tiny*/config.yaml"):
        kind = yaml.safe_load(path.read_text()).get("compute_type", "fairseq")
        found[kind] = lines(path.with_name("hypotheses.tok"))
    assert set(found) == {"fairseq", "float32", "int8"}
    same = sum(one == other for one, other in zip(found["fairseq"], found["float32"], strict=True))
    assert same >= 0.99 * 500
    bleu = {
        kind: sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score
        for kind, hypotheses in found.items()
    }
    assert abs(bleu["float32"] - bleu["fairseq"]) <= 0.1 and abs(bleu["int8"] - bleu["fairseq"]) <= 0.3


SMALL = (
    "corpus.pairs=400 corpus.valid_pairs=20 corpus.test_pairs=21 text.merges=100 training.max_update=25"
    " training.eval_bleu=true training.eval_bleu_args={beam:1,max_len_a:1.2,max_len_b:10}"
    " training.eval_bleu_remove_bpe=true training.best_checkpoint_metric=bleu"
    " training.maximize_best_checkpoint_metric=true runtime.tensorboard=true runtime.threads=1 scoring.resamples=100"
)
BY_HAND = """
fairseq-preprocess --source-lang de --target-lang en --trainpref {text}/bpe/train --validpref {text}/bpe/valid
  --testpref {text}/bpe/test --destdir bin --workers 1
fairseq-train bin --arch transformer_iwslt_de_en --encoder-layers 2 --decoder-layers 2 --encoder-embed-dim 128
  --decoder-embed-dim 128 --encoder-ffn-embed-dim 256 --decoder-ffn-embed-dim 256 --encoder-attention-heads 4
  --decoder-attention-heads 4 --dropout 0.1 --share-decoder-input-output-embed --optimizer adam
  --adam-betas (0.9,0.98) --clip-norm 0.0 --weight-decay 0.0001 --lr 0.003 --lr-scheduler inverse_sqrt
  --warmup-updates 200 --criterion label_smoothed_cross_entropy --label-smoothing 0.1 --max-tokens 2000
  --max-epoch 8 --max-update 25 --update-epoch-batch-itr True --eval-bleu
  --eval-bleu-args {{"beam":1,"max_len_a":1.2,"max_len_b":10}} --eval-bleu-remove-bpe
  --best-checkpoint-metric bleu --maximize-best-checkpoint-metric --seed 1 --cpu --save-dir checkpoints
  --user-dir {plugin}
fairseq-generate bin --path checkpoints/checkpoint_best.pt --beam 5 --remove-bpe --max-tokens 8000
  --required-batch-size-multiple 1 --results-path generated --cpu --user-dir {plugin}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory in which a small training has run."""
    folder = tmp_path_factory.mktemp("small")
    result = run_snakemake(folder, "--config", "recipe=demo", f"overrides={SMALL}", env=CPU)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
def test_the_same_commands_by_hand_give_the_same_model_and_hypotheses(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what the rules export; sums depend on the thread count
    text = only(small, "results/text/*")
    plugin = Path(__file__).parents[1] / "workflow/bleuprint/fairseq_plugin"
    commands = BY_HAND.strip().replace("\n  ", " ").splitlines()
    for command in commands:
        words = command.format(text=text, plugin=plugin).split()
        typed = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert typed.returncode == 0, typed.stderr
    for name in ("train.de-en.de.bin", "valid.de-en.en.idx", "dict.de.txt"):
        assert (tmp_path / "bin" / name).read_bytes() == (text / "bin" / name).read_bytes()
    ours, theirs = (
        load(path)["model"]
        for path in (only(small, "results/training/*/checkpoint.pt"), tmp_path / "checkpoints/checkpoint_best.pt")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    generated = [line for line in lines(tmp_path / "generated/generate-test.txt") if line.startswith("H-")]
    by_number = sorted(generated, key=lambda line: int(line.split("\t")[0][2:]))
    assert [line.split("\t")[2] for line in by_number] == lines(only(small, "results/runs/*/hypotheses.tok"))
    assert len(by_number) == 21  # no multiple of eight: the last batch is there


@pytest.mark.slow
def test_checkpoints_with_bleu_load_again_and_tensorboard_gets_its_files(small: Path) -> None:
    """With eval_bleu, as in recipe=readme, the checkpoints hold arrays of counts: they decode and they resume."""
    rows = [json.loads(line) for line in lines(only(small, "results/runs/*/metrics.jsonl"))]
    assert all("bleu" in row for row in rows if row["split"] == "valid")
    losses = [(step, value) for tag, step, value in scalars(small) if tag == "loss"]
    assert losses == [(row["updates"], pytest.approx(row["loss"], abs=1e-3)) for row in rows if row["split"] == "valid"]
    (training,) = (small / "results/training").iterdir()
    resumed = subprocess.run(
        ["bash", "-e", "-c", next(line for line in lines(training / "train.log") if "fairseq-train" in line)[2:]],
        cwd=small,
        capture_output=True,
        text=True,
    )
    assert "Loaded checkpoint" in resumed.stderr + resumed.stdout, resumed.stderr
    page = (small / "results/report/index.html").read_text()
    assert "Validation BLEU" in page


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of the validation's TensorBoard events."""
    data, found, place = only(folder, "results/training/*/tensorboard/valid/events*").read_bytes(), [], 0
    while place < len(data):  # length, its checksum, the event, its checksum
        (length,) = struct.unpack("<Q", data[place : place + 8])
        event = Event.FromString(data[place + 12 : place + 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        place += length + 16
    return found


@pytest.mark.parametrize("engine", ["ctranslate2", pytest.param("fairseq", marks=pytest.mark.nightly)])
def test_from_the_sample_archive_to_scores_of_all_sentences(data: Path, sample_text: Path, engine: str) -> None:
    """Real text, a tiny model, a few updates: every one of the 6,750 sentences is translated and scored."""
    options = (
        "training.eval_bleu=null training.best_checkpoint_metric=null training.maximize_best_checkpoint_metric=null"
        " training.max_update=30 training.warmup_updates=20 training.lr=0.003 decoding.beam=1"
        f" +decoding.min_len=5 +decoding.max_len_b=10 decoding.engine={engine} runtime.threads=1 scoring.resamples=100"
    )
    overrides = f"{sample_overrides(data)} {options}"
    result = run_snakemake(sample_text, "--config", "model=transformer_tiny", overrides, env=CPU)
    assert result.returncode == 0, result.stderr
    assert "tokenising" not in result.stderr  # the text stage was reused
    (row,) = report(sample_text)
    assert row["sentences"] == 6750
    folder = sample_text / "results/runs" / row["run"]
    hypotheses = lines(folder / "hypotheses.txt")
    assert len(hypotheses) == 6750
    assert not [line for line in lines(folder / "hypotheses.tok") if "@@" in line]
    for name in ("bleu_tok_lc", "sacrebleu_lc", "chrf"):
        assert row["metrics"][name]["score"] > 0
    raw = lines(only(sample_text, "results/corpus/*/raw/test.en"))
    expected = sacrebleu.corpus_bleu(hypotheses, [raw], lowercase=True).score
    assert row["metrics"]["sacrebleu_lc"]["score"] == expected
