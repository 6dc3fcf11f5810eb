"""python -m bleuprint.decoding.ctranslate: translate the segmented test source with ctranslate2; join the subwords."""

import argparse
import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.decoding.convert import POSITIONS
from bleuprint.decoding.hypotheses import write
from bleuprint.files import DataError, exit_with_message, read_lines
from bleuprint.text.segmenters import module
from bleuprint.text.tokenisers import TOKENISERS

# Options of glibc's mallopt, M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD, with their values in bytes
KEPT = {-1: 2**30, -2: 2**25, -3: 2**25}


def batches(lengths: list[int], limits: list[int], max_tokens: int) -> Iterator[list[int]]:
    """Yield batches of sentence numbers, longest sentences first, of at most `max_tokens` tokens with padding.

    Args:
        lengths: the number of tokens of each sentence, its end-of-sentence token included.
        limits: the maximal length of each sentence's hypothesis; ctranslate2 takes one limit a batch, so that
            sentences with different limits are never in the same batch.
        max_tokens: the limit on a batch; a sentence that is longer becomes a batch of its own.
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
    """Return the best hypothesis of each sentence, its subwords joined, in the order of the sentences.

    Threads and batches do not change a translation, except by the rounding of sums.

    Args:
        translator: a `ctranslate2.Translator`; each of its parallel workers takes one batch.
        sentences: each a list of tokens; an empty one is translated to an empty one.
        flags: `beam`, `lenpen`, `max_tokens`, `max_len_a`, `max_len_b`, `min_len`, with fairseq-generate's meaning,
            except that a hypothesis is limited by its own sentence's length, not by the longest of the batch; and
            `segmenter`, what the text stage used.

    Raises:
        DataError: a sentence is longer than the model's positions.
    """
    lengths = [len(tokens) + 1 for tokens in sentences]
    for number, length in enumerate(lengths, 1):
        if length > POSITIONS:
            raise DataError(
                f"test sentence {number} has {length:,} subwords, its end included, and the model reads "
                f"{POSITIONS:,} at most; shorten it."
            )
    limits = [min(int(flags.max_len_a * length + flags.max_len_b), POSITIONS - 1) for length in lengths]
    pending: dict[int, Any] = {}  # sentence number → ctranslate2's asynchronous result
    for batch in batches(lengths, limits, flags.max_tokens):
        results = translator.translate_batch(
            [sentences[number] for number in batch],
            beam_size=flags.beam,
            length_penalty=flags.lenpen,
            min_decoding_length=flags.min_len,
            max_decoding_length=limits[batch[0]],
            max_input_length=0,  # do not cut longer sentences silently
            asynchronous=True,
        )
        pending |= dict(zip(batch, results, strict=True))
    join = module(flags.segmenter).join
    return [join(pending[number].result().hypotheses[0]) for number in range(len(sentences))]


def keep_memory() -> None:
    """Keep freed memory for the next step, which needs as much again; returning it to the system costs 10 % of time."""
    if platform.libc_ver()[0] == "glibc":
        for option, value in KEPT.items():
            ctypes.CDLL(None).mallopt(option, value)


@exit_with_message()
def main() -> None:
    """Translate the test set; input that cannot be translated ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.decoding.ctranslate", description=__doc__)
    parser.add_argument("--model", required=True, help="folder written by ct2-fairseq-converter")
    parser.add_argument("--source", type=Path, required=True, help="the test set's source side, segmented")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--lenpen", type=float, default=1.0)
    parser.add_argument("--max-tokens", type=int, default=8000, help="source tokens per batch")
    parser.add_argument("--max-len-a", type=float, default=0.0)
    parser.add_argument("--max-len-b", type=int, default=200)
    parser.add_argument("--min-len", type=int, default=1)
    parser.add_argument("--compute-type", choices=["float32", "int8"], default="float32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--gpus", type=int, default=1, help="of those visible, that translate batches in parallel")
    parser.add_argument("--threads", type=int, default=1, help="batches translated in parallel, on a CPU")
    parser.add_argument("--language", required=True, help="the target language")
    parser.add_argument("--tokenizer", choices=list(TOKENISERS), default="moses", help="what the text stage used")
    parser.add_argument("--segmenter", choices=list(SEGMENTERS), default="subword_nmt", help="likewise")
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
            device_index=list(range(1 if on_cpu else arguments.gpus)),
            compute_type=arguments.compute_type,
            inter_threads=arguments.threads if on_cpu else 1,
            intra_threads=1,
        )
        hypotheses = translate(translator, [line.split() for line in read_lines(arguments.source)], arguments)
    except (RuntimeError, ValueError) as error:  # such as no GPU, a missing CUDA library, or too little memory
        other = "" if on_cpu else ', and overrides="runtime.device=cpu" without a GPU'
        raise DataError(f"ctranslate2 failed: {error}; decoding.engine=fairseq does without it{other}.") from None
    write(hypotheses, arguments.language, arguments.tokenizer, arguments.tokens, arguments.text)


if __name__ == "__main__":
    main()
