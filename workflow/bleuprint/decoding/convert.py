"""Check that a run's model can be converted for ctranslate2, and convert it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bleuprint.config.known_flags import kind
from bleuprint.files import DataError
from bleuprint.training import plugins

PLUGIN = Path(__file__).parents[1] / "fairseq_plugin"
# The names of fairseq's Transformer architectures: of the models here ctranslate2 knows the Transformer only
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
# Flags of fairseq's Transformer that ctranslate2's converter refuses, ignores or fails on, and those that set other
# maximal lengths than POSITIONS
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
TWINS = ("attention_heads", "normalize_before")  # flags with one value for encoder and decoder in ctranslate2
POSITIONS = 1024  # tokens of the longest sentence, fairseq's default
# The flags of fairseq-generate that ctranslate2 has with the same meaning
CARRIED = {"beam", "lenpen", "max_tokens", "max_len_a", "max_len_b", "min_len"}
NEEDLESS = {"remove_bpe", "required_batch_size_multiple"}  # not needed: it leaves BPE as it is and drops no sentence


def cannot(model: dict[str, Any], decoding: dict[str, Any]) -> str | None:
    """Return what ctranslate2 cannot do like fairseq, as words to follow its name, or None if it can do all.

    Args:
        model: fairseq-train's flags.
        decoding: fairseq-generate's flags.
    """
    model, decoding = _set(model), _set(decoding)
    if model["arch"] not in TRANSFORMERS:
        return f"cannot translate with model.arch={model['arch']}, only with fairseq's Transformer"
    if refused := sorted(NOT_CONVERTED & model.keys()):
        return f"does not support {refused[0]} of fairseq's Transformer"
    if (activation := model.get("activation_fn", "relu")) not in ACTIVATIONS:
        return f"does not support activation_fn={activation}"
    for twin in TWINS:
        if model.get(f"encoder_{twin}") != model.get(f"decoder_{twin}"):
            return f"needs encoder_{twin} and decoder_{twin} to be equal"
    if unknown := sorted(decoding.keys() - CARRIED - NEEDLESS):
        return f"does not support decoding.{unknown[0]}"
    return None


def _set(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags that reach the command line: false and null are not rendered."""
    return {key: value for key, value in flags.items() if value is not None and value is not False}


def obstacle(config: dict[str, Any]) -> str | None:
    """Return why ctranslate2 cannot translate like the run, or None if it can.

    Args:
        config: the run's resolved config.
    """
    if config["decoding"].get("ensemble"):
        return "ctranslate2 cannot decode an ensemble"
    reason = cannot(config["model"] | config["training"], flags(config))
    return reason and f"ctranslate2 {reason}"


def flags(config: dict[str, Any]) -> dict[str, Any]:
    """Return fairseq-generate's flags in a run's config that can move a translation."""
    from bleuprint.config.schema import Decoding  # slow to load

    given = {key: value for key, value in config["decoding"].items() if key not in Decoding.own}
    return _set({key: value for key, value in given.items() if kind("decoding", key, value) != "how"})


def search(options: dict[str, Any], longest: int) -> dict[str, Any]:
    """Translate fairseq-generate's flags to arguments of ctranslate2's `translate_batch`.

    Args:
        options: flags, as `flags` returns them.
        longest: number of subwords of the batch's longest sentence, which limits the output's length in fairseq, too.
    """
    length = int(options.get("max_len_a", 0) * (longest + 1) + options.get("max_len_b", 200))
    return {
        "beam_size": options["beam"],
        "length_penalty": options["lenpen"],
        "min_decoding_length": options.get("min_len", 1),
        "max_decoding_length": min(length, POSITIONS - 1),
        "max_input_length": 0,  # do not cut longer sentences silently
        "suppress_sequences": [["<blank>"]],  # fairseq's <pad>, which fairseq never generates either
    }


def own_type(config: dict[str, Any]) -> str:
    """Return the compute type of the run's own decoding."""
    return str(config["decoding"].get("compute_type", "float32"))


def convert(config: dict[str, Any], folders: dict[str, Path], compute_type: str, output: Path) -> None:
    """Run ctranslate2's own converter.

    Args:
        config: the run's resolved config.
        folders: the folders of the run's stages.
        compute_type: `float32` or `int8`.
        output: a new folder.

    Raises:
        DataError: the converter failed; the message ends in the last line that it printed.
    """
    checkpoint = folders["training"] / "checkpoint.pt"
    place = common(folders)
    model, data = (os.path.relpath(path, place) for path in (checkpoint, folders["text"] / "bin"))
    # In a process of its own: it loads fairseq and torch
    command = [sys.executable, "-m", "ctranslate2.converters.fairseq", "--model_path", model, "--data_dir", data]
    command += ["--source_lang", config["source"], "--target_lang", config["target"]]
    command += ["--user_dir", str(user_dir(config, folders["training"]))]
    command += ["--output_dir", str(output.absolute())]
    command += [] if compute_type == "float32" else ["--quantization", compute_type]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=place)
    if result.returncode:
        words = result.stderr.strip().splitlines()
        raise DataError(f"ctranslate2 could not convert {checkpoint}: {words[-1] if words else result.returncode}")


def user_dir(config: dict[str, Any], training: Path) -> Path:
    """Return the --user-dir of a run's model: bleuprint's plugin, or that with the user's, in the training's folder."""
    return plugins.user_dir(training.absolute()) if config["model"].get("plugin") else PLUGIN


def common(folders: dict[str, Path]) -> Path:
    """Return the folder that holds the folders of all stages.

    fairseq splits paths at colons. Paths that start here have none, whatever the path of the user's folder holds.
    """
    return Path(os.path.commonpath([folder.absolute() for folder in folders.values()]))
