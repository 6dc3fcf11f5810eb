"""Write the report: read the runs, compare their groups, and write the page and the tables."""

from pathlib import Path

from bleuprint.config.stages import ALL
from bleuprint.files import Damaged, sha256, write_json
from bleuprint.record import seal
from bleuprint.report import OUTPUTS


def write(folder: Path, scores: list[Path], wanted: str | None, workers: int, missing: list[str]) -> None:
    """Write the report.

    Args:
        folder: where to write it.
        scores: the scores.json of each run, results/runs/RUN/scores.json of any folder.
        wanted: the baseline, as `groups.baseline` takes it.
        workers: processes for the paired tests.
        missing: a sentence on each run that was asked for and is not there.

    Raises:
        DataError: a file was written by another version, or `wanted` names no group.
    """
    # Slow to load, and gathering one run needs none of it
    from bleuprint.report.comparison import compare
    from bleuprint.report.gather import placed, read_config, read_run
    from bleuprint.report.groups import baseline, groups
    from bleuprint.report.page import write_page
    from bleuprint.report.tables import write_tables
    from bleuprint.report.test_sets import further
    from bleuprint.report.verdict import verdict

    runs = [placed(read_run(path), path.parents[3]) for path in scores]
    configs = list(map(read_config, runs))
    runs = [run | {"verdict": verdict(run, config)} for run, config in zip(runs, configs, strict=True)]
    all_groups = groups(runs)
    base = baseline(all_groups, wanted)
    others = [group for group in all_groups if group is not base]
    comparisons = compare(base, others, configs[0]["scoring"]["resamples"], workers)
    tests = further(all_groups, base, configs[0]["scoring"]["resamples"], workers)
    write_page(folder / "index.html", all_groups, base, comparisons, missing, tests)
    write_tables(folder, all_groups, base, comparisons, runs, missing, tests)
    sealed = {name: seal.entry(folder / name) for name in OUTPUTS}
    made_from = {path.parent.name: sha256(path) for path in scores}
    write_json(folder / seal.NAME, {"stage": "report", "parents": made_from, "files": sealed})


def advice(error: FileNotFoundError | Damaged, call: str = "run the same command") -> str:
    """Return a sentence on a file that is missing or damaged, and how to recompute it.

    Args:
        error: names the file.
        call: what recomputes the run.
    """
    path = Path(error.filename)
    problem = error.problem if isinstance(error, Damaged) else "does not exist any more"
    start = max((place for place, part in enumerate(path.parts) if part == seal.RESULTS.name), default=0)
    folder = seal.folder_of(Path(*path.parts[start:]))
    if folder is None:
        return f"{path} {problem}; delete {path.parent} and {call} again."
    stage = folder.parent.name
    removed = " and ".join(str(Path(*path.parts[:start], folder, name)) for name in ALL[stage].recompute)
    return f"{path} {problem}; delete {removed}, {call} with the target {stage}, and then without it."
