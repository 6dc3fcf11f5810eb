"""A run's model for ctranslate2: whether there can be one, and its conversion, once for all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bleuprint.files import DataError

PLUGIN = Path(__file__).parents[1] / "fairseq_plugin"
# fairseq's named architectures of its Transformer, the only one of its models here that ctranslate2 knows
TRANSFORMERS = {
    "transformer",
    "transformer_tiny",
    "transformer_iwslt_de_en",
    "transformer_wmt_en_de",
    "transformer_wmt_en_de_big",
    "transformer_wmt_en_de_big_t2t",
    "transformer_vaswani_wmt_en_de_big",
    "transformer_vaswani_wmt_en_fr_big",
}
ACTIVATIONS = {"relu", "gelu", "gelu_accurate", "gelu_fast", "swish"}
# What makes another model of a fairseq Transformer than ctranslate2 has: of all its flags those that its converter
# refuses, passes over, or stumbles at; and other lengths than POSITIONS
NOT_CONVERTED = {
    "adaptive_softmax_cutoff",
    "base_layers",
    "char_inputs",
    "cross_self_attention",
    "decoder_input_dim",
    "decoder_output_dim",
    "decoder_xformers_att_config",
    "encoder_xformers_att_config",
    "max_source_positions",
    "max_target_positions",
    "merge_src_tgt_embed",
    "no_cross_attention",
    "no_token_positional_embeddings",
    "quant_noise_pq",
    "quant_noise_scalar",
    "task",
}
TWINS = ("attention_heads", "normalize_before")  # ctranslate2 has one value of these for encoder and decoder
POSITIONS = 1024  # tokens of the longest sentence, fairseq's default
# The flags of fairseq-generate that ctranslate2 obeys in the same sense
CARRIED = {"beam", "lenpen", "max_tokens", "max_len_a", "max_len_b", "min_len"}
NEEDLESS = {"remove_bpe", "required_batch_size_multiple"}  # it knows nothing of BPE, and drops no sentence


def cannot(model: dict[str, Any], decoding: dict[str, Any]) -> str | None:
    """What ctranslate2 cannot do as fairseq would, words to follow its name; None if it can.

    Args:
        model: fairseq-train's flags.
        decoding: fairseq-generate's.
    """
    model, decoding = _set(model), _set(decoding)
    if model["arch"] not in TRANSFORMERS:
        return f"cannot translate with model.arch={model['arch']}, only with fairseq's Transformer"
    if wrong := sorted(NOT_CONVERTED & model.keys()):
        return f"has no {wrong[0]} as fairseq's Transformer has"
    if (activation := model.get("activation_fn", "relu")) not in ACTIVATIONS:
        return f"has no activation_fn={activation}"
    for twin in TWINS:
        if model.get(f"encoder_{twin}") != model.get(f"decoder_{twin}"):
            return f"takes the same encoder_{twin} and decoder_{twin} only"
    if unknown := sorted(decoding.keys() - CARRIED - NEEDLESS):
        return f"has nothing like decoding.{unknown[0]}"
    return None


def _set(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that a command line gets: false is as if it were not there."""
    return {key: value for key, value in flags.items() if value is not None and value is not False}


def obstacle(config: dict[str, Any]) -> str | None:
    """Why ctranslate2 cannot translate as a run does, or None if it can.

    Args:
        config: the run's resolved config.
    """
    if config["decoding"].get("ensemble"):
        return "ctranslate2 decodes no ensemble"
    reason = cannot(config["model"] | config["training"], flags(config))
    return reason and f"ctranslate2 {reason}"


def flags(config: dict[str, Any]) -> dict[str, Any]:
    """fairseq-generate's flags in a run's config."""
    from bleuprint.config.schema import Decoding  # slow to load

    return _set({key: value for key, value in config["decoding"].items() if key not in Decoding.own})


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
