"""A run's model for ctranslate2: whether there can be one, and its conversion, once for all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bleuprint.files import DataError

PLUGIN = Path(__file__).parents[1] / "fairseq_plugin"
# fairseq-generate's flags that ctranslate2 has, or that change no translation
KNOWN = {"beam", "lenpen", "max_len_b", "remove_bpe", "max_tokens", "required_batch_size_multiple"}
POSITIONS = 1024  # fairseq's default of --max-source-positions and --max-target-positions, the sentence's end included


def obstacle(config: dict[str, Any]) -> str | None:
    """Why ctranslate2 cannot translate as a run does, or None if it can.

    Args:
        config: the run's resolved config.
    """
    arch = config["model"]["arch"]
    if not arch.startswith("transformer"):
        return f"ctranslate2 cannot run {arch}, only transformers"
    foreign = sorted(flags(config).keys() - KNOWN)
    return f"ctranslate2 has nothing like decoding.{foreign[0]}" if foreign else None


def flags(config: dict[str, Any]) -> dict[str, Any]:
    """fairseq-generate's flags in a run's config."""
    from bleuprint.schema import Decoding  # slow to load

    return {key: value for key, value in config["decoding"].items() if value is not None and key not in Decoding.own}


def source_limit(config: dict[str, Any]) -> int:
    """The longest sentence that a run's model can read, in subwords without the sentence's end."""
    return int((config["model"] | config["training"]).get("max_source_positions") or POSITIONS) - 1


def converted(folder: Path, checkpoint: Path, data: Path, languages: tuple[str, str], compute_type: str) -> Path:
    """The folder of a run's model as ctranslate2 reads it, made if it is not there or older than the checkpoint.

    Args:
        folder: the run's decoding stage, where it lies as `ctranslate2` or `ctranslate2-int8`.
        checkpoint: fairseq's.
        data: the text stage's `bin`, with the dictionaries.
        languages: source and target.
        compute_type: `float32` or `int8`.

    Raises:
        DataError: the model cannot be converted.
    """
    target = folder / ("ctranslate2" if compute_type == "float32" else f"ctranslate2-{compute_type}")
    model = target / "model.bin"
    if model.exists() and (not checkpoint.exists() or checkpoint.stat().st_mtime <= model.stat().st_mtime):
        return target
    if not checkpoint.exists():
        raise DataError(f"{checkpoint} is not there any more, so the model cannot be converted.")
    print("bleuprint: the model is converted for ctranslate2, this once …", file=sys.stderr, flush=True)
    temporary = folder / f".{target.name}.{os.getpid()}.part"
    try:
        convert(checkpoint, data, languages, compute_type, temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def convert(checkpoint: Path, data: Path, languages: tuple[str, str], compute_type: str, output: Path) -> None:
    """Run ctranslate2's own converter.

    Raises:
        DataError: it fails; the message ends in its own last words.
    """
    # In a process of its own: it loads fairseq and torch
    command = [sys.executable, "-m", "ctranslate2.converters.fairseq", "--model_path", checkpoint, "--data_dir", data]
    command += ["--source_lang", languages[0], "--target_lang", languages[1], "--user_dir", PLUGIN]
    command += ["--output_dir", output, *([] if compute_type == "float32" else ["--quantization", compute_type])]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        words = result.stderr.strip().splitlines()
        raise DataError(f"ctranslate2 could not convert {checkpoint}: {words[-1] if words else result.returncode}")
