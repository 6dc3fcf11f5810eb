"""python -m bleuprint.text.tokenise: do the steps of prepare-iwslt14.sh from raw text to cleaned tokens."""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from bleuprint.config.languages import primary
from bleuprint.corpus.leaks import without
from bleuprint.files import DataError, exit_with_message, read_lines, replacing_folder, write_json, write_lines
from bleuprint.letters import lower, normalise
from bleuprint.text import cleaning
from bleuprint.text.tokenisers import TOKENISERS, sides

CHUNK = 2000  # lines per piece of work
# Token ends that undoing BPE would join to the next token, or that fairseq takes for its own symbols
RESERVED = re.compile(r"\S*(?:@@|<s>|<pad>|</s>|<unk>)(?= |$)")


def tokens_of(lines: list[str], language: str, side: int, settings: Mapping[str, Any]) -> list[str]:
    """Return each line as tokens separated by single spaces.

    Args:
        lines: raw text.
        language: its language.
        side: 0 for the source, 1 for the target.
        settings: of the text stage: `tokenizer`, `lowercase` and, in configs that have it, `unicode_normalization`.
    """
    tokenise = TOKENISERS[sides(settings["tokenizer"])[side]].tokenise
    if form := settings.get("unicode_normalization"):
        lines = [normalise(line, form) for line in lines]
    lines = [" ".join(tokenise(line, language).split()) for line in lines]
    return [lower(line, primary(language)) for line in lines] if settings["lowercase"] else lines


def prepare(
    raw: Path, output: Path, config: dict[str, Any], workers: int, left_out: Path | None = None, min_kept: float = 0.0
) -> dict[str, tuple[int, int]]:
    """Tokenise every part of `raw`, clean the training pairs, and split validation off where there is none.

    With `decontaminate`, training pairs that equal a validation or test pair after normalising are left out.

    Args:
        raw: folder of PART.LANGUAGE files.
        output: folder for the tokenised PART.LANGUAGE files, and `train.both`, which BPE is learnt on.
        config: the text stage's slice.
        workers: processes.
        left_out: file for what cleaning left out of the training pairs: `pairs`, and `left_out`, their number by rule.
        min_kept: the share of the training pairs that cleaning must keep, 0 to 1.

    Returns:
        For each part its pairs before and after.

    Raises:
        DataError: no pair is left in a part, cleaning keeps too few training pairs, or BPE or fairseq would change
            a token.
    """
    languages = config["source"], config["target"]
    parts = sorted({path.stem for path in raw.glob(f"*.{languages[0]}")})
    limits = cleaning.Limits(config["min_tokens"], config["max_tokens"], config["max_ratio"])
    pairs: dict[str, list[tuple[str, str]]] = {}
    before = {}
    with ProcessPoolExecutor(workers) as pool:
        tokenised = {
            (part, language): _tokens(pool, read_lines(raw / f"{part}.{language}"), side, config)
            for part in parts
            for side, language in enumerate(languages)
        }
        for part in parts:
            pairs[part] = list(zip(*(tokenised.pop((part, language)) for language in languages), strict=True))
            before[part] = len(pairs[part])
            for side, language in enumerate(languages):
                if config.get("segmenter", "subword_nmt") == "subword_nmt":
                    _check((pair[side] for pair in pairs[part]), raw / f"{part}.{language}")
    faults = [cleaning.fault(*pair, limits) for pair in pairs["train"]]
    cleaning.check_kept(pairs["train"], faults, limits, min_kept)
    pairs["train"] = [pair for pair, reason in zip(pairs["train"], faults, strict=True) if reason is None]
    decontaminate, clean = config.get("decontaminate", False), len(pairs["train"])
    if decontaminate:  # before the split, so that no test pair is split off either
        pairs["train"] = without(pairs["train"], [pair for part in parts if part != "train" for pair in pairs[part]])
    if "valid" not in pairs:
        every = config["valid_every"]
        pairs["valid"] = pairs["train"][every - 1 :: every]
        pairs["train"] = [pair for number, pair in enumerate(pairs["train"], 1) if number % every]
        if decontaminate:
            pairs["train"] = without(pairs["train"], pairs["valid"])
            clean -= len(pairs["valid"])
    removed = clean - len(pairs["train"]) if decontaminate else 0
    if decontaminate:
        print(f"train: {removed:,} pairs left out that validation or test set holds too", file=sys.stderr)
    if left_out is not None:
        write_json(left_out, cleaning.figures(faults, removed))
    for part, kept in pairs.items():
        if not kept:
            also = " and corpus.decontaminate" if decontaminate else ""
            raise DataError(
                f"{raw}: no pair is left in {part} after cleaning; check text.min_tokens, text.max_tokens and "
                f"text.max_ratio{also}."
            )
        for side, language in enumerate(languages):
            write_lines(output / f"{part}.{language}", (pair[side] for pair in kept))
    # prepare-iwslt14.sh learns BPE on the source side followed by the target side
    write_lines(output / "train.both", (pair[side] for side in (0, 1) for pair in pairs["train"]))
    return {part: (before.get(part, 0), len(kept)) for part, kept in pairs.items()}


def _tokens(pool: ProcessPoolExecutor, lines: list[str], side: int, config: dict[str, Any]) -> Iterator[str]:
    language = config[("source", "target")[side]]
    work = partial(tokens_of, language=language, side=side, settings=config)
    return (line for chunk in pool.map(work, _chunks(lines)) for line in chunk)


def _check(lines: Iterable[str], path: Path) -> None:
    """Refuse reserved tokens; Moses splits or escapes them, so only text that was tokenised before can hold one."""
    for number, line in enumerate(lines, 1):
        if reserved := RESERVED.search(line):
            raise DataError(
                f"{path}, line {number}: the token {reserved[0][:100]!r} ends in BPE's mark (@@) or a symbol of "
                f"fairseq; undo BPE if the text has it, rename the symbol, or use text.tokenizer=moses."
            )


def _chunks(lines: Iterable[str]) -> Iterator[list[str]]:
    lines = iter(lines)
    while chunk := list(islice(lines, CHUNK)):
        yield chunk


@exit_with_message()
def main() -> None:
    """Prepare a corpus from the command line; bad input ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.tokenise", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the text stage's config.yaml")
    parser.add_argument("--raw", type=Path, required=True, help="the corpus stage's PART.LANGUAGE files")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cleaning", type=Path, required=True, help="JSON file for what was left out")
    parser.add_argument("--min-kept", type=float, default=0.0, help="share of the training pairs to keep at least")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    with replacing_folder(arguments.output) as folder:
        counts = prepare(arguments.raw, folder, config, arguments.workers, arguments.cleaning, arguments.min_kept)
    for part, (before, after) in counts.items():
        print(f"{part}: {after:,} pairs" + (f" of {before:,} raw" if before else ", split off train"))


if __name__ == "__main__":
    main()
