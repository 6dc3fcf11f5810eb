"""training.bf16: products in bfloat16, all else in float32; the same bits again and resumed; where it is refused."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Snakemake, fairseq_pool
from fairseq_process import trained

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.machine import device
from bleuprint.plan import costs
from bleuprint.plan.keys import plan
from bleuprint.training.checkpoints import load
from bleuprint.training.save_dir import Options, write_options

# Any checkpoint of fairseq's needs the first line: torch loads no other classes than those that are named to it
WITHOUT_THE_PLUGIN = """
import argparse, sys, torch
torch.serialization.add_safe_globals([argparse.Namespace])
from fairseq.checkpoint_utils import load_model_ensemble
(model,), cfg = load_model_ensemble([sys.argv[1]])
assert len(model.state_dict()) > 20 and not {"bleuprint", "fairseq_plugin"} & set(sys.modules)
"""


def train(folder: Path, *sessions: tuple[str, int]) -> dict[str, list[str]]:
    with fairseq_pool() as pool:
        return pool.submit(trained, folder, [*sessions]).result()


def model(folder: Path) -> dict[str, torch.Tensor]:
    state = load(folder / "checkpoint_last.pt")
    weights: dict[str, torch.Tensor] = state["model"]
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    moments = [value for one in state["last_optimizer_state"]["state"].values() for value in one.values()]
    assert {value.dtype for value in moments if isinstance(value, torch.Tensor)} == {torch.float32}
    return weights


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_products_are_in_bf16_and_the_same_seed_gives_the_same_bits_resumed_too(tmp_path: Path) -> None:
    draw = random.Random(1)
    for language in ("de", "en"):
        lines = [" ".join(draw.choices("abcdefgh", k=draw.randint(3, 9))) for _ in range(200)]
        (tmp_path / f"train.{language}").write_text("".join(f"{line}\n" for line in lines))
    sessions = [("once", 9), ("again", 9), ("resumed", 5), ("resumed", 9)]  # an epoch has more than nine batches
    for name in dict(sessions):
        write_options(tmp_path / name, Options(bf16=True))
    assert train(tmp_path, *sessions) == {
        "training": ["torch.bfloat16"],
        "validation": ["torch.float32"],
        "dropout": ["fairseq_plugin.dropout"],
    }
    once, again, resumed = (model(tmp_path / name) for name in ("once", "again", "resumed"))
    assert same(once, again) and same(once, resumed)
    assert train(tmp_path, ("float32", 9))["training"] == ["torch.float32"]
    assert not same(once, model(tmp_path / "float32"))
    plain = [sys.executable, "-c", WITHOUT_THE_PLUGIN, str(tmp_path / "once/checkpoint_last.pt")]
    result = subprocess.run(plain, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def one(**cli: Any) -> Any:
    (choice,) = experiments(cli)
    return choice


def test_it_is_part_of_the_identity_only_where_it_is_true() -> None:
    keys = [plan([one(recipe="demo", **more)]).runs[0].keys["training"] for more in ({}, {"training": "cpu_bf16"})]
    assert keys[0] == "transformer_tiny-seed1-afe8aad5" != keys[1]  # as it was before there was this key
    assert one(overrides="training.bf16=true").experiment.training.flags().get("bf16") is None
    with pytest.raises(ConfigError, match="fp16 and bf16 exclude each other"):
        one(training="cpu_bf16", overrides="training.fp16=true")


def test_the_training_command_passes_it_on(snakemake: Snakemake) -> None:
    both = snakemake("-n", "-p", "training", "--config", "recipe=demo", "training=inverse_sqrt,cpu_bf16").stdout
    resume = "python -m bleuprint.training.resume --save-dir $folder/checkpoints --choose best"
    assert both.count(f"{resume} --data") == both.count(f"{resume} --bf16 --data") == 1


def test_a_processor_without_units_for_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "gpus", lambda: ())
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    demo = one(recipe="demo", training="cpu_bf16").experiment
    for flags, refused in (("fpu avx512_bf16 avx2", False), ("fpu amx_bf16", False), ("fpu avx2", True)):
        device.CPUINFO.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
        assert bool(costs.refusal(demo, threads=2)) == refused
    assert "no bf16 units" in str(costs.refusal(demo, threads=2))
    assert costs.refusal(one(recipe="demo").experiment, threads=2) is None
    insisted = one(recipe="demo", training="cpu_bf16", overrides="runtime.device=cpu").experiment
    assert costs.refusal(insisted, threads=2) is None
    monkeypatch.setattr(device, "gpus", lambda: ("0",))
    assert costs.refusal(demo, threads=2) is None
