"""The corpus stage: download, generate or read parallel text → raw, aligned, untokenised train, valid and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to load, and no job's program needs it
    from bleuprint.config.schema import Corpus, Runtime


def arguments(corpus: Corpus, runtime: Runtime) -> list[str]:
    """Return the arguments of `python -m bleuprint.corpus` that say where the text comes from: how, not what."""
    return corpus.arguments(runtime.mirror)
