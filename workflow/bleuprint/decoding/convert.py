"""A run's model for ctranslate2: whether there can be one, and its conversion, once for all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bleuprint.files import DataError

PLUGIN = Path(__file__).parents[1] / "fairseq_plugin"
# fairseq-generate's flags that ctranslate2 obeys in the same sense, and such as change no translation of one sentence
CARRIED = {"beam", "lenpen", "max_len_a", "max_len_b", "min_len"}
NEEDLESS = {"remove_bpe", "max_tokens", "required_batch_size_multiple"}
POSITIONS = 1024  # fairseq's default of --max-source-positions and --max-target-positions, the sentence's end included


def obstacle(config: dict[str, Any]) -> str | None:
    """Why ctranslate2 cannot translate as a run does, or None if it can.

    Args:
        config: the run's resolved config.
    """
    arch = config["model"]["arch"]
    if not arch.startswith("transformer"):
        return f"ctranslate2 cannot run {arch}, only transformers"
    foreign = sorted(flags(config).keys() - CARRIED - NEEDLESS)
    return f"ctranslate2 has nothing like decoding.{foreign[0]}" if foreign else None


def flags(config: dict[str, Any]) -> dict[str, Any]:
    """fairseq-generate's flags in a run's config."""
    from bleuprint.schema import Decoding  # slow to load

    given = {key: value for key, value in config["decoding"].items() if key not in Decoding.own}
    return {key: value for key, value in given.items() if value is not None and value is not False}


def search(options: dict[str, Any], longest: int) -> dict[str, Any]:
    """fairseq-generate's flags as arguments of ctranslate2's `translate_batch`.

    Args:
        options: as `flags` gives them.
        longest: subwords of the longest sentence of the batch, which fairseq, too, measures the output's length by.
    """
    length = int(options.get("max_len_a", 0) * (longest + 1) + options.get("max_len_b", 200))
    return {
        "beam_size": options["beam"],
        "length_penalty": options["lenpen"],
        "min_decoding_length": options.get("min_len", 1),
        "max_decoding_length": min(length, POSITIONS - 1),
        "max_input_length": 0,  # else it cuts longer ones, without a word
        "suppress_sequences": [["<blank>"]],  # fairseq's <pad>, which it never writes either
    }


def own_type(config: dict[str, Any]) -> str:
    """The compute type that a run's own decoding asks for."""
    return str(config["decoding"].get("compute_type", "float32"))


def converted(config: dict[str, Any], folders: dict[str, Path], compute_type: str) -> Path:
    """The folder of a run's model as ctranslate2 reads it, made if it is not there or older than the checkpoint.

    Args:
        config: the run's resolved config.
        folders: of its stages. In the one of decoding the model lies as `ctranslate2` if it is of the run's own compute
            type, where the pipeline may have put it, else as `ctranslate2-int8` or `ctranslate2-float32`.
        compute_type: `float32` or `int8`.

    Raises:
        DataError: the model cannot be converted.
    """
    checkpoint = folders["training"] / "checkpoint.pt"
    target = folders["decoding"] / f"ctranslate2-{compute_type}".removesuffix(f"-{own_type(config)}")
    model = target / "model.bin"
    if model.exists() and (not checkpoint.exists() or checkpoint.stat().st_mtime <= model.stat().st_mtime):
        return target
    if not checkpoint.exists():
        raise DataError(f"{checkpoint} is not there any more, so the model cannot be converted.")
    print("bleuprint: the model is converted for ctranslate2, this once …", file=sys.stderr, flush=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        convert(config, folders, compute_type, temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def convert(config: dict[str, Any], folders: dict[str, Path], compute_type: str, output: Path) -> None:
    """Run ctranslate2's own converter.

    Args:
        config: as for `converted`.
        folders: likewise.
        compute_type: likewise.
        output: a new folder.

    Raises:
        DataError: it fails; the message ends in its own last words.
    """
    checkpoint, data = folders["training"] / "checkpoint.pt", folders["text"] / "bin"
    # In a process of its own: it loads fairseq and torch
    command = [sys.executable, "-m", "ctranslate2.converters.fairseq", "--model_path", checkpoint, "--data_dir", data]
    command += ["--source_lang", config["source"], "--target_lang", config["target"], "--user_dir", PLUGIN]
    command += ["--output_dir", output, *([] if compute_type == "float32" else ["--quantization", compute_type])]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode:
        words = result.stderr.strip().splitlines()
        raise DataError(f"ctranslate2 could not convert {checkpoint}: {words[-1] if words else result.returncode}")
