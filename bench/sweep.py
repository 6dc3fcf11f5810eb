"""What the frame costs where there are many runs."""

import json
import os
import sys
import time
from pathlib import Path

from made_up import REFERENCES, make_run, noisy
from measure import CORES, measure, snakemake

from bleuprint.config.stages import STAGES
from bleuprint.plan.keys import planned

SEEDS = 20  # of each config


def bench_sweep(folder: Path, archive: Path, runs: int = 2000) -> dict[str, float]:
    """Measure a sweep of 2,000 runs: planned, with made-up results for every stage planned again, and reported."""
    place = folder / "sweep"
    place.mkdir()
    os.chdir(place)
    rates = ",".join(f"{number / 1e5:.5f}" for number in range(101, 101 + runs // SEEDS))
    words = ["recipe=demo", f"seed=range(1,{SEEDS + 1})", f"overrides=training.lr={rates}"]
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
