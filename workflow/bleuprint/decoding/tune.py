"""python -m bleuprint.decoding.tune: try each beam with each length penalty on the validation set, and pick the best.

What follows `--` is the command that translates; it gets each point's beam and length penalty, the validation set and a
folder added to it. The test set has no part in it.
"""

import argparse
import itertools
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from bleuprint.config.flags import argv, shell
from bleuprint.decoding.hypotheses import hypotheses
from bleuprint.files import DataError, read_json, read_lines, sha256, write_json, write_lines

SUBSET = "valid"
Point = dict[str, Any]  # beam, lenpen and, once tried, bleu


def points(grid: dict[str, list[Any]]) -> list[Point]:
    """Each beam with each length penalty, every point once."""
    found = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return [point for number, point in enumerate(found) if point not in found[:number]]


def picked(tried: list[Point]) -> Point:
    """The point with the highest BLEU; of equal ones the smallest beam, then the penalty nearest to 1, the lower."""
    return min(tried, key=lambda one: (-one["bleu"], one["beam"], abs(one["lenpen"] - 1), one["lenpen"]))


def bleu(tokens: list[str], references: list[str]) -> tuple[float, str]:
    """BLEU on tokens, ignoring case, as the score bleu_tok_lc; and sacrebleu's signature."""
    metric = BLEU(lowercase=True, tokenize="none", force=True)
    return metric.corpus_score(tokens, [references]).score, str(metric.get_signature())


def translated(command: list[str], point: Point, folder: Path, sentences: int) -> list[str]:
    """The validation set in its order, translated by `command` with a point's values.

    Raises:
        DataError: the command failed, or left out a sentence.
    """
    words = [*command, *argv({"gen_subset": SUBSET} | point | {"results_path": folder})]
    print("++", shlex.join(words), flush=True)  # as bash traces what a traced command starts
    if status := subprocess.run(words).returncode:
        raise DataError(f"{folder}: decoding the validation set ended with status {status}; its log says why.")
    return hypotheses(read_lines(folder / f"generate-{SUBSET}.txt"), sentences)


def tried(command: list[str], point: Point, folder: Path, references: list[str], models: list[str]) -> Point:
    """A point with its `bleu`, `signature` and `models`; if the same models were tried with it before, from the file.

    Args:
        command: what translates.
        point: its `beam` and `lenpen`.
        folder: of all points.
        references: the tokenised validation set's target side.
        models: SHA-256 of the checkpoints.
    """
    place = folder / "-".join(f"{key}{value}" for key, value in point.items())
    if (done := place / "bleu.json").exists() and read_json(done)["models"] == models:
        known: Point = read_json(done)
        return known
    score, signature = bleu(translated(command, point, place, len(references)), references)
    result = point | {"bleu": score, "signature": signature, "models": models}
    write_json(done, result)
    return result


def main() -> None:
    """Entry point; a failed or incomplete translation ends in one sentence."""
    parser = argparse.ArgumentParser(prog="bleuprint.decoding.tune", description=__doc__)
    parser.add_argument("--grid", type=json.loads, required=True, help="JSON: the beams and the lenpens")
    parser.add_argument("--references", type=Path, required=True, help="the tokenised validation set's target side")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="the checkpoints, to know them again")
    parser.add_argument("--folder", type=Path, required=True, help="where each point's translations go")
    parser.add_argument("--output", type=Path, required=True, help="tuned.json: what was tried and picked")
    parser.add_argument("--flags", type=Path, required=True, help="what was picked, as flags")
    parser.add_argument("command", nargs="+", help="the command that translates")
    arguments = parser.parse_args()
    found, references = [], read_lines(arguments.references)
    models = [sha256(path) for path in arguments.models]
    try:
        for point in points(arguments.grid):
            found.append(tried(arguments.command, point, arguments.folder, references, models))
            print("beam {beam}, lenpen {lenpen}: BLEU {bleu:.2f} on the validation set".format(**found[-1]), flush=True)
    except DataError as error:
        sys.exit(f"bleuprint: {error}")
    best = picked(found)
    choice = {key: best[key] for key in arguments.grid}
    write_lines(arguments.flags, [shell(choice)])
    rows = [{key: one[key] for key in (*arguments.grid, "bleu")} for one in found]
    facts = {"set": SUBSET, "sentences": len(references), "signature": best["signature"], "models": models}
    write_json(
        arguments.output, {"picked": choice, "bleu": best["bleu"], "grid": arguments.grid} | facts | {"points": rows}
    )
    print(f"picked: {shell(choice)}")


if __name__ == "__main__":
    main()
