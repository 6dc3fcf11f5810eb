"""The test set's sentences: what each run made of them, by length, and where the groups differ most."""

from pathlib import Path
from typing import Any

from sacrebleu.metrics.bleu import BLEUScore

from bleuprint.files import read_json, read_lines
from bleuprint.report.comparison import texts
from bleuprint.report.groups import Group, Run, metrics
from bleuprint.scoring.metrics import scorer

LENGTHS = (10, 20, 30, 40)  # tokens of the source; the last bin has no upper end
FEWEST = 10  # sentences that make a bin; the score of fewer would say nothing
MOST = 5  # of the most changed sentences, each way


def same_test(runs: list[Run]) -> list[Run]:
    """The runs tested on the first run's text."""
    return [run for run in runs if test_text(run) == test_text(runs[0])]


def test_text(run: Run) -> tuple[list[str], list[str]]:
    """The raw test set: source and reference lines."""
    raw = Path(run["stages"]["corpus"]) / "raw"
    return read_lines(raw / f"test.{run['source']}"), read_lines(raw / f"test.{run['target']}")


def hypotheses(run: Run) -> list[str]:
    """The detokenised hypotheses, in test order."""
    return read_lines(Path(run["stages"]["decoding"]) / "hypotheses.txt")


def shown_metrics(runs: list[Run]) -> list[str]:
    """The metrics of single sentences: of each kind (BLEU, chrF, TER) the first that all runs have."""
    found: dict[str, str] = {}
    for name in metrics(runs):
        if all(name in run["metrics"] for run in runs):
            found.setdefault(runs[0]["metrics"][name]["config"]["metric"], name)
    return list(found.values())


def finest_metric(runs: list[Run]) -> str:
    """Of those the one that tells single sentences apart best: chrF, else BLEU, else TER; empty if there is none."""
    kinds = {runs[0]["metrics"][name]["config"]["metric"]: name for name in shown_metrics(runs)}
    return next((kinds[kind] for kind in ("chrf", "bleu", "ter") if kind in kinds), "")


def by_length(run: Run, metric: str) -> list[dict[str, Any]]:
    """A metric on the sentences of like source length.

    Returns:
        For each bin with ten sentences or more: `tokens` (its label), `sentences`, `score`, and of BLEU
        `length_ratio` (hypothesis to reference, in tokens).
    """
    ours, references = texts(run, metric)
    source = read_lines(Path(run["stages"]["text"]) / f"tokenized/test.{run['source']}")
    bins: dict[int, list[int]] = {}
    for number, line in enumerate(source):
        bins.setdefault(sum(len(line.split()) > end for end in LENGTHS), []).append(number)
    sacrebleus, found = scorer(run["metrics"][metric]["config"]), []
    for place in sorted(place for place, numbers in bins.items() if len(numbers) >= FEWEST):
        numbers = bins[place]
        low = LENGTHS[place - 1] + 1 if place else 1
        label = f"{low}–{LENGTHS[place]}" if place < len(LENGTHS) else f"{low} or more"
        some, wanted = [ours[number] for number in numbers], [references[number] for number in numbers]
        result = sacrebleus.corpus_score(some, [wanted])
        row = {"tokens": label, "sentences": len(numbers), "score": result.score}
        found.append(row | ({"length_ratio": result.ratio} if isinstance(result, BLEUScore) else {}))
    return found


def sentences(runs: list[Run]) -> dict[str, Any]:
    """What the page's table of translations shows.

    Returns:
        `source` and `reference` (raw lines), `metrics` (names), and `runs`: of each its `name`, `hypotheses`, and
        `scores`, a list for each metric.
    """
    source, reference = test_text(runs[0])
    names = shown_metrics(runs)
    return {
        "source": source,
        "reference": reference,
        "metrics": names,
        "runs": [
            {
                "name": run["run"],
                "hypotheses": hypotheses(run),
                "scores": [found[name] for name in names],
            }
            for run in runs
            for found in [sentence_scores(run)]
        ],
    }


def sentence_scores(run: Run) -> dict[str, list[float]]:
    """The scores of each sentence by metric."""
    found: dict[str, list[float]] = read_json(Path(run["stages"]["scoring"]) / "sentences.json")
    return found


def most_changed(base: Group, group: Group, metric: str) -> list[dict[str, Any]]:
    """The sentences in which a group differs most from the baseline, by the mean of their scores over the seeds.

    Args:
        base: the baseline.
        group: the other.
        metric: name of a metric that has scores of sentences.

    Returns:
        The most gained first, the most lost last: `number` (from 1), `change` (positive where it is better, also of
        TER), `source`, `reference`, and of the first run of each `baseline` and `hypothesis` with `baseline_run` and
        `hypothesis_run`.
    """
    ours, theirs = _means(group, metric), _means(base, metric)
    sign = -1 if base.runs[0]["metrics"][metric]["config"]["metric"] == "ter" else 1
    changes = sorted(
        (sign * (one - other), number) for number, (one, other) in enumerate(zip(ours, theirs, strict=True))
    )
    picked = changes[:MOST] + changes[MOST:][-MOST:]
    source, reference = test_text(base.runs[0])
    before, after = hypotheses(base.runs[0]), hypotheses(group.runs[0])
    return [
        {
            "number": number + 1,
            "change": change,
            "source": source[number],
            "reference": reference[number],
            "baseline": before[number],
            "hypothesis": after[number],
            "baseline_run": f"{base.label}, seed {base.runs[0]['seed']}",
            "hypothesis_run": f"{group.label}, seed {group.runs[0]['seed']}",
        }
        for change, number in reversed(picked)
        if change
    ]


def _means(group: Group, metric: str) -> list[float]:
    columns = [sentence_scores(run)[metric] for run in group.runs]
    return [sum(row) / len(row) for row in zip(*columns, strict=True)]
