"""A training lasts: over many epochs it has no more processes and no more memory than in its first two."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soak
from conftest import ROOT

from bleuprint.config.flags import argv

LAYER = {"layers": 1, "embed_dim": 32, "ffn_embed_dim": 64, "attention_heads": 2}
FLAGS = (
    {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in LAYER.items()}
    | {"arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy", "optimizer": "adam"}
    | {"max_tokens": 500, "lr": 0.01, "update_epoch_batch_itr": "True", "cpu": True, "no_save": True}
    | {"user_dir": ROOT / "workflow/bleuprint/fairseq_plugin", "max_epoch": 12}
)
PAIR = {"source_lang": "de", "target_lang": "en"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Binarise a corpus of 800 made-up pairs."""
    folder, draw = tmp_path_factory.mktemp("data"), random.Random(1)
    for language in PAIR.values():
        lines = [" ".join(draw.choices("abcdefgh", k=draw.randint(3, 30))) for _ in range(800)]
        (folder / f"train.{language}").write_text("".join(f"{line}\n" for line in lines))
    prefixes = {"trainpref": folder / "train", "validpref": folder / "train", "destdir": folder / "bin"}
    subprocess.run([program("fairseq-preprocess"), *argv(PAIR | prefixes)], check=True, capture_output=True)
    return folder / "bin"


def program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


@pytest.mark.slow
@pytest.mark.alone  # shared pages count for less where another process has them, too
@pytest.mark.parametrize("how", [{}, {"num_workers": 2, "data_buffer_size": 0}, {"num_workers": 0}], ids=str)
def test_processes_and_memory_stay_as_in_the_first_two_epochs(data: Path, tmp_path: Path, how: dict[str, int]) -> None:
    command = [program("fairseq-train"), str(data), *argv(FLAGS | how)]
    epochs = soak.watch(command, tmp_path, env={"OMP_NUM_THREADS": "1"})
    assert max(epochs) == 12
    grown = soak.growth(epochs)
    assert grown["processes"] <= 1 and grown["main"] < soak.GROWTH and grown["total"] < soak.GROWTH, epochs


@pytest.mark.slow
def test_the_clock_of_a_resumed_training_runs(data: Path, tmp_path: Path) -> None:
    """fairseq restores it from the checkpoint, and does not start it again."""
    flags = {key: value for key, value in FLAGS.items() if key != "no_save"}
    flags |= {"save_dir": tmp_path / "checkpoints", "log_format": "json", "log_interval": 1, "num_workers": 0}
    seconds = []
    for epochs in (1, 6):
        command = [program("fairseq-train"), str(data), *argv(flags | {"max_epoch": epochs})]
        result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        assert result.returncode == 0, result.stderr
        seconds.append([float(value) for value in re.findall(r'"wall": "(\d+)"', result.stdout + result.stderr)])
    assert max(seconds[1]) >= 1, seconds
