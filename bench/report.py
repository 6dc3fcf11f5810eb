"""The report: intervals, paired tests and the page."""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from made_up import make_run, noisy
from measure import CORES, measure, prepared

from bleuprint.config.compose import experiments
from bleuprint.plan.choices import without_auto


def bench_report(folder: Path, archive: Path) -> dict[str, float]:
    """Intervals, paired tests and the page for six runs (two models, three seeds) over the whole test set.

    The hypotheses are made up, the references with some words replaced; how long they take does not hang on that.
    """
    (raw,) = (prepared(folder, archive).parents[1] / "corpus").glob("*/raw")
    texts = [(raw / f"test.{language}").read_text("utf-8").splitlines() for language in ("de", "en")]
    experiment = without_auto(experiments({})[0].experiment)
    metrics = {name: metric.model_dump() for name, metric in experiment.scoring.metrics.items()}
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
