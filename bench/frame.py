"""What the frame costs: planning, the demo, calling a finished pipeline again."""

from pathlib import Path

from measure import measure, median, snakemake


def bench_frame(folder: Path, archive: Path) -> dict[str, float]:
    """Planning, the demo, and calling a finished pipeline again."""
    demo = snakemake("--config", "recipe=demo")
    once = {"plan of one run (-n), s": median(snakemake("-n"), folder)}
    hundred = snakemake("-n", "--config", "seed=range(1,101)")
    once["plan of 100 runs (-n, seed=range(1,101)), s"] = median(hundred, folder)
    once["demo, all six stages, s"], peak = measure(demo, folder)
    once["demo, peak memory of all processes, MiB"] = peak
    once["demo called again, nothing to do, s"] = median(demo, folder)
    return once
