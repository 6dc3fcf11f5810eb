"""python -m bleuprint.decoding.ctranslate: the BPE'd test source translated by ctranslate2, BPE undone, in order."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bleuprint.decoding.engine import POSITIONS
from bleuprint.decoding.hypotheses import write
from bleuprint.files import DataError, read_lines


def batches(lengths: list[int], max_tokens: int) -> Iterator[list[int]]:
    """Numbers of sentences, the longest first, as many in a batch as have `max_tokens` with their padding.

    Args:
        lengths: each sentence's tokens, its end included.
        max_tokens: a longer sentence is a batch of its own.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def longest(source: int, max_len_a: float, max_len_b: int) -> int:
    """The most tokens of a hypothesis, as fairseq counts: of its batch's longest source, the end included."""
    return min(int(max_len_a * source + max_len_b), POSITIONS - 1)


def translate(translator: Any, sentences: list[list[str]], flags: argparse.Namespace) -> list[str]:
    """The best hypothesis of each sentence, BPE undone, in the sentences' order.

    The batches do not hang on the number of threads, and each is searched alone: nor do the hypotheses.

    Args:
        translator: a `ctranslate2.Translator`; its parallel workers take a batch each.
        sentences: each its tokens.
        flags: `beam`, `lenpen`, `max_tokens`, `max_len_a`, `max_len_b`, `min_len`, in fairseq-generate's sense.

    Raises:
        DataError: a sentence is longer than the model's positions.
    """
    lengths = [len(tokens) + 1 for tokens in sentences]
    if lengths and max(lengths) > POSITIONS:
        raise DataError(
            f"test sentence {lengths.index(max(lengths)) + 1} has {max(lengths)} tokens after BPE, its end included, "
            f"and the model reads {POSITIONS} at most; shorten it."
        )
    found: dict[int, Any] = {}
    for batch in batches(lengths, flags.max_tokens):
        results = translator.translate_batch(
            [sentences[number] for number in batch],
            beam_size=flags.beam,
            length_penalty=flags.lenpen,
            min_decoding_length=flags.min_len,
            max_decoding_length=longest(lengths[batch[0]], flags.max_len_a, flags.max_len_b),
            max_input_length=0,  # else it cuts longer ones, without a word
            asynchronous=True,
        )
        found |= dict(zip(batch, results, strict=True))
    return [without_bpe(found[number].result().hypotheses[0]) for number in range(len(sentences))]


def without_bpe(tokens: list[str]) -> str:
    """The tokens as a line, BPE undone; as fairseq's `post_process` does."""
    return (" ".join(tokens) + " ").replace("@@ ", "").rstrip()


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

    try:
        translator = ctranslate2.Translator(
            arguments.model,
            device=arguments.device,
            compute_type=arguments.compute_type,
            inter_threads=arguments.threads if arguments.device == "cpu" else 1,
            intra_threads=1,
        )
        lines = read_lines(arguments.source)
        hypotheses = translate(translator, [line.split() for line in lines], arguments)
    except DataError as error:
        sys.exit(f"bleuprint: {error}")
    write(hypotheses, arguments.language, arguments.tokenizer, arguments.tokens, arguments.text)


if __name__ == "__main__":
    main()
