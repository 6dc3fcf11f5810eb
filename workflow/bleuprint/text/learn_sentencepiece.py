"""python -m bleuprint.text.learn_sentencepiece: learn a SentencePiece model, as `spm_train` does.

The same text gives the same model on every machine: the number of threads, which moves sums, is fixed, and of a very
large text evenly spaced lines are taken.
"""

import argparse
import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bleuprint.files import DataError, exit_with_message, replacing

LINES = 2_000_000  # that are learnt from; more need tens of gigabytes of memory
THREADS = 4
LONGEST = 4192  # bytes; SentencePiece leaves out longer lines


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, or evenly spaced ones, if there are more than LINES."""
    with open(path, "rb") as file:
        number = sum(1 for _ in file)
    with open(path, encoding="utf-8", newline="\n") as file:
        yield from (line.rstrip("\n") for line in islice(file, 0, None, max(1, -(-number // LINES))))


def learn(text: Path, settings: argparse.Namespace) -> bytes:
    """Return a SentencePiece model.

    Args:
        text: a line for each sentence, of both languages.
        settings: `vocab_size`, `model_type`, `character_coverage`, `byte_fallback`, `normalization_rule_name`.

    Raises:
        DataError: the text is too small for such a model.
    """
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=lines(text),
            model_writer=model,
            **vars(settings),
            hard_vocab_limit=settings.model_type != "unigram",
            control_symbols="<pad>",  # fairseq's symbol, so that no text becomes it
            max_sentence_length=LONGEST,
            num_threads=THREADS,
            minloglevel=1,
        )
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"{text}: SentencePiece cannot learn {settings.vocab_size:,} pieces{_way_out(str(error))}"
        ) from None
    return model.getvalue()


def _way_out(error: str) -> str:
    """Return why a model cannot be learnt, and what to do, of the trainer's words."""
    if match := re.search(r"required_chars\. \d+ vs (\d+)", error):
        return f", as the characters alone need more; set text.sentencepiece.vocab_size={match[1]} or more."
    if match := re.search(r"too high .* <= (\d+)", error):
        return f" of so little text; set text.sentencepiece.vocab_size={match[1]} or fewer."
    return f" ({error.rpartition('] ')[2].rstrip('.') or error}); set text.sentencepiece.vocab_size to another number."


@exit_with_message()
def main() -> None:
    """Learn a model from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.learn_sentencepiece", description=__doc__)
    parser.add_argument("--input", type=Path, required=True, help="text of both languages")
    parser.add_argument("--output", type=Path, required=True, help="the model")
    parser.add_argument("--vocab-size", type=int, required=True)
    parser.add_argument("--model-type", choices=["unigram", "bpe"], default="unigram")
    parser.add_argument("--character-coverage", type=float, default=0.9995)
    parser.add_argument("--byte-fallback", action="store_true")
    parser.add_argument("--normalization-rule-name", default="identity")
    parser.add_argument("--given", type=Path, help="the model of another text, to take instead of learning one")
    arguments = parser.parse_args()
    text, output, given = arguments.input, arguments.output, arguments.given
    del arguments.input, arguments.output, arguments.given
    with replacing(output, "wb") as file:
        file.write(given.read_bytes() if given else learn(text, arguments))


if __name__ == "__main__":
    main()
