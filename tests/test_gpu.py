"""fairseq's code for GPUs with bleuprint's plugin, on a CPU that looks like a GPU (fakecuda.py)."""

import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import fakecuda
import pytest
import torch
from conftest import ROOT, fairseq_pool

from bleuprint.config.flags import argv
from bleuprint.machine.cuda import LEASED
from bleuprint.training.checkpoints import allow, load
from bleuprint.training.save_dir import Options, read_implementations, write_options

pytestmark = pytest.mark.slow

PAIR = {"source_lang": "de", "target_lang": "en"}
SIZES = {"layers": 1, "embed_dim": 32, "ffn_embed_dim": 64, "attention_heads": 2}
MODEL = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in SIZES.items()}
# The first loss scale overflows, and the window lets later ones rise again within these few updates
HALF = {"fp16": True, "fp16_init_scale": 2**13, "fp16_scale_window": 3}
HOW = {"user_dir": ROOT / "workflow/bleuprint/fairseq_plugin", "distributed_world_size": 1, "num_workers": 0}
BLEU = {"eval_bleu": True, "eval_bleu_args": '{"beam": 2, "max_len_b": 9}', "eval_bleu_remove_bpe": True}
TRAINING = (
    {"arch": "transformer_iwslt_de_en", "criterion": "label_smoothed_cross_entropy", "optimizer": "adam", "lr": 0.01}
    | {"max_tokens": 200, "update_epoch_batch_itr": "True", "log_format": "json", "log_interval": 1, "max_update": 9}
    | MODEL | HALF | HOW | BLEU
)  # fmt: skip
SENTENCES = 20  # of the validation and test sets

Call = Callable[..., int]


@pytest.fixture(scope="module")
def call() -> Iterator[Call]:
    """`fakecuda.call` in a process that has loaded fairseq."""
    with fairseq_pool() as pool:
        yield lambda *arguments, **options: pool.submit(fakecuda.call, *arguments, **options).result()


@pytest.fixture(scope="module")
def data(call: Call, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Binarise a corpus of made-up pairs."""
    folder, draw = tmp_path_factory.mktemp("data"), random.Random(1)
    for split, count in {"train": 300, "valid": SENTENCES, "test": SENTENCES}.items():
        for language in PAIR.values():
            lines = [" ".join(draw.choices("abcdefgh", k=draw.randint(3, 9))) for _ in range(count)]
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines))
    prefixes = {f"{split}pref": folder / split for split in ("train", "valid", "test")}
    words = argv(PAIR | prefixes | {"destdir": folder / "bin"})
    assert call("preprocess", words, folder / "log", gpu=False) == 0
    return folder / "bin"


def words(data: Path, save_dir: Path, **flags: Any) -> list[str]:
    return [str(data), *argv(TRAINING | {"save_dir": save_dir} | flags)]


def leased() -> None:
    """Be a command that was given a GPU."""
    os.environ[LEASED] = "0"


@pytest.fixture(scope="module")
def undisturbed(call: Call, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with fp16 and eval_bleu; return the --save-dir, which also holds the log."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert call("train", words(data, folder), folder / "log", leased) == 0, (folder / "log").read_text()
    return folder


def figures(log: Path, name: str) -> list[str]:
    return re.findall(rf'"{name}": "([^"]+)"', log.read_text())


def tensors(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    """Return all tensors of a checkpoint by their place in it."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path: tensor for key, item in items for path, tensor in tensors(item, f"{name}/{key}").items()}


def test_fp16_with_eval_bleu_trains_by_the_code_for_gpus(undisturbed: Path) -> None:
    log = undisturbed / "log"
    state = load(undisturbed / "checkpoint_last.pt")
    assert state["optimizer_history"][-1]["optimizer_name"] == "FP16Optimizer"
    weights = state["model"].values()
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in weights)  # saved as float32
    assert all(float(norm) > 0.1 for norm in figures(log, "train_gnorm"))
    scales = [float(scale) for scale in figures(log, "loss_scale")]
    assert "gradient overflow detected" in log.read_text()
    assert any(one < other for one, other in pairwise(scales))
    assert len(figures(log, "valid_bleu")) == 1
    assert read_implementations(undisturbed) == []  # those of the plugin are for CPUs


def test_a_resumed_fp16_training_equals_an_undisturbed_one(
    call: Call, data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    stop = partial(signal.raise_signal, signal.SIGTERM)
    interrupt = partial(fakecuda.at_batch, "train_step", {8}, stop)
    assert call("train", words(data, tmp_path), tmp_path / "log", interrupt) == 128 + signal.SIGTERM
    assert len(figures(tmp_path / "log", "loss_scale")) > 3
    assert call("train", words(data, tmp_path), tmp_path / "log") == 0
    assert figures(tmp_path / "log", "loss_scale") == figures(undisturbed / "log", "loss_scale")
    one, other = (load(folder / "checkpoint_last.pt") for folder in (undisturbed, tmp_path))
    counters = [state["last_optimizer_state"]["bleuprint"]["counters"] for state in (one, other)]
    assert counters[0] == counters[1]
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys() and len(one) > 40
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_fairseq_without_the_plugin_resumes_it(call: Call, data: Path, undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint_last.pt").write_bytes((undisturbed / "checkpoint_last.pt").read_bytes())
    command = words(data, tmp_path, user_dir=None, max_update=10)
    assert call("train", command, tmp_path / "log", allow) == 0, (tmp_path / "log").read_text()
    assert figures(tmp_path / "log", "num_updates")[0] == "10"


def test_weights_that_are_not_those_of_the_optimizer_stay(
    call: Call, data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """As in an average of checkpoints, which keeps the last one's optimizer."""
    state = load(undisturbed / "checkpoint_last.pt")
    for tensor in state["model"].values():
        tensor.mul_(0)
    torch.save(state, tmp_path / "checkpoint_last.pt")
    command = words(data, tmp_path, max_update=10)
    assert call("train", command, tmp_path / "log") == 0
    assert "no float32 weights" in (tmp_path / "log").read_text()
    large = {
        name for name, weight in load(tmp_path / "checkpoint_last.pt")["model"].items() if weight.abs().max() > 0.1
    }
    assert large <= {"encoder.version", "decoder.version"}  # all others are one update away from zero


def test_every_sentence_is_translated_in_fp16(call: Call, data: Path, undisturbed: Path, tmp_path: Path) -> None:
    flags = {"path": undisturbed / "checkpoint_best.pt", "fp16": True, "beam": 2, "max_len_b": 9}
    flags |= HOW | {"results_path": tmp_path, "required_batch_size_multiple": 1}
    assert call("generate", [str(data), *argv(flags)], tmp_path / "log") == 0
    assert len(re.findall(r"^H-\d+\t", (tmp_path / "generate-test.txt").read_text(), re.M)) == SENTENCES


@pytest.mark.parametrize("program", ["train", "generate"])
def test_a_gpu_that_torch_cannot_use_ends_the_command(
    call: Call, data: Path, undisturbed: Path, tmp_path: Path, program: str
) -> None:
    """fairseq computes on the CPU instead, and does not say so."""
    translating = [str(data), *argv({"path": undisturbed / "checkpoint_best.pt"} | HOW)]
    command = words(data, tmp_path) if program == "train" else translating
    assert call(program, command, tmp_path / "log", leased, gpu=False) == 1
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.startswith("bleuprint: torch cannot use the GPU (") and "runtime.device=cpu" in last
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


LIGHT = {"encoder_conv_type": "lightweight", "decoder_conv_type": "lightweight"}
KERNELS = {"encoder_kernel_size_list": [3], "decoder_kernel_size_list": [3]}
VARIANTS = {
    "lightconv": {"arch": "lightconv_iwslt_de_en"} | LIGHT | KERNELS,
    "dynamicconv": {"arch": "lightconv_iwslt_de_en"} | KERNELS,
    "rdrop": {"criterion": "label_smoothed_cross_entropy_with_rdrop", "rdrop_alpha": 5.0},
    "simcut": {"criterion": "label_smoothed_cross_entropy_with_simcut"},
    "bf16": {"fp16": False},
}
IMPLEMENTATIONS = {  # the second of LightConv's is for decoding step by step
    "lightconv": ["LightConv by fairseq's expanded", "LightConv by fairseq's unfolded"],
    "dynamicconv": ["DynamicConv by fairseq's unfolded"],
}


NIGHTLY = {"dynamicconv", "simcut"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] if name in NIGHTLY else []) for name in VARIANTS]
)
def test_other_models_and_criterions_train_too(call: Call, data: Path, tmp_path: Path, name: str) -> None:
    write_options(tmp_path, Options(bf16=name == "bf16"))
    command = words(data, tmp_path, max_update=2, **VARIANTS[name])
    assert call("train", command, tmp_path / "log") == 0, (tmp_path / "log").read_text()
    assert len(figures(tmp_path / "log", "valid_bleu")) == 1
    assert read_implementations(tmp_path) == IMPLEMENTATIONS.get(name, [])


def out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_batch_that_runs_out_of_memory_ends_the_training(call: Call, data: Path, tmp_path: Path) -> None:
    """fairseq leaves it out, and trains on with status 0."""
    fault = partial(fakecuda.at_batch, "train_step", {2}, out_of_memory)
    assert call("train", words(data, tmp_path), tmp_path / "log", fault) == 1
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.startswith("torch.OutOfMemoryError: CUDA out of memory.")


def test_a_batch_of_the_validation_is_tried_twice(call: Call, data: Path, undisturbed: Path, tmp_path: Path) -> None:
    """The second time with all cached memory freed; it changes no figure."""
    fault = partial(fakecuda.at_batch, "valid_step", {1}, out_of_memory)
    assert call("train", words(data, tmp_path / "once"), tmp_path / "once.log", fault) == 0
    for name in ("valid_loss", "valid_bleu"):
        assert figures(tmp_path / "once.log", name) == figures(undisturbed / "log", name)
    fault = partial(fakecuda.at_batch, "valid_step", {1, 2}, out_of_memory)
    assert call("train", words(data, tmp_path / "twice", max_update=1), tmp_path / "twice.log", fault) == 1
    assert (tmp_path / "twice.log").read_text().splitlines()[-1].startswith("torch.OutOfMemoryError: ")
    assert not (tmp_path / "twice" / "checkpoint_best.pt").exists()
