"""Preparing text: the text stage against the reference scripts, and on much more text.

The reference scripts (fairseq's prepare-iwslt14.sh with Moses' Perl tokenizer, then fairseq-preprocess) cannot be
fetched here. They were timed once on the same archive: 44 s on two cores, 33 s of them in learning BPE and
fairseq-preprocess. These two are run again beside each measurement, and their time says how fast the machine is
today: the ratio below compares like with like.
"""

import gzip
import shutil
import statistics
from pathlib import Path

from measure import measure, sample, snakemake

REFERENCE, REFERENCE_PARTS = 44.0, 18.0 + 15.0  # seconds: the whole, and learn-bpe + fairseq-preprocess of it


def bench_text(folder: Path, archive: Path) -> dict[str, float]:
    """Measure the text stage on `archive` and the reference's two slow parts on the same text: means of two turns."""
    place = folder / "sample"  # where other parts find the text
    place.mkdir(exist_ok=True)
    turns = [text_turn(place, archive) for _ in range(2)]
    seconds, peak, parts = (statistics.fmean(column) for column in zip(*turns, strict=True))
    reference = REFERENCE * parts / REFERENCE_PARTS
    return {
        "text stage, s": seconds,
        "text stage, peak memory of all processes, MiB": peak,
        "reference scripts, s (recorded 44 s, scaled to this machine today)": reference,
        "text stage / reference scripts": seconds / reference,
    }


def text_turn(folder: Path, archive: Path) -> tuple[float, float, float]:
    """Seconds and peak memory of the text stage, made anew, and seconds of the reference's two parts."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    measure(snakemake("corpus", *sample(archive)), folder)
    seconds, peak = measure(snakemake("text", *sample(archive)), folder)
    (made,) = (folder / "results" / "text").iterdir()
    learn = f"subword-nmt learn-bpe --input {made}/tokenized/train.both --output codes --symbols 10000"
    binarise = (
        f"fairseq-preprocess --source-lang de --target-lang en --trainpref {made}/bpe/train"
        f" --validpref {made}/bpe/valid --testpref {made}/bpe/test --destdir bin --workers 1"
    )
    return seconds, peak, sum(measure(command.split(), folder)[0] for command in (learn, binarise))


def bench_text_scale(folder: Path, *parallel: Path) -> dict[str, float]:
    """Measure the corpus and text stages on 340,000 pairs and ten times as many, by repeating a smaller corpus."""
    figures: dict[str, float] = {}
    for name, times in (("340,000", 2), ("3,400,000", 20)):
        place = folder / name.replace(",", "")
        place.mkdir()
        for path in parallel:
            data = gzip.decompress(path.read_bytes())
            (place / f"all.{path.stem.rpartition('.')[2]}").write_bytes(data * times)
        words = ["corpus=local", "source=de", "target=en", "overrides=corpus.train=all"]
        seconds, peak = measure(snakemake("text", "--config", *words), place)
        figures |= {f"corpus and text, {name} short pairs, s": seconds, f"the same, peak memory, MiB ({name})": peak}
        shutil.rmtree(place)
    return figures
