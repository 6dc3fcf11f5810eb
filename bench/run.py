"""make bench: time and memory of the text stage, the report, the demo and the frame: a Markdown table, results.json.

The reference scripts (fairseq's prepare-iwslt14.sh with Moses' Perl tokenizer, then fairseq-preprocess) cannot be
fetched here. They were timed once on the same archive: 44 s on two cores, 33 s of them in learning BPE and
fairseq-preprocess. These two are run again beside each measurement, and their time says how fast the machine is
today: the ratio below compares like with like.
"""

import argparse
import datetime
import gzip
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
from tabulate import tabulate

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow")]
from made_up import REFERENCES, make_run, noisy  # noqa: E402

from bleuprint.config import experiments  # noqa: E402
from bleuprint.plan import STAGES, planned  # noqa: E402

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
    """The text stage on `archive` and the reference's two slow parts on the same text: twice in turn, the means."""
    turns = [text_turn(folder, archive) for _ in range(2)]
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
    config = f"overrides=corpus.sources=[{archive}] corpus.bytes={archive.stat().st_size} corpus.expected=null"
    shutil.rmtree(folder / "results", ignore_errors=True)
    shutil.rmtree(folder / "bin", ignore_errors=True)
    measure(snakemake("corpus", "--config", config), folder)
    seconds, peak = measure(snakemake("text", "--config", config), folder)
    (made,) = (folder / "results" / "text").iterdir()
    learn = f"subword-nmt learn-bpe --input {made}/tokenized/train.both --output codes --symbols 10000"
    binarise = (
        f"fairseq-preprocess --source-lang de --target-lang en --trainpref {made}/bpe/train"
        f" --validpref {made}/bpe/valid --testpref {made}/bpe/test --destdir bin --workers 1"
    )
    return seconds, peak, sum(measure(command.split(), folder)[0] for command in (learn, binarise))


def bench_report(folder: Path) -> dict[str, float]:
    """Intervals, paired tests and the page for six runs (two models, three seeds) over the whole test set.

    The hypotheses are made up, the references with some words replaced; how long they take does not hang on that.
    """
    (raw,) = (folder / "results" / "corpus").glob("*/raw")
    texts = [(raw / f"test.{language}").read_text("utf-8").splitlines() for language in ("de", "en")]
    metrics = {name: metric.model_dump() for name, metric in experiments({})[0].experiment.scoring.metrics.items()}
    jobs = [
        {"model": model, "seed": seed, "hypotheses": noisy(texts[1], share, seed), "source": texts[0]}
        | {"references": texts[1], "resamples": 1000, "metrics": metrics}
        for model, share in (("transformer", 0.30), ("lightconv", 0.29))
        for seed in (1, 2, 3)
    ]
    place = folder / "report"
    place.mkdir()
    os.chdir(place)
    began = time.monotonic()
    with ProcessPoolExecutor(int(CORES)) as pool:
        for job in [pool.submit(make_run, **job) for job in jobs]:
            job.result()
    intervals = time.monotonic() - began
    scores = [str(path) for path in sorted(Path("results/runs").glob("*/scores.json"))]
    command = [sys.executable, "-m", "bleuprint.report", "table", *scores, "--folder", "results/report"]
    seconds, peak = measure([*command, "--workers", CORES], place)
    index = Path("results/report/index.html").stat().st_size / 1e6
    measure([*command[:4], *scores[::3], *command[-2:]], place)
    os.chdir(folder)
    return {
        "report of 6 runs, 1,000 resamples: scores, intervals and sentence scores, s": intervals,
        "report of 6 runs, 1,000 resamples: paired tests and page, s": seconds,
        "report of 6 runs, peak memory of all processes, MiB": peak,
        "report of 6 runs, index.html, MB": index,
        "report of 2 runs, index.html, MB": (place / "results/report/index.html").stat().st_size / 1e6,
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


def bench_sweep(folder: Path, runs: int = 500) -> dict[str, float]:
    """A sweep of 500 runs: planned, then with made-up results for every stage, planned again, and reported."""
    place = folder / "sweep"
    place.mkdir()
    os.chdir(place)
    words = ["recipe=demo", "model=transformer_tiny,lightconv_tiny", f"seed=range(1,{runs // 2 + 1})"]
    seconds, peak = measure(snakemake("-n", "--config", *words), place)
    made = planned(dict(word.split("=", 1) for word in words))
    assert len({run.name for run in made.runs}) == len(made.stages["training"]) == runs
    for number, run in enumerate(made.runs):
        description = {key: value for key, value in json.loads(run.description).items() if key != "source"}
        make_run(hypotheses=noisy(REFERENCES, 0.2, number), **description)
        for stage, file in (("training", "checkpoint.pt"), ("decoding", "generate-test.txt")):
            Path(run.file(stage, file)).touch()
    for stage in ("codes", "bpe", "bin"):
        Path(made.runs[0].file("text", stage)).mkdir()
    began = time.time()
    for number, stage in enumerate([*STAGES, "runs"]):  # each a second after the one that it is made of
        for path in Path("results", stage).glob("**/*"):
            os.utime(path, (began + number, began + number), follow_symlinks=False)
    again, _ = measure(snakemake("-n", "--config", *words), place)
    scores = [f"results/runs/{run.name}/scores.json" for run in made.runs]
    command = [sys.executable, "-m", "bleuprint.report", "table", *scores, "--folder", "results/report"]
    report, report_peak = measure([*command, "--workers", CORES], place)
    index = Path("results/report/index.html").stat().st_size / 1e6
    os.chdir(folder)
    return {
        f"plan of {runs} runs (-n), s": seconds,
        f"plan of {runs} runs (-n), peak memory, MiB": peak,
        f"plan of {runs} runs with made-up results for all stages (-n), s": again,
        f"report of {runs} runs with made-up results, s": report,
        f"report of {runs} runs with made-up results, peak memory of all processes, MiB": report_peak,
        f"report of {runs} runs with made-up results, index.html, MB": index,
    }


def bench_scale(folder: Path, parallel: list[Path]) -> dict[str, float]:
    """The corpus and text stages on 340,000 pairs and on ten times as many, by repeating a smaller corpus."""
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


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="an archive in the layout of IWSLT14's de-en.tgz")
    parser.add_argument(
        "--scale", type=Path, nargs=2, metavar="GZ", help="also the text stage on 20 times these two files"
    )
    arguments = parser.parse_args()
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT / "workflow")}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        if arguments.archive.exists():
            figures |= bench_text(Path(folder), arguments.archive.resolve())
            figures |= bench_report(Path(folder))
        else:
            print(
                f"{arguments.archive} is not there: text stage and report are left out; name an archive with --archive"
            )
        figures |= bench_frame(Path(folder))
        figures |= bench_sweep(Path(folder))
        if arguments.scale:
            figures |= bench_scale(Path(folder), arguments.scale)
    machine = f"{platform.machine()}, {CORES} cores, Python {platform.python_version()}"
    results = {"date": datetime.date.today().isoformat(), "machine": machine, "figures": figures}
    (ROOT / "bench" / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"{results['date']}, {machine}\n")
    print(tabulate(figures.items(), headers=("measured", ""), floatfmt=".2f", tablefmt="github"))


if __name__ == "__main__":
    main()
