"""JoeyNMT beside fairseq: its environment, and a training with the same sizes, text and dictionaries.

It knows no convolutions, so that only the Transformer compares; and it forms batches of random sentences, where
fairseq forms them of sentences of about the same length. How much that alone costs is shown by a training on text
in which its own way of forming batches finds such sentences next to each other.
"""

import random
import subprocess
import sys
from pathlib import Path

import yaml
from measure import ROOT

from bleuprint.config.compose import experiments
from bleuprint.config.schema import Experiment
from bleuprint.files import read_lines, write_lines

ENVIRONMENT = ROOT / "bench" / ".joeynmt"
SAYS = "joeynmt update: "  # what joey_worker.py prints before an update's target tokens


def environment() -> Path:
    """Return the Python of JoeyNMT's own environment, which is made if it is missing."""
    python, made = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".complete"
    wanted = ROOT / "bench" / "joeynmt.txt"
    if not made.exists() or made.stat().st_mtime < wanted.stat().st_mtime:
        print("JoeyNMT's environment is made in bench/.joeynmt ...", flush=True)
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        # torch first, the same build as in the project's own environment where there is a choice
        subprocess.run([*pip, "-r", ROOT / "envs" / "torch.txt"], check=True)
        # --no-deps: what it names includes linters, data sets' readers and an old protobuf, none of which it needs here
        subprocess.run([*pip, "--no-deps", "-r", wanted], check=True)
        made.touch()
    return python


def command(python: Path, model: str, text: Path, place: Path, by_length: bool) -> list[str]:
    """Return a training's command; after each update it prints how many target tokens it held.

    Args:
        python: of its environment.
        model: a file of config/model, a Transformer.
        text: the text stage's folder.
        place: a new folder for what it reads and writes.
        by_length: whether its text is ordered so that its batches hold sentences of about the same length.
    """
    place.mkdir()
    experiment = experiments({"model": model})[0].experiment
    pairs = list(zip(*(read_lines(text / "bpe" / f"train.{language}") for language in ("de", "en")), strict=True))
    if by_length:
        pairs = batched(pairs, experiment.training.max_tokens)
    for column, language in enumerate(("de", "en")):
        write_lines(place / f"train.{language}", (pair[column] for pair in pairs))
        words = (line.partition(" ")[0] for line in read_lines(text / "bin" / f"dict.{language}.txt"))
        write_lines(place / f"words.{language}", (word for word in words if not word.startswith("madeupword")))
    settings = place / "joeynmt.yaml"
    settings.write_text(yaml.safe_dump(config(experiment, text, place, shuffle=not by_length)))
    return [str(python), str(ROOT / "bench" / "joey_worker.py"), str(settings), SAYS]


def batched(pairs: list[tuple[str, str]], max_tokens: int) -> list[tuple[str, str]]:
    """Order the pairs so that a batch of JoeyNMT's has sentences of about the same length; shuffle the batches."""

    def length(pair: tuple[str, str]) -> int:
        return max(len(side.split()) for side in pair) + 1

    batches: list[list[tuple[str, str]]] = [[]]
    for pair in sorted(pairs, key=length):
        batches[-1].append(pair)
        if length(pair) * len(batches[-1]) >= max_tokens:  # as its TokenBatchSampler does
            batches.append([])
    rest = batches.pop()
    random.Random(1).shuffle(batches)
    return [pair for batch in [*batches, rest] for pair in batch]


def config(experiment: Experiment, text: Path, place: Path, shuffle: bool) -> dict[str, object]:
    """JoeyNMT's settings for a Transformer of fairseq's sizes, trained alike."""
    model, training = experiment.model, experiment.training
    layers = {
        "type": "transformer",
        "num_layers": model.encoder_layers or 6,  # fairseq's transformer_iwslt_de_en where the config names none
        "num_heads": model.encoder_attention_heads or 4,
        "hidden_size": model.encoder_embed_dim or 512,
        "ff_size": model.encoder_ffn_embed_dim or 1024,
        "embeddings": {"embedding_dim": model.encoder_embed_dim or 512, "scale": True},
        "dropout": model.dropout,
        "layer_norm": "post",
    }
    sides = {
        side: {"lang": language, "level": "word", "voc_file": str(place / f"words.{language}")}
        for side, language in (("src", "de"), ("trg", "en"))
    }
    return {
        "name": "bench",
        "joeynmt_version": "2.3.0",
        "model_dir": str(place / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": sides | {"train": str(place / "train"), "dev": str(text / "bpe" / "valid")},
        "testing": {},
        "training": {
            "loss": "crossentropy",
            "label_smoothing": training.label_smoothing,
            "optimizer": "adam",
            "adam_betas": [0.9, 0.98],
            "weight_decay": training.weight_decay,
            "learning_rate": training.lr,
            "learning_rate_min": 0.0,
            "learning_rate_warmup": training.warmup_updates,
            "scheduling": "warmupinversesquareroot",
            "normalization": "tokens",
            "batch_type": "token",
            "batch_size": training.max_tokens,
            "shuffle": shuffle,
            "epochs": 100,
            "logging_freq": 1,
            "validation_freq": 1_000_000,
        },
        "model": {"tied_softmax": True, "encoder": layers, "decoder": layers},
    }
