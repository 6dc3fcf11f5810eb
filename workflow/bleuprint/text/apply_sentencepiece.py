"""python -m bleuprint.text.apply_sentencepiece: split text into SentencePiece's pieces, as `spm_encode` does.

With --alpha the segmentations of train are drawn at random (Kudo 2018, arXiv 1804.10959). Validation and test text get
the most probable one.
"""

import argparse
import math
import random
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from itertools import accumulate, islice
from pathlib import Path

from bleuprint.files import replacing_folder, write_lines
from bleuprint.text.pieces import Segmenter
from bleuprint.text.segmentations import outputs, seed

LINES = 100_000  # that are in memory at once
WORDS = 20_000  # whose segmentations are in memory at once


def apply(path: Path, segmenter: Segmenter, output: Path, workers: int) -> None:
    """Segment a file of text; write the pieces, separated by spaces, under the same name into `output`."""
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = (line.removesuffix("\n") for line in file)
        chunks = iter(lambda: list(islice(lines, LINES)), [])
        write_lines(
            output / path.name, (" ".join(pieces) for chunk in chunks for pieces in segmenter.all(chunk, workers))
        )


class Sampler:
    """Draw segmentations of lines, word by word, as no piece goes over a space.

    SentencePiece's own sampling draws other ones in each process, whatever its seed. So Python draws from the
    segmentations that SentencePiece finds.
    """

    def __init__(self, model: Path, alpha: float, nbest_size: int, seed: int) -> None:
        """Read the model.

        Args:
            model: a unigram model.
            alpha: the power that the segmentations' probabilities are raised to.
            nbest_size: of how many most probable segmentations of a word one is drawn.
            seed: of the generator.
        """
        from sentencepiece import SentencePieceProcessor, set_min_log_level, set_nbest_timeout  # slow to load

        set_nbest_timeout(0)  # none: a slow machine finds the same
        set_min_log_level(2)  # without warnings of very long words, of which fewer segmentations are found
        self._processor = SentencePieceProcessor(model_file=str(model))
        self._alpha, self._nbest_size, self._random = alpha, nbest_size, random.Random(seed)
        self._segmentations = lru_cache(WORDS)(self._find)

    def _find(self, word: str) -> tuple[list[str], list[float]]:
        """Return a word's segmentations, each as pieces separated by spaces, and their cumulative weights."""
        nbest = self._processor.nbest_encode(word, nbest_size=self._nbest_size, return_type="proto").nbests
        weights = (math.exp(self._alpha * (text.score - nbest[0].score)) for text in nbest)
        return [" ".join(piece.piece for piece in text.pieces) for text in nbest], list(accumulate(weights))

    def draw(self, line: str) -> str:
        """Return the pieces of a line, separated by spaces."""
        found = (self._segmentations(word) for word in line.split())
        drawn = (self._random.choices(texts, cum_weights=weights)[0] for texts, weights in found)
        return " ".join(filter(None, drawn))


def draw(task: tuple[Path, str], model: Path, output: Path, alpha: float, nbest_size: int) -> None:
    """Segment a file of text at random.

    Args:
        task: the file, and the name under which the result is written; the name is the seed.
        model: SentencePiece's.
        output: folder of the result.
        alpha: as for Sampler.
        nbest_size: as for Sampler.
    """
    path, name = task
    sampler = Sampler(model, alpha, nbest_size, seed(name))
    with open(path, encoding="utf-8", newline="\n") as file:
        write_lines(output / name, map(sampler.draw, file))


def main() -> None:
    """Segment files from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.apply_sentencepiece", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="text")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--segmentations", type=int, default=1, help="how many of train")
    parser.add_argument("--alpha", type=float, help="draw the segmentations of train at random; SentencePiece's alpha")
    parser.add_argument("--nbest-size", type=int, default=64, help="of how many of a word one is drawn")
    arguments = parser.parse_args()
    drawn = [path for path in arguments.files if path.stem == "train" and arguments.alpha]
    with replacing_folder(arguments.output) as folder:
        with ProcessPoolExecutor(arguments.workers) as pool:
            settings = {"alpha": arguments.alpha, "nbest_size": arguments.nbest_size}
            work = partial(draw, model=arguments.model, output=folder, **settings)
            list(pool.map(work, outputs(drawn, arguments.segmentations)))
        segmenter = Segmenter(arguments.model)
        for path in arguments.files:
            if path not in drawn:
                apply(path, segmenter, folder, arguments.workers)


if __name__ == "__main__":
    main()
