"""make bench: time and memory of the text stage, the demo and the frame, as a Markdown table and results.json.

The reference scripts (fairseq's prepare-iwslt14.sh with Moses' Perl tokenizer, then fairseq-preprocess) cannot be
fetched here. They were timed once on the same archive: 44 s on two cores, 33 s of them in learning BPE and
fairseq-preprocess. These two are run again beside each measurement, and their time says how fast the machine is
today: the ratio below compares like with like.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = ROOT.parent / "shared" / "data" / "iwslt14_sample" / "de-en.tgz"
REFERENCE, REFERENCE_PARTS = 44.0, 18.0 + 15.0  # seconds: the whole, and learn-bpe + fairseq-preprocess of it
CORES = "2"


def snakemake(*arguments: str) -> list[str]:
    """A Snakemake call on two cores."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", CORES, *arguments]


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """Run `command` in `folder`; its seconds, and the peak memory of it and its children in MiB (PSS, 10 Hz)."""
    began, peak = time.monotonic(), 0.0
    with open(folder / "bench.log", "a") as log:
        process = psutil.Popen(command, cwd=folder, stdout=log, stderr=log)
        while process.poll() is None:
            total = 0
            for member in [process, *process.children(recursive=True)]:
                try:
                    total += member.memory_full_info().pss
                except psutil.Error:
                    continue
            peak = max(peak, total / 2**20)
            time.sleep(0.1)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed; see {folder / 'bench.log'}")
    return time.monotonic() - began, peak


def median(command: list[str], folder: Path, times: int = 3) -> float:
    """The median seconds of several runs."""
    return statistics.median(measure(command, folder)[0] for _ in range(times))


def bench_text(folder: Path, archive: Path) -> dict[str, float]:
    """The text stage on `archive`, and the two slow parts of the reference on the same text."""
    config = f"overrides=corpus.sources=[{archive}] corpus.bytes={archive.stat().st_size}"
    measure(snakemake("corpus", "--config", config), folder)
    seconds, peak = measure(snakemake("text", "--config", config), folder)
    (made,) = (folder / "results" / "text").iterdir()
    learn = f"subword-nmt learn-bpe --input {made}/tokenized/train.both --output codes --symbols 10000"
    binarise = (
        f"fairseq-preprocess --source-lang de --target-lang en --trainpref {made}/bpe/train"
        f" --validpref {made}/bpe/valid --testpref {made}/bpe/test --destdir bin --workers 1"
    )
    parts = sum(measure(command.split(), folder)[0] for command in (learn, binarise))
    reference = REFERENCE * parts / REFERENCE_PARTS
    return {
        "text stage, s": seconds,
        "text stage, peak memory of all processes, MiB": peak,
        "reference scripts, s (recorded 44 s, scaled to this machine today)": reference,
        "text stage / reference scripts": seconds / reference,
    }


def bench_frame(folder: Path) -> dict[str, float]:
    """Planning, the demo, and calling a finished pipeline again."""
    once = {"plan of one run (-n), s": median(snakemake("-n"), folder)}
    once["plan of 100 runs (-n, seed=range(1,101)), s"] = median(
        snakemake("-n", "--config", "seed=range(1,101)"), folder
    )
    once["demo, all six stages, s"], _ = measure(snakemake("--config", "recipe=demo"), folder)
    once["demo called again, nothing to do, s"] = median(snakemake("--config", "recipe=demo"), folder)
    return once


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="an archive in the layout of IWSLT14's de-en.tgz")
    arguments = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.archive.exists():
            figures |= bench_text(Path(folder), arguments.archive.resolve())
        else:
            print(f"{arguments.archive} is not there: the text stage is left out; name an archive with --archive")
        figures |= bench_frame(Path(folder))
    machine = f"{platform.machine()}, {CORES} cores, Python {platform.python_version()}"
    results = {"date": datetime.date.today().isoformat(), "machine": machine, "figures": figures}
    (ROOT / "bench" / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"{results['date']}, {machine}\n")
    print(tabulate(figures.items(), headers=("measured", ""), floatfmt=".2f", tablefmt="github"))


if __name__ == "__main__":
    main()
