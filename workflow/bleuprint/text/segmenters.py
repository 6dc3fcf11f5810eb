"""Load the module of a segmenter that `text.segmenter` names; config/segmenters.py lists them."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from bleuprint.config.segmenters import SEGMENTERS


def module(name: str) -> ModuleType:
    """Return a segmenter's module, which has the class `Segmenter`, `join`, `restore` and `LEFT`."""
    return import_module(f"{__package__}.{SEGMENTERS[name].module}")


def named(config: Mapping[str, Any]) -> str:
    """Return the segmenter in a run's config; those made before there was a choice do not name one."""
    return str(config["text"].get("segmenter", "subword_nmt"))


def spells_bytes(config: Mapping[str, Any]) -> bool:
    """Tell whether the segmenter in a run's config spells characters in bytes."""
    return bool((config["text"].get("sentencepiece") or {}).get("byte_fallback"))


def path(name: str) -> Path:
    """Return the file of a segmenter's module."""
    return Path(__file__).with_name(f"{SEGMENTERS[name].module}.py")
