"""python -m bleuprint.text.dictionary: write the dictionaries of a text whose train has several segmentations.

They are those that fairseq-preprocess makes of one file; it takes no more than one. A subword that any segmentation has
is known to the model.
"""

import argparse
import shutil
from pathlib import Path

from bleuprint.config.segmenters import numbered


def write(segmented: Path, languages: list[str], segmentations: int, output: Path, workers: int) -> None:
    """Write `dict.LANGUAGE.txt` for each language, or one of all under the first one's name.

    Args:
        segmented: the folder of the segmented text.
        languages: whose subwords go into the dictionary.
        segmentations: of train.
        output: the dictionary's file.
        workers: processes.
    """
    from fairseq.tasks.translation import TranslationTask  # slow to load

    parts = [numbered("train", number) for number in range(1, segmentations + 1)]
    files = [str(segmented / f"{part}.{language}") for language in languages for part in parts]
    output.parent.mkdir(parents=True, exist_ok=True)
    TranslationTask.build_dictionary(files, workers=workers).save(str(output))


def main() -> None:
    """Write dictionaries from the command line."""
    parser = argparse.ArgumentParser(prog="bleuprint.text.dictionary", description=__doc__)
    parser.add_argument("languages", nargs="+")
    parser.add_argument("--segmented", type=Path, required=True, help="folder of the segmented text")
    parser.add_argument("--segmentations", type=int, required=True, help="of train")
    parser.add_argument("--joined", action="store_true", help="one dictionary for all, under the first one's name")
    parser.add_argument("--output", type=Path, required=True, help="folder for dict.LANGUAGE.txt")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--given", type=Path, nargs=2, help="the dictionaries of another text, to take instead")
    arguments = parser.parse_args()
    languages = arguments.languages
    if arguments.given:
        arguments.output.mkdir(parents=True, exist_ok=True)
        for language, path in zip(languages, arguments.given, strict=True):
            shutil.copyfile(path, arguments.output / f"dict.{language}.txt")
        return
    for group in [languages] if arguments.joined else [[language] for language in languages]:
        output = arguments.output / f"dict.{group[0]}.txt"
        write(arguments.segmented, group, arguments.segmentations, output, arguments.workers)


if __name__ == "__main__":
    main()
