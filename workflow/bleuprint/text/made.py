"""python -m bleuprint.text.made: put noise and a tag on the source side of the training pairs that a model has made.

Noise acts on words, whose subwords stay together: some are dropped, some become `<BLANK>`, and the others move by a few
places (Edunov et al. 2018, arXiv 1808.09381). What is drawn depends only on the file's name and the line's place among
the made ones. SentencePiece's words are what stands between spaces of the untokenised text.
"""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import yaml

from bleuprint.config.segmenters import numbered, of_text
from bleuprint.files import exit_with_message, read_json, replacing, sha256, write_json
from bleuprint.text.pieces import MARK

BLANK = "<BLANK>"
DONE = ".made.json"  # file → SHA-256 of what it becomes, so that a second call changes nothing


def words(line: str, segmenter: str) -> list[list[str]]:
    """Return the subwords of each word of a line."""
    grouped: list[list[str]] = []
    begins = True
    for subword in line.split():
        if begins or (segmenter == "sentencepiece" and subword.startswith(MARK)):
            grouped.append([])
        grouped[-1].append(subword)
        begins = segmenter == "subword_nmt" and not subword.endswith("@@")
    return grouped


def noised(words: Sequence[list[str]], noise: Mapping[str, float], random: Random) -> list[list[str]]:
    """Return words with noise; at least one of them is kept.

    Args:
        words: the subwords of each.
        noise: `drop` and `blank`, probabilities, and `shuffle`, the places by which a word may move.
        random: draws.
    """
    if not words:
        return []
    kept = [word for word in words if random.random() >= noise["drop"]]
    kept = kept or [words[int(random.random() * len(words))]]
    kept = [[BLANK] if random.random() < noise["blank"] else word for word in kept]
    places = [place + random.random() * (noise["shuffle"] + 1) for place in range(len(kept))]
    return [kept[place] for place in sorted(range(len(kept)), key=places.__getitem__)]


def change(line: str, seed: str, translated: Mapping[str, Any], segmenter: str) -> str:
    """Return the source side of a made pair with noise and tag.

    Args:
        line: subwords separated by spaces.
        seed: decides what is drawn.
        translated: of the text stage's slice: perhaps `noise` and `tag`.
        segmenter: what made the subwords.
    """
    if noise := translated.get("noise"):
        line = " ".join(chain.from_iterable(noised(words(line, segmenter), noise, Random(seed))))
    return f"{translated['tag']} {line}" if translated.get("tag") else line


def mark(path: Path, figures: Mapping[str, Any], translated: Mapping[str, Any], segmenter: str) -> None:
    """Change the made lines of a segmented file, once: a second call, also after a kill, leaves the same bytes.

    Args:
        path: the file.
        figures: of the training pairs, as cleaning.json has them.
        translated: as for `change`.
        segmenter: as for `change`.
    """
    record = path.with_name(DONE)
    done = read_json(record) if record.exists() else {}
    if path.name in done and done[path.name] == sha256(path):
        return
    made = set(chain.from_iterable(range(first, first + figures["made"]) for first in figures["made_lines"]))
    digest, count = hashlib.sha256(), 0
    with replacing(path) as file, open(path, encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if number in made:
                count += 1
                line = change(line.removesuffix("\n"), f"{path.name} {count}", translated, segmenter) + "\n"
            digest.update(line.encode())
            file.write(line)
        # Before the file takes its place: whoever is killed in between leaves the old file, which has another SHA-256
        write_json(record, done | {path.name: digest.hexdigest()})


@exit_with_message(OSError)
def main() -> None:
    """Change the made lines of a segmented text from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.made", description=__doc__)
    parser.add_argument("--segmented", type=Path, required=True, help="folder of the segmented text")
    parser.add_argument("--cleaning", type=Path, required=True, help="JSON file of tokenising, which says what is made")
    parser.add_argument("--config", type=Path, required=True, help="the text stage's config.yaml")
    arguments = parser.parse_args()
    config = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    figures = read_json(arguments.cleaning, keys=("train",))["train"]
    for number in range(1, config.get("segmentations", 1) + 1):
        path = arguments.segmented / f"{numbered('train', number)}.{config['source']}"
        mark(path, figures, config["translated"], of_text(config))
    print(f"train: noise or tag on {figures['made'] * len(figures['made_lines']):,} made lines of {config['source']}")


if __name__ == "__main__":
    main()
