"""A training lasts: over many epochs it has no more processes and no more memory than in its first two."""

import random
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fakecuda
import pytest
import soak
from conftest import ROOT, fairseq_pool

from bleuprint.config.flags import argv

LAYER = {"layers": 1, "embed_dim": 32, "ffn_embed_dim": 64, "attention_heads": 2}
FLAGS = (
    {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in LAYER.items()}
    | {"arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy", "optimizer": "adam"}
    | {"max_tokens": 500, "lr": 0.01, "update_epoch_batch_itr": "True", "cpu": True, "no_save": True}
    | {"user_dir": ROOT / "workflow/bleuprint/fairseq_plugin", "max_epoch": 12}
)
OTHERS: list[dict[str, int]] = [{"num_workers": 2, "data_buffer_size": 0}, {"num_workers": 0}]
PAIR = {"source_lang": "de", "target_lang": "en"}


Call = Callable[..., int]


@pytest.fixture(scope="module")
def call() -> Iterator[Call]:
    """`fakecuda.call` in a process that has loaded fairseq, here for commands without a GPU."""
    with fairseq_pool() as pool:
        yield lambda *arguments: pool.submit(fakecuda.call, *arguments, gpu=False).result()


@pytest.fixture(scope="module")
def data(call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Binarise a corpus of 800 made-up pairs."""
    folder, draw = tmp_path_factory.mktemp("data"), random.Random(1)
    for language in PAIR.values():
        lines = [" ".join(draw.choices("abcdefgh", k=draw.randint(3, 30))) for _ in range(800)]
        (folder / f"train.{language}").write_text("".join(f"{line}\n" for line in lines))
    prefixes = {"trainpref": folder / "train", "validpref": folder / "train", "destdir": folder / "bin"}
    assert call("preprocess", argv(PAIR | prefixes), folder / "log") == 0
    return folder / "bin"


@pytest.mark.slow
@pytest.mark.alone  # shared pages count for less where another process has them, too
@pytest.mark.parametrize("how", [{}, *(pytest.param(how, marks=pytest.mark.nightly) for how in OTHERS)], ids=str)
def test_processes_and_memory_stay_as_in_the_first_two_epochs(data: Path, tmp_path: Path, how: dict[str, int]) -> None:
    command = [str(Path(sys.executable).with_name("fairseq-train")), str(data), *argv(FLAGS | how)]
    epochs = soak.watch(command, tmp_path, env={"OMP_NUM_THREADS": "1"})
    assert max(epochs) == 12
    grown = soak.growth(epochs)
    assert grown["processes"] <= 1 and grown["main"] < soak.GROWTH and grown["total"] < soak.GROWTH, epochs


@pytest.mark.slow
def test_the_clock_of_a_resumed_training_runs(call: Call, data: Path, tmp_path: Path) -> None:
    """fairseq restores it from the checkpoint, and does not start it again."""
    flags = {key: value for key, value in FLAGS.items() if key != "no_save"}
    flags |= {"save_dir": tmp_path / "checkpoints", "log_format": "json", "log_interval": 1, "num_workers": 0}
    for epochs in (1, 6):
        log = tmp_path / f"{epochs}.log"
        assert call("train", [str(data), *argv(flags | {"max_epoch": epochs})], log) == 0, log.read_text()
    seconds = [float(value) for value in re.findall(r'"wall": "(\d+)"', log.read_text())]
    assert max(seconds) >= 1, seconds
