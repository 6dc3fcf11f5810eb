"""python -m bleuprint.text.tokenise: do the steps of prepare-iwslt14.sh from raw text to cleaned tokens."""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from bleuprint.config.languages import primary
from bleuprint.config.local_text import test_identity
from bleuprint.config.segmenters import of_text
from bleuprint.corpus.leaks import without
from bleuprint.corpus.lines import in_share
from bleuprint.files import DataError, exit_with_message, read_lines, replacing_folder, write_json, write_lines
from bleuprint.letters import lower, normalise
from bleuprint.text import cleaning, mixture
from bleuprint.text.tokenisers import TOKENISERS, sides

TestSet = tuple[list[str], list[list[str]]]  # as corpus/test_sets.py returns it: the source, and each reference
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
    raw: Path,
    output: Path,
    config: dict[str, Any],
    workers: int,
    left_out: Path | None = None,
    min_kept: float = 0.0,
    made: Sequence[Path] = (),
    test_sets: Mapping[str, TestSet] | None = None,
) -> dict[str, tuple[int, int]]:
    """Tokenise every part of `raw`, clean the training pairs, and split validation off where there is none.

    With `decontaminate`, training pairs that equal a validation or test pair after normalising are left out, and those
    that equal one of a further test set. Pairs made by a model are cleaned in the same way and follow the genuine ones,
    as mixture.py says.

    Args:
        raw: folder of PART.LANGUAGE files.
        output: folder for the tokenised PART.LANGUAGE files, and `train.both`, which BPE is learnt on.
        config: the text stage's slice.
        workers: processes.
        left_out: file for what cleaning left out of the training pairs: `pairs`, and `left_out`, their number by rule.
        min_kept: the share of the training pairs that cleaning must keep, 0 to 1; of the made ones, too.
        made: the raw source and target of pairs that a model has made; nothing if there are none.
        test_sets: with `decontaminate` the raw further test sets, by name.

    Returns:
        For each part its genuine pairs before and after.

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
            (part, language): _tokens(pool, _raw(raw / f"{part}.{language}", config), side, config)
            for part in parts
            for side, language in enumerate(languages)
        }
        for part in parts:
            pairs[part] = list(zip(*(tokenised.pop((part, language)) for language in languages), strict=True))
            before[part] = len(pairs[part])
            for side, language in enumerate(languages):
                if of_text(config) == "subword_nmt":
                    _check((pair[side] for pair in pairs[part]), raw / f"{part}.{language}")
        made_pairs, made_faults = _made(pool, made, config, limits, min_kept) if made else ([], [])
        further = {name: _pairs(pool, test_set, config) for name, test_set in (test_sets or {}).items()}
    faults = [cleaning.fault(*pair, limits) for pair in pairs["train"]]
    cleaning.check_kept(pairs["train"], faults, limits, min_kept)
    pairs["train"] = [pair for pair, reason in zip(pairs["train"], faults, strict=True) if reason is None]
    decontaminate, clean = config.get("decontaminate", False), len(pairs["train"])
    held = [pair for part in parts if part != "train" for pair in pairs[part]] if decontaminate else []
    in_further = {name: len(pairs["train"]) - len(without(pairs["train"], other)) for name, other in further.items()}
    held += [pair for other in further.values() for pair in other]
    if decontaminate:  # before the split, so that no test pair is split off either
        pairs["train"] = without(pairs["train"], held)
    if "valid" not in pairs:
        every = config["valid_every"]
        pairs["valid"] = pairs["train"][every - 1 :: every]
        pairs["train"] = [pair for number, pair in enumerate(pairs["train"], 1) if number % every]
        if decontaminate:
            pairs["train"] = without(pairs["train"], pairs["valid"])
            clean -= len(pairs["valid"])
        held += pairs["valid"]  # made pairs may be of the very text that validation is split off
    removed = clean - len(pairs["train"]) if decontaminate else 0
    if decontaminate:
        holders = "the validation set or a test set" if further else "validation or test set"
        print(f"train: {removed:,} pairs left out that {holders} holds too", file=sys.stderr)
    figures = cleaning.figures(faults, decontaminated=removed)
    if in_further:
        figures["test_sets"] = in_further
        counts = ", ".join(f"{name} {count:,}" for name, count in in_further.items())
        print(f"train: of them so many are in further test sets: {counts}", file=sys.stderr)
    train = mixture.mixed(pairs["train"], made_pairs, config)
    if made:
        train, dropped = train.without(held, config["translated"])
        figures["made"] = cleaning.figures(made_faults, **dropped)
    if made or train.bidirectional:
        figures["train"] = train.figures()
        print(f"train: {train.sentence()}")
    if left_out is not None:
        write_json(left_out, figures)
    for part, kept in pairs.items():
        if not (len(train) if part == "train" else kept):
            also = " and corpus.decontaminate" if decontaminate else ""
            raise DataError(
                f"{raw}: no pair is left in {part} after cleaning; check text.min_tokens, text.max_tokens and "
                f"text.max_ratio{also}."
            )
        for side, language in enumerate(languages):
            # A model of both directions is validated on both; the test set stays as it is
            both = part == "valid" and train.bidirectional
            written = train if part == "train" else mixture.Mixture(kept, bidirectional=both)
            write_lines(output / f"{part}.{language}", written.lines(side))
    write_lines(output / "train.both", train.once())
    return {part: (before.get(part, 0), len(kept)) for part, kept in pairs.items()}


def _raw(path: Path, config: Mapping[str, Any]) -> list[str]:
    """Return the lines of a raw file; of train only the share that is asked for."""
    lines = read_lines(path)
    return in_share(lines, tuple(config["share"])) if path.stem == "train" and "share" in config else lines


def _made(
    pool: ProcessPoolExecutor,
    files: Sequence[Path],
    config: dict[str, Any],
    limits: cleaning.Limits,
    min_kept: float,
) -> tuple[list[cleaning.Pair], list[str | None]]:
    """Tokenise and clean the pairs that a model has made, as `mixture.cleaned` does."""
    raw = mixture.read_made(files)
    unknown = mixture.with_unknown_words(*raw)
    pairs = list(zip(*(_tokens(pool, lines, side, config) for side, lines in enumerate(raw)), strict=True))
    del raw
    refused = RESERVED if of_text(config) == "subword_nmt" else None
    return mixture.cleaned(pairs, limits, min_kept, unknown, refused)


def _pairs(pool: ProcessPoolExecutor, test_set: TestSet, config: dict[str, Any]) -> list[cleaning.Pair]:
    """Return the pairs of a further test set in tokens, each source line with each of its references."""
    source, references = test_set
    tokens = [*_tokens(pool, source, 0, config)]
    return [pair for lines in references for pair in zip(tokens, _tokens(pool, lines, 1, config), strict=True)]


def _read(given: Sequence[str], mirror: Path | None, config: dict[str, Any]) -> dict[str, TestSet]:
    """Return the further test sets whose pairs are not to be in train, by name.

    Args:
        given: NAME=WHERE, with WHERE as in `corpus.tests`.
        mirror: a folder that is searched for a published set's archives before they are downloaded.
        config: the text stage's slice, whose `test_sets` they must be.

    Raises:
        DataError: one cannot be read, or has another text than the slice says.
    """
    from bleuprint.corpus.test_sets import read  # with all that checks a test set, which a text without them spares

    languages = config["source"], config["target"]
    test_sets = {}
    for name, _, where in (word.partition("=") for word in given):
        if test_identity(where, languages) not in config.get("test_sets", ()):
            raise DataError(
                f"{where}: the test set {name} has changed since the call began; run the same command again."
            )
        test_sets[name] = read(where, languages, mirror)
    return test_sets


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
    parser.add_argument("--made", type=Path, nargs=2, default=(), help="raw source and target that a model has made")
    parser.add_argument("--test-set", nargs="+", default=(), metavar="NAME=WHERE", help="not to be in train")
    parser.add_argument("--mirror", type=Path, help="folder searched for published test sets before the network")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    if bool(arguments.made) != ("translated" in config):
        parser.error("--made goes with `translated` in the config, and only with that")
    with replacing_folder(arguments.output) as folder:
        counts = prepare(
            arguments.raw,
            folder,
            config,
            arguments.workers,
            arguments.cleaning,
            arguments.min_kept,
            arguments.made,
            _read(arguments.test_set, arguments.mirror, config) if arguments.test_set else None,
        )
    for part, (before, after) in counts.items():
        print(f"{part}: {after:,} pairs" + (f" of {before:,} raw" if before else ", split off train"))


if __name__ == "__main__":
    main()
