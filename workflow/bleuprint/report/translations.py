"""The translations of the test set: sentence by sentence, scores by length, and where two groups differ most."""

from typing import Any

from bleuprint.report.comparison import scored
from bleuprint.report.facts import references, sentence_scores, test_lines, test_source
from bleuprint.report.groups import Group, Run, metrics, titles
from bleuprint.scoring.metrics import METRICS, kind_of, scorer

LENGTHS = (10, 20, 30, 40)  # upper ends of the bins, in tokens of the source; the last bin has none
FEWEST = 10  # sentences of a bin; a score on fewer would mean nothing
MOST = 5  # sentences shown of the largest gains, and as many of the largest losses


def same_test(runs: list[Run]) -> list[Run]:
    """Return the runs that were tested on the same text as the first run."""
    return [run for run in runs if test_text(run) == test_text(runs[0])]


def test_text(run: Run) -> tuple[list[str], list[list[str]]]:
    """Read the raw test set: the source lines, and the lines of each reference."""
    return test_source(run, "raw"), references(run, "raw")


def hypotheses(run: Run) -> list[str]:
    """Read the detokenised hypotheses, in the order of the test set."""
    return test_lines(run, "decoding", "hypotheses.txt")


def shown_metrics(runs: list[Run]) -> list[str]:
    """Return the metrics shown for single sentences: of each kind (BLEU, chrF, TER) the first that all runs have."""
    names: dict[str, str] = {}  # kind → name
    for name in metrics(runs):
        if all(name in run["metrics"] for run in runs):
            names.setdefault(runs[0]["metrics"][name]["config"]["metric"], name)
    return list(names.values())


def finest_metric(runs: list[Run]) -> str:
    """Return the shown metric that ranks single sentences best: chrF, else BLEU, else TER; empty if none is shown."""
    kinds = {runs[0]["metrics"][name]["config"]["metric"]: name for name in shown_metrics(runs)}
    return next((kinds[kind] for kind in METRICS if kind in kinds), "")


def by_length(run: Run, metric: str) -> list[dict[str, Any]]:
    """Score the sentences by the length of their source.

    Returns:
        For each bin with ten sentences or more: `tokens` (its label), `sentences`, `score`, and for BLEU
        `length_ratio` (hypothesis to reference, in tokens).
    """
    ours, against = scored(run, metric)
    source = test_source(run, "tokenized")
    bins: dict[int, list[int]] = {}
    for number, line in enumerate(source):
        bins.setdefault(sum(len(line.split()) > end for end in LENGTHS), []).append(number)
    config = run["metrics"][metric]["config"]
    metric_scorer, lengths, rows = scorer(config), kind_of(config).reports_lengths, []
    for place in sorted(place for place, numbers in bins.items() if len(numbers) >= FEWEST):
        numbers = bins[place]
        low = LENGTHS[place - 1] + 1 if place else 1
        label = f"{low}–{LENGTHS[place]}" if place < len(LENGTHS) else f"{low} or more"
        result: Any = metric_scorer.corpus_score(
            [ours[number] for number in numbers], [[lines[number] for number in numbers] for lines in against]
        )
        row = {"tokens": label, "sentences": len(numbers), "score": result.score}
        rows.append(row | ({"length_ratio": result.ratio} if lengths else {}))
    return rows


def sentences(runs: list[Run]) -> dict[str, Any]:
    """Collect what the page's table of translations shows.

    Returns:
        `source` (raw lines), `references` (the lines of each), `metrics` (names for people), `order` (which of them
        orders sentences), and `runs`: for each run its `name`, `hypotheses`, and `scores`, a list for each metric.
    """
    source, against = test_text(runs[0])
    names, shown, finest = shown_metrics(runs), titles(runs), finest_metric(runs)
    return {
        "source": source,
        "references": against,
        "metrics": [shown[name] for name in names],
        "order": names.index(finest) if finest else None,
        "runs": [
            {
                "name": run["run"],
                "hypotheses": hypotheses(run),
                "scores": [scores[name] for name in names],
            }
            for run in runs
            for scores in [sentence_scores(run)]
        ],
    }


def most_changed(base: Group, group: Group, metric: str) -> list[dict[str, Any]]:
    """Return the sentences in which a group differs most from the baseline, by their mean score over the seeds.

    Args:
        base: the baseline.
        group: the other group.
        metric: the name of a metric with scores of single sentences.

    Returns:
        From the largest gain to the largest loss: `number` (from 1), `change` (positive if the group is better, also
        for TER), `source`, `reference`, and from each group's first run `baseline` and `hypothesis`, with the labels
        `baseline_run` and `hypothesis_run`.
    """
    ours, theirs = _means(group, metric), _means(base, metric)
    sign = -1 if kind_of(base.runs[0]["metrics"][metric]["config"]).lower_is_better else 1
    changes = sorted(
        (sign * (our - their), number) for number, (our, their) in enumerate(zip(ours, theirs, strict=True))
    )
    picked = changes[:MOST] + changes[MOST:][-MOST:]
    source, (reference, *_) = test_text(base.runs[0])
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
