"""SentencePiece: split a line of text into pieces, and join them again.

Imports nothing of bleuprint, since it is also copied into exported folders.
"""

import re
from pathlib import Path

MARK = "\u2581"  # stands for a space, at the beginning of a piece
LEFT = re.compile(MARK)  # in a line that was not joined
BYTES = re.compile("(?:<0x[0-9A-F]{2}>)+")  # characters spelt in bytes, of a model with byte_fallback
CONTROL = dict.fromkeys([*range(0x20), 0x7F], " ")  # such bytes, ends of a line among them, become spaces


class Segmenter:
    """The model of a text stage."""

    def __init__(self, model: Path) -> None:
        """Read the model."""
        from sentencepiece import SentencePieceProcessor  # slow to load

        self.processor = SentencePieceProcessor(model_file=str(model))
        pieces = map(self.processor.id_to_piece, range(self.processor.get_piece_size()))
        self.longest = max(map(len, pieces), default=1)  # characters of the longest piece

    def segment(self, line: str) -> list[str]:
        """Return the pieces of a line."""
        pieces: list[str] = self.processor.encode(line, out_type=str)
        return pieces

    def all(self, lines: list[str], workers: int) -> list[list[str]]:
        """Return the pieces of each line; `workers` is the number of threads."""
        pieces: list[list[str]] = self.processor.encode(lines, out_type=str, num_threads=workers)
        return pieces


def join(pieces: list[str]) -> str:
    """Return the line that pieces make, as fairseq's `--remove-bpe sentencepiece` does, and characters of bytes.

    A model without byte_fallback has no piece for a byte, so that `<0x41>` in its text is several pieces.
    """
    return restore("".join(pieces).replace(MARK, " ").strip(), any(map(BYTES.fullmatch, pieces)))


def restore(line: str, byte_fallback: bool = True) -> str:
    """Return a line that fairseq joined, with the characters that bytes spell.

    Args:
        line: without marks.
        byte_fallback: the model spells characters in bytes; without it, `<0x41>` is text.
    """
    return BYTES.sub(_characters, line) if byte_fallback and "<0x" in line else line


def _characters(spelt: re.Match[str]) -> str:
    """Return the characters that bytes such as `<0xE9>` spell."""
    return bytes.fromhex(re.sub("<0x|>", "", spelt[0])).decode(errors="replace").translate(CONTROL)
