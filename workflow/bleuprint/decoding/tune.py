"""python -m bleuprint.decoding.tune: try each beam with each length penalty on the validation set, and pick the best.

The words after `--` are the command that translates. For each point of the grid it is run with the point's beam and
length penalty, the name of the validation set and an output folder added. The test set is not used.
"""

import argparse
import itertools
import json
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from bleuprint.config.flags import argv, shell
from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.decoding.hypotheses import hypotheses
from bleuprint.files import (
    Damaged,
    DataError,
    exit_with_message,
    read_json,
    read_lines,
    sha256,
    write_json,
    write_lines,
)
from bleuprint.machine.memory import ended

SUBSET = "valid"
Point = dict[str, Any]  # beam, lenpen and, once tried, bleu


def points(grid: dict[str, list[Any]]) -> list[Point]:
    """Return each beam with each length penalty, without repetitions."""
    product = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return [point for number, point in enumerate(product) if point not in product[:number]]


def picked(tried: list[Point]) -> Point:
    """Return the point with the highest BLEU; of equal ones the smallest beam, then the penalty nearest to 1."""
    return min(tried, key=lambda point: (-point["bleu"], point["beam"], abs(point["lenpen"] - 1), point["lenpen"]))


def bleu(tokens: list[str], references: list[str], tokenize: str = "none") -> tuple[float, str]:
    """Return BLEU of lower-cased text, and sacrebleu's signature; of tokens (`none`) it is the score bleu_tok_lc."""
    metric = BLEU(lowercase=True, tokenize=tokenize, force=True)
    return metric.corpus_score(tokens, [references]).score, str(metric.get_signature())


def translated(
    command: list[str], point: Point, folder: Path, sentences: int, segmenter: str, byte_fallback: bool = True
) -> list[str]:
    """Translate the validation set by `command` with a point's values, and return the hypotheses in its order.

    Raises:
        DataError: the command failed or left out a sentence.
    """
    words = [*command, *argv({"gen_subset": SUBSET} | point | {"results_path": folder})]
    print("++", shlex.join(words), flush=True)  # bash traces with ++ what a traced command starts
    if status := subprocess.run(words).returncode:
        raise DataError(f"{folder}: decoding the validation set {ended(status)}; its log says why.")
    return hypotheses(read_lines(folder / f"generate-{SUBSET}.txt"), sentences, segmenter, byte_fallback)


def tried(
    command: list[str],
    point: Point,
    folder: Path,
    references: list[str],
    models: list[str],
    segmenter: str = "subword_nmt",
    tokenize: str = "none",
    byte_fallback: bool = True,
) -> Point:
    """Return a point with its `bleu`, `signature` and `models`; read from its file if these models were tried before.

    Args:
        command: the command that translates.
        point: its `beam` and `lenpen`.
        folder: the parent of all points' folders.
        references: the tokenised validation set's target side.
        models: SHA-256 of the checkpoints.
        segmenter: what the text stage used.
        tokenize: sacrebleu's tokeniser, for text that is not tokenised.
        byte_fallback: as `hypotheses` takes it.
    """
    place = folder / "-".join(f"{key}{value}" for key, value in point.items())
    path = place / "bleu.json"
    with suppress(FileNotFoundError, Damaged):
        recorded: Point = read_json(path, keys=("bleu", "signature", "models"))
        if recorded["models"] == models:
            return recorded
    tokens = translated(command, point, place, len(references), segmenter, byte_fallback)
    score, signature = bleu(tokens, references, tokenize)
    result = point | {"bleu": score, "signature": signature, "models": models}
    write_json(path, result)
    return result


@exit_with_message()
def main() -> None:
    """Try all points and write the best; a failed or incomplete translation ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.decoding.tune", description=__doc__)
    parser.add_argument("--grid", type=json.loads, required=True, help="JSON: the beams and the lenpens")
    parser.add_argument("--references", type=Path, required=True, help="the tokenised validation set's target side")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="the checkpoints, to notice a change")
    parser.add_argument("--folder", type=Path, required=True, help="output: each point's translations")
    parser.add_argument("--output", type=Path, required=True, help="output: tuned.json, the points and the best")
    parser.add_argument("--flags", type=Path, required=True, help="output: the best point as flags")
    parser.add_argument("--segmenter", choices=list(SEGMENTERS), default="subword_nmt", help="what the text stage used")
    parser.add_argument("--no-byte-fallback", action="store_true", help="of SentencePiece: <0x41> is text")
    parser.add_argument("--tokenize", default="none", help="sacrebleu's tokeniser, for text that is not tokenised")
    parser.add_argument("command", nargs="+", help="the command that translates")
    arguments = parser.parse_args()
    results, references = [], read_lines(arguments.references)
    models = [sha256(path) for path in arguments.models]
    for point in points(arguments.grid):
        undone = arguments.segmenter, arguments.tokenize, not arguments.no_byte_fallback
        results.append(tried(arguments.command, point, arguments.folder, references, models, *undone))
        print("beam {beam}, lenpen {lenpen}: BLEU {bleu:.2f} on the validation set".format(**results[-1]), flush=True)
    best = picked(results)
    choice = {key: best[key] for key in arguments.grid}
    write_lines(arguments.flags, [shell(choice)])
    rows = [{key: result[key] for key in (*arguments.grid, "bleu")} for result in results]
    facts = {"set": SUBSET, "sentences": len(references), "signature": best["signature"], "models": models}
    write_json(
        arguments.output, {"picked": choice, "bleu": best["bleu"], "grid": arguments.grid} | facts | {"points": rows}
    )
    print(f"picked: {shell(choice)}")


if __name__ == "__main__":
    main()
