"""bleuprint diff: tell in what two runs differ: keys, data, environment, scores and translations."""

from pathlib import Path
from typing import Any

from tabulate import tabulate

from bleuprint.config.differences import differing, flat
from bleuprint.files import Damaged, sentence, visible
from bleuprint.plan.explain import OTHERS, dotted
from bleuprint.record.provenance import Record, base, find, read, shown
from bleuprint.report.facts import on_test
from bleuprint.report.gather import placed, read_run
from bleuprint.report.groups import Group, Run, interval
from bleuprint.report.groups import metrics as all_metrics
from bleuprint.report.translations import finest_metric, hypotheses, most_changed, same_test

# Keys of a slice that only say that a stage before differs
PARENTS = ("parent", "parents", "ensemble", "test", "tuned", *(key.partition(".")[0] for key in OTHERS))
FILES = 3  # named at most, of those that differ in a stage


def diff(first: str, second: str) -> int:
    """Print in what two runs differ; they may lie in the results/ of two folders.

    Args:
        first: a run, as `provenance.find` takes it.
        second: another one.

    Returns:
        The exit status, 0.

    Raises:
        DataError: a word names no run or several, or a run's record or scores cannot be read.
    """
    folders = [find(word) for word in (first, second)]
    known = [read(folder) for folder in folders]
    runs = [placed(read_run(folder / "scores.json"), base(folder)) for folder in folders]
    sections = {
        "Keys": keys(known),
        "Data": data(known),
        "Environment": environments(known),
        "Scores": scores(runs),
        **{f"Scores on the further test set {name}": on_further(runs, name) for name in _tests(runs)},
        "Translations": translations(runs),
    }
    lines = [f"{number}: {record['run']}" for number, record in enumerate(known, 1)]
    for title, body in sections.items():
        lines += ["", title, *(f"  {line}" if line else "" for line in body)]
    print(visible("\n".join(lines)))
    return 0


def keys(known: list[Record]) -> list[str]:
    """Return a line on each key, as it is written in overrides, in which a stage of two runs differs."""
    lines = []
    for stage in known[0]["stages"]:
        slices = [record["stages"][stage]["slice"] or {} for record in known]
        if not all(slices):
            lines.append(f"{stage}: not recorded")
            continue
        changed = differing([{key: value for key, value in one.items() if key not in PARENTS} for one in slices])
        lines += [f"{stage}: {dotted(stage, key)}: {_arrow(values)}" for key, values in changed.items()]
        others = differing(slices)
        lines += [f"{stage}: {note}" for key, note in OTHERS.items() if key in others and key != "tuned.own"]
        if "start.model" in others:
            lines += [f"{stage}: {line}" for line in _starts(known, [one.get("start") for one in slices])]
    models = [sorted(Path(entry["folder"]).name for entry in record.get("ensemble", [])) for record in known]
    lines += [f"decoding: models of the ensemble: {_arrow(models)}"] if models[0] != models[1] else []
    tests = [record.get("tests", {}) for record in known]
    for name in dict.fromkeys([*tests[0], *tests[1]]):
        texts = [_test_text(test[name]) if name in test else None for test in tests]
        if texts[0] != texts[1]:
            words = ["absent" if text is None else "there" for text in texts]
            lines.append(f"corpus.tests.{name}: {'another text' if all(texts) else _arrow(words)}")
    return lines or ["the same"]


def _starts(known: list[Record], starts: list[Any]) -> list[str]:
    """Return a line on each key in which the trainings that two runs start from differ; none where one has no such."""
    slices = [
        other["slice"]
        for record, start in zip(known, starts, strict=True)
        for other in record.get("ancestors", [])
        if start and other["stage"] == "training" and other["folder"].endswith(start["model"])
    ]
    if len(slices) != len(known):
        return []
    changed = differing([{key: value for key, value in one.items() if key not in PARENTS} for one in slices])
    return [f"of that model: {dotted('training', key)}: {_arrow(values)}" for key, values in changed.items()]


def _test_text(stages: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the raw text of a further test set."""
    return {key: value for key, value in (stages["testset"]["slice"] or {}).items() if key not in PARENTS}


def _arrow(values: list[Any]) -> str:
    return " → ".join("absent" if value is None else shown(value) for value in values)


def data(known: list[Record]) -> list[str]:
    """Return for corpus, text and model whether the recorded hashes of their files are the same."""
    lines = []
    for stage in ("corpus", "text", "training"):
        recorded = [_hashes(record["stages"][stage]["files"]) for record in known]
        # Of a training the model alone: metrics.jsonl holds times
        sides = [{"checkpoint.pt": side.get("checkpoint.pt")} for side in recorded] if stage == "training" else recorded
        names = [name for name in sides[0] | sides[1] if sides[0].get(name) != sides[1].get(name)]
        if not all(recorded):
            word = "not recorded"
        elif names:
            more = f" and {len(names) - FILES} more" if len(names) > FILES else ""
            word = f"differs in {', '.join(sorted(names)[:FILES])}{more}"
        else:
            word = "the same bytes"
        lines.append(f"{stage}: {word}")
    return lines


def _hashes(files: dict[str, Any]) -> dict[str, str]:
    """Return the hash of each file but of the keys, which are compared by themselves, and of downloads."""
    own = {name: file for name, file in files.items() if name != "config.yaml" and not name.startswith("downloads/")}
    return {name: file["sha256"] for name, file in own.items()}


def environments(known: list[Record]) -> list[str]:
    """Return a line on each fact of the machine and its software that differs, with the stages in which it does."""
    lines: dict[str, list[str]] = {}  # line → stages
    for stage in known[0]["stages"]:
        pair = [record["stages"][stage]["environment"] for record in known]
        for key, values in differing([flat(facts) for facts in pair]).items():
            line = f"{key.removeprefix('packages.')}: {' → '.join(map(shown, values))}"
            lines[line] = [*lines.get(line, []), stage]
    whole = len(known[0]["stages"])
    named = {line: "all stages" if len(stages) == whole else ", ".join(stages) for line, stages in lines.items()}
    return [f"{line} ({stages})" for line, stages in named.items()] or ["the same"]


def _tests(runs: list[Run]) -> list[str]:
    """Return the names of the further test sets on which both runs were scored."""
    return [name for name in runs[0].get("tests", {}) if name in runs[1].get("tests", {})]


def on_further(runs: list[Run], name: str) -> list[str]:
    """Return the lines of a table of both runs' scores on a further test set."""
    return _score_table([on_test(run, name) for run in runs])


def scores(runs: list[Run]) -> list[str]:
    """Return the lines of a table of both runs' scores, and what it does not say."""
    return [
        *_score_table(runs),
        "",
        "In brackets: the 95 % interval of each run alone. Whether the difference is",
        "significant: bleuprint report RUN RUN.",
    ]


def _score_table(runs: list[Run]) -> list[str]:
    """Return the lines of a table of both runs' scores with their 95 % intervals."""
    rows = []
    for name in all_metrics(runs):
        metrics = [run["metrics"].get(name) for run in runs]
        cells = ["–" if metric is None else _score(metric) for metric in metrics]
        change = "–"
        if metrics[0] and metrics[1]:
            unlike = metrics[0]["config"] != metrics[1]["config"]
            change = "other settings" if unlike else f"{metrics[1]['score'] - metrics[0]['score']:+.2f}"
        rows.append([name, *cells, change])
    return tabulate(rows, headers=["metric", "1", "2", "2 − 1"], disable_numparse=True).split("\n")


def _score(metric: dict[str, Any]) -> str:
    low, high = interval(metric)
    return f"{metric['score']:.2f} [{low:.2f}, {high:.2f}]"


def translations(runs: list[Run]) -> list[str]:
    """Return how many sentences are translated differently, and those whose scores differ most."""
    try:
        if len(same_test(runs)) < 2:
            return ["not compared: the runs were tested on different texts"]
        pairs = list(zip(*map(hypotheses, runs), strict=True))
        lines = [
            f"{sum(one != other for one, other in pairs):,} of {len(pairs):,} sentences are translated differently"
        ]
        metric = finest_metric([run | {"metrics": _common(runs)} for run in runs])
        sides = [Group(str(number), (), (run,)) for number, run in enumerate(runs, 1)]
        changed = most_changed(sides[0], sides[1], metric) if metric else []
    except (Damaged, OSError) as error:
        missing = isinstance(error, FileNotFoundError)
        return [f"not compared: {f'{error.filename} does not exist any more' if missing else sentence(error)}"]
    lines += [f"Those that differ most by {metric} (2 − 1):"] if changed else []
    for row in changed:
        lines += ["", f"sentence {row['number']}, {row['change']:+.2f}"]
        sides_of = {
            "source": row["source"],
            "reference": row["reference"],
            "1": row["baseline"],
            "2": row["hypothesis"],
        }
        lines += [f"  {name:9}  {text}" for name, text in sides_of.items()]
    return lines


def _common(runs: list[Run]) -> dict[str, Any]:
    """Return the metrics that both runs have with the same settings."""
    own, others = (run["metrics"] for run in runs)
    return {name: own[name] for name in own if name in others and own[name]["config"] == others[name]["config"]}
