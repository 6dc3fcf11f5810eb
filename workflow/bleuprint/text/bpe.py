"""BPE by subword-nmt: split a line of tokens into subwords, and join them again.

Imports nothing of bleuprint, since it is also copied into exported folders.
"""

import re
from pathlib import Path

MARK = "@@"  # ends each subword but the last of a word
LEFT = re.compile(f"{MARK}( |$)")  # in a line that was not joined


class Segmenter:
    """The merges of a text stage."""

    def __init__(self, model: Path) -> None:
        """Read the merges."""
        from subword_nmt.apply_bpe import BPE  # slow to load

        with open(model, encoding="utf-8", newline="\n") as codes:
            self._bpe = BPE(codes)
        # characters of the longest subword
        self.longest = max((len("".join(pair).removesuffix("</w>")) for pair in self._bpe.bpe_codes), default=1)

    def segment(self, line: str) -> list[str]:
        """Return the subwords of a line of tokens separated by spaces."""
        subwords: list[str] = self._bpe.process_line(line).split()
        return subwords


def join(subwords: list[str]) -> str:
    """Return the line of tokens that subwords make, as fairseq's `--remove-bpe` does."""
    return (" ".join(subwords) + " ").replace(f"{MARK} ", "").rstrip()


def restore(line: str, byte_fallback: bool = False) -> str:
    """Return a line that fairseq joined; nothing is left to undo."""
    return line
