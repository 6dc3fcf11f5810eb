"""GPUs: as CUDA's driver names them, and confirmed by the process that computes."""

import ctypes
import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ROOT

from bleuprint.machine import cuda
from bleuprint.record.provenance import job

UUIDS = [uuid.UUID("8932f937-d72c-4106-c12f-20bd9faed9f6"), uuid.UUID("00000000-0000-0000-0000-000000000001")]


class Driver:
    """CUDA's driver with two GPUs, as ctypes calls it; `status` is that of its start."""

    def __init__(self, status: int = 0) -> None:
        self.status = status

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = len(UUIDS)
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:
        device._obj.value = 10 + number
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = f"NVIDIA H{device.value}".encode()
        return 0

    def cuDeviceGetUuid_v2(self, octets: Any, device: Any) -> int:
        octets.raw = UUIDS[device.value - 10].bytes
        return 0


def test_gpus_are_those_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert cuda.devices() == [
        cuda.Gpu("NVIDIA H10", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"),
        cuda.Gpu("NVIDIA H11", "GPU-00000000-0000-0000-0000-000000000001"),
    ]
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(100))
    with pytest.raises(OSError, match="error 100"):
        cuda.devices()


def stand_in(folder: Path, script: str) -> str:
    """Write a program that does `script` where Python would ask the driver or torch."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_broken_driver_neither_hangs_nor_crashes_who_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers = {
        'echo a warning; echo "[{\\"name\\": \\"H$CUDA_VISIBLE_DEVICES\\", \\"uuid\\": \\"GPU-1\\"}]"': [
            cuda.Gpu("H7", "GPU-1")
        ],
        "kill -11 $$": [],
        "echo OSError: libcuda.so.1 >&2; exit 1": [],
        "exec sleep 60": [],
    }
    monkeypatch.setattr(cuda, "PATIENCE", 1)
    for script, gpus in answers.items():
        monkeypatch.setattr(sys, "executable", stand_in(tmp_path, script))
        assert cuda.ask_driver("7") == gpus
    assert cuda.ask_torch() == "no answer within 1 seconds"
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, "kill -11 $$"))
    assert cuda.ask_torch() == "a process that asked ended with status -11"
    monkeypatch.setattr(sys, "executable", stand_in(tmp_path, "echo null"))
    assert cuda.ask_torch() is None


def test_a_gpu_that_torch_cannot_use_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("\nFound no NVIDIA driver on your system.\nPlease check")

    def compute(number: int) -> Any:
        raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device\nCUDA …")

    used: list[int] = []
    zero = torch.zeros(1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    assert cuda.unusable() == "Found no NVIDIA driver on your system."
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", lambda size: SimpleNamespace(cuda=compute))
    assert cuda.unusable() == "CUDA error: no kernel image is available for execution on the device"
    monkeypatch.setattr(torch, "ones", lambda size: SimpleNamespace(cuda=lambda number: used.append(number) or zero))
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert cuda.unusable() is None
    assert used == [1]  # of several processes on one machine each asks its own GPU


def test_only_who_was_given_a_gpu_confirms_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "unusable", lambda: "No CUDA GPUs are available")
    monkeypatch.delenv(cuda.LEASED, raising=False)
    cuda.confirm()
    monkeypatch.setenv(cuda.LEASED, "0")
    with pytest.raises(
        SystemExit, match=r"bleuprint: torch cannot use the GPU \(No CUDA GPUs are available\): install"
    ):
        cuda.confirm()


def test_the_record_names_the_gpus_of_a_job(tmp_path: Path) -> None:
    """A training that was stopped and resumed may have had several."""
    h100, h200 = (f"NVIDIA H{number} (GPU-{number}), driver 550.54.15" for number in (100, 200))
    log = tmp_path / "train.log"
    log.write_text("".join(f"{cuda.COMPUTES}{gpu}\nCUDA_VISIBLE_DEVICES=0\n" for gpu in (h100, h200, h100)))
    assert job(log)["gpus"] == [h100, h200]
    log.write_text("CUDA_VISIBLE_DEVICES=0\n")
    assert "gpus" not in job(log)


@pytest.mark.slow
def test_fairseq_ends_where_the_gpu_that_it_was_given_cannot_be_used() -> None:
    """The plugin is loaded by --user-dir, and ends the command before fairseq chooses the CPU."""
    folder = str(ROOT / "workflow" / "bleuprint")
    script = (
        f"import sys; sys.path.insert(0, {folder!r}); sys.modules['fairseq_cli.train'] = sys; import fairseq_plugin"
    )
    env = os.environ | {cuda.LEASED: "0", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("bleuprint: torch cannot use the GPU ("), result.stderr
    assert 'overrides="runtime.device=cpu"' in result.stderr
