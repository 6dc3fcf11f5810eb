"""COMET's models: a name that COMET downloads, or files, which count by their content."""

import hashlib
import os
from pathlib import Path

import yaml

from bleuprint.config.local_text import content_hash
from bleuprint.files import DataError, canonical

# What is read of an encoder's folder: its config and its tokeniser; the weights are in the checkpoint
READ = (".json", ".txt", ".model")


def model_path(model: str, root: Path = Path()) -> Path | None:
    """Return the path that `model` gives, or None where it is a name.

    It is a path if it begins with a slash or a dot, ends in .ckpt, or its first folder exists.

    Args:
        model: of a metric.
        root: the folder that relative paths start from.
    """
    is_path = model.startswith(("/", ".")) or model.endswith(".ckpt") or (root / model.partition("/")[0]).exists()
    return root / model if is_path else None


def checkpoint(path: Path) -> Path:
    """Return the checkpoint of a model that is given by its folder or by the checkpoint itself."""
    return path if path.suffix == ".ckpt" else path / "checkpoints" / "model.ckpt"


def folder(path: Path) -> Path:
    """Return the folder that holds a model's hparams.yaml: that above its checkpoint's."""
    return checkpoint(path).absolute().parent.parent


def encoder(path: Path) -> str:
    """Return the name of the encoder that a model builds on, as its hparams.yaml gives it.

    Raises:
        DataError: the model's files are missing or damaged.
    """
    settings = folder(path) / "hparams.yaml"
    for file in (checkpoint(path), settings):
        if not file.is_file():
            raise DataError(
                f"{file}: no such file; name a folder that holds hparams.yaml and checkpoints/model.ckpt, as COMET "
                "downloads them, or the .ckpt file in it"
            )
    try:
        name = yaml.safe_load(settings.read_text(encoding="utf-8"))["pretrained_model"]
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        name = None
    if not isinstance(name, str):
        raise DataError(f"{settings}: names no pretrained_model; take the file that belongs to the checkpoint")
    return name


def identity(model: str) -> str:
    """Return a model's name, or a hash of the files that it is loaded from.

    Raises:
        DataError: the files are missing or damaged.
    """
    if (path := model_path(model)) is None:
        return model
    name = encoder(path)
    parts = [file for file in sorted((folder(path) / name).glob("*")) if file.suffix in READ]
    files = {"model.ckpt": checkpoint(path), "hparams.yaml": folder(path) / "hparams.yaml"}
    files |= {f"{name}/{file.name}": file for file in parts}
    hashes = canonical({place: content_hash(file) for place, file in files.items()})
    return f"sha256-{hashlib.sha256(hashes.encode()).hexdigest()[:16]}"


def missing_encoder(model: str) -> str | None:
    """Return why a model's encoder has no config and tokeniser here, or None.

    They are in a folder of the encoder's name in the model's folder, or in the cache of Hugging Face.
    """
    if (path := model_path(model)) is None:
        return None
    name = encoder(path)
    place = folder(path) / name
    if (place / "config.json").is_file() or (_cache() / f"models--{name.replace('/', '--')}").is_dir():
        return None
    return (
        f"the encoder {name} of COMET's model {model} is missing: put its config.json and the files of its tokeniser "
        f"into {place}."
    )


def _cache() -> Path:
    """Return the folder in which Hugging Face's libraries keep what they have downloaded."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
