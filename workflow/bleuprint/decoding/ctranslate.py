"""python -m bleuprint.decoding.ctranslate: the BPE'd test source translated by ctranslate2, BPE undone, in order."""

import argparse
import ctypes
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bleuprint.decoding.convert import POSITIONS
from bleuprint.decoding.hypotheses import without_bpe, write
from bleuprint.files import DataError, read_lines

# malloc.h's M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD: bytes
KEPT = {-1: 2**30, -2: 2**25, -3: 2**25}


def batches(lengths: list[int], limits: list[int], max_tokens: int) -> Iterator[list[int]]:
    """Numbers of sentences, the longest first, as many in a batch as have `max_tokens` with their padding.

    Args:
        lengths: each sentence's tokens, its end included.
        limits: the most tokens of each one's hypothesis; the same throughout a batch, which has one limit.
        max_tokens: a longer sentence is a batch of its own.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if batch and (limits[batch[0]] != limits[number] or lengths[batch[0]] * (len(batch) + 1) > max_tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def translate(translator: Any, sentences: list[list[str]], flags: argparse.Namespace) -> list[str]:
    """The best hypothesis of each sentence, BPE undone, in the sentences' order.

    Neither threads nor batches change what a sentence is translated to, but for the rounding of sums.

    Args:
        translator: a `ctranslate2.Translator`; its parallel workers take a batch each.
        sentences: each its tokens; of none ctranslate2 makes none.
        flags: `beam`, `lenpen`, `max_tokens`, `max_len_a`, `max_len_b`, `min_len`, in fairseq-generate's sense; but
            it is the sentence's own length that limits a hypothesis, not that of the longest in its batch.

    Raises:
        DataError: a sentence is longer than the model's positions.
    """
    lengths = [len(tokens) + 1 for tokens in sentences]
    for number, length in enumerate(lengths, 1):
        if length > POSITIONS:
            raise DataError(
                f"test sentence {number} has {length:,} tokens after BPE, its end included, and the model reads "
                f"{POSITIONS:,} at most; shorten it."
            )
    limits = [min(int(flags.max_len_a * length + flags.max_len_b), POSITIONS - 1) for length in lengths]
    found: dict[int, Any] = {}
    for batch in batches(lengths, limits, flags.max_tokens):
        results = translator.translate_batch(
            [sentences[number] for number in batch],
            beam_size=flags.beam,
            length_penalty=flags.lenpen,
            min_decoding_length=flags.min_len,
            max_decoding_length=limits[batch[0]],
            max_input_length=0,  # else it cuts longer ones, without a word
            asynchronous=True,
        )
        found |= dict(zip(batch, results, strict=True))
    return [without_bpe(found[number].result().hypotheses[0]) for number in range(len(sentences))]


def keep_memory() -> None:
    """Keep freed memory for the next step, which wants as much again; handing it back and forth costs a tenth."""
    if platform.libc_ver()[0] == "glibc":
        for option, value in KEPT.items():
            ctypes.CDLL(None).mallopt(option, value)


def main() -> None:
    """Entry point; input that cannot be translated ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.decoding.ctranslate", description=__doc__)
    parser.add_argument("--model", required=True, help="folder that ct2-fairseq-converter made")
    parser.add_argument("--source", type=Path, required=True, help="the test set's source side after BPE")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--lenpen", type=float, default=1.0)
    parser.add_argument("--max-tokens", type=int, default=8000, help="source tokens per batch")
    parser.add_argument("--max-len-a", type=float, default=0.0)
    parser.add_argument("--max-len-b", type=int, default=200)
    parser.add_argument("--min-len", type=int, default=1)
    parser.add_argument("--compute-type", choices=["float32", "int8"], default="float32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="batches translated at a time, on a CPU")
    parser.add_argument("--language", required=True, help="the target language")
    parser.add_argument("--tokenizer", choices=["moses", "none"], default="moses", help="what the text stage used")
    parser.add_argument("--tokens", type=Path, required=True, help="output: hypotheses as tokens")
    parser.add_argument("--text", type=Path, required=True, help="output: hypotheses detokenised")
    arguments = parser.parse_args()
    import ctranslate2  # takes a second

    on_cpu = arguments.device == "cpu"
    keep_memory()
    try:
        translator = ctranslate2.Translator(
            arguments.model,
            device=arguments.device,
            compute_type=arguments.compute_type,
            inter_threads=arguments.threads if on_cpu else 1,
            intra_threads=1,
        )
        hypotheses = translate(translator, [line.split() for line in read_lines(arguments.source)], arguments)
    except DataError as error:
        sys.exit(f"bleuprint: {error}")
    except RuntimeError as error:  # a library of CUDA that is not there, memory that does not suffice
        sys.exit(f"bleuprint: ctranslate2 failed: {error}; decoding.engine=fairseq does without it.")
    write(hypotheses, arguments.language, arguments.tokenizer, arguments.tokens, arguments.text)


if __name__ == "__main__":
    main()
