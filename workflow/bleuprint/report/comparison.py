"""Compare groups with a baseline: sacrebleu's paired tests of runs with the same seed, and the conclusions."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from bleuprint.report.facts import references, sentence_scores, test_lines
from bleuprint.report.groups import Group, Run, metrics, titles
from bleuprint.scoring.metrics import kind_of, scorer

ALPHA = 0.05
# Fewer sentences that differ cannot be significant, even if all of them changed in one direction: 2 · ½^5 > 0.05.
# sacrebleu's tests count only resamples that differ by *more* than the systems do, and so may call them significant.
FEWEST = 6


@dataclass(frozen=True)
class Pair:
    """Two runs of the same seed: the difference of their scores and the p-values of both tests."""

    seed: int
    difference: float  # the group's score minus the baseline's
    bootstrap: float  # p-value of paired bootstrap resampling
    randomisation: float  # p-value of paired approximate randomisation
    better: bool  # the group's score is the better one; for TER that is the lower one
    changed: int  # sentences that the two translate differently
    signatures: tuple[str, ...]  # sacrebleu's, of the two tests

    @property
    def significant(self) -> bool:
        """Tell whether both tests find the difference significant and enough sentences differ."""
        return max(self.bootstrap, self.randomisation) < ALPHA and self.changed >= FEWEST


@dataclass(frozen=True)
class Comparison:
    """A group against the baseline by one metric.

    `separate`: the two groups' scores do not overlap. `unpaired`: the number of runs in both groups without a partner.
    """

    group: str
    baseline: str
    metric: str
    pairs: tuple[Pair, ...]
    separate: bool
    unpaired: int = 0
    problem: str | None = None  # why there are no pairs
    title: str = ""  # the metric's name for people

    @property
    def word(self) -> str:
        """Return the conclusion in a few words, for a table."""
        if self.problem is not None:
            return "not compared"
        wins, significant = sum(pair.better for pair in self.pairs), sum(pair.significant for pair in self.pairs)
        if not significant:
            return "no difference shown"
        if significant < len(self.pairs) or wins not in (0, len(self.pairs)):
            return "not decided"
        if len(self.pairs) == 1:
            return f"{'better' if wins else 'worse'}, one seed pair"
        return ("better" if wins else "worse") + ("" if self.separate else ", scores overlap")

    def record(self) -> dict[str, Any]:
        """Return the comparison as JSON values, with the conclusion in words."""
        return asdict(self) | {"word": self.word, "conclusion": conclusion(self)}


def texts(run: Run, metric: str) -> tuple[list[str], list[list[str]]]:
    """Read a run's hypotheses, and its references, in the form that `metric` compares: tokens or running text."""
    if run["metrics"][metric]["config"]["text"] == "tokens":
        return test_lines(run, "decoding", "hypotheses.tok"), references(run, "tokenized")
    return test_lines(run, "decoding", "hypotheses.txt"), references(run, "raw")


def scored(run: Run, metric: str) -> tuple[Sequence[Any], list[list[str]]]:
    """Read what the metric's scorer takes: `texts`, or the scores that a model gave to the sentences."""
    if kind_of(run["metrics"][metric]["config"]).by_model:
        return sentence_scores(run)[metric], []
    return texts(run, metric)


def compare(base: Group, others: list[Group], resamples: int, workers: int) -> list[Comparison]:
    """Compare each group with the baseline, by each metric of either.

    Args:
        base: the baseline.
        others: the groups to compare with it.
        resamples: the number of bootstrap resamples and of randomisation trials.
        workers: the number of processes.
    """
    names = [(group, metric) for group in others for metric in metrics([*base.runs, *group.runs])]
    plans = [(group, metric, _problem(base, group, metric)) for group, metric in names]
    tasks = [
        (base.seeds[seed], group.seeds[seed], metric, resamples)
        for group, metric, problem in plans
        if problem is None
        for seed in _common(base, group)
    ]
    with ProcessPoolExecutor(max_workers=workers) as pool:
        results = iter(list(pool.map(_pair, *zip(*tasks, strict=True)))) if tasks else iter(())
    comparisons, names_shown = [], titles([run for group in (base, *others) for run in group.runs])
    for group, metric, problem in plans:
        pairs = tuple(next(results) for _ in _common(base, group)) if problem is None else ()
        ours, theirs = group.scores(metric), base.scores(metric)
        separate = bool(ours and theirs) and (min(ours) > max(theirs) or max(ours) < min(theirs))
        unpaired = len(group.runs) + len(base.runs) - 2 * len(pairs)
        shown = names_shown[metric]
        comparisons.append(Comparison(group.label, base.label, metric, pairs, separate, unpaired, problem, shown))
    return comparisons


def _common(base: Group, group: Group) -> list[int]:
    return sorted(base.seeds.keys() & group.seeds.keys())


def _problem(base: Group, group: Group, metric: str) -> str | None:
    """Return why the groups cannot be compared by `metric`, or None."""
    first, other = base.runs[0], group.runs[0]
    if not base.scores(metric) or not group.scores(metric):
        return f"{metric} was not computed for both"
    if first["metrics"][metric]["config"] != other["metrics"][metric]["config"]:
        return f"{metric} is configured differently"
    if not _common(base, group):
        return "they have no seed in common"
    if texts(first, metric)[1] != texts(other, metric)[1]:
        return "their references differ"
    return None


def _pair(base: Run, run: Run, metric: str, resamples: int) -> Pair:
    """Run both of sacrebleu's paired tests on two runs."""
    from sacrebleu.significance import PairedTest  # 0.2 s, and one run alone is not compared

    (ours, against), (theirs, _) = scored(run, metric), scored(base, metric)
    config = run["metrics"][metric]["config"]
    difference = run["metrics"][metric]["score"] - base["metrics"][metric]["score"]
    systems: list[tuple[str, Sequence[Any]]] = [("baseline", theirs), ("run", ours)]
    p_values, signatures = [], []
    named_metric = {metric: scorer(config, references=against)}
    for kind in ("bs", "ar"):
        named, scores = PairedTest(systems, named_metric, None, test_type=kind, n_samples=resamples)()
        ((name, signature),) = named.items()
        signatures.append(str(signature))
        result: Any = scores[name][1]
        # For two systems with the same score sacrebleu may return p = 1 / (resamples + 1): no resample differs by more
        p_values.append(result.p_value if difference else 1.0)
    translations = (texts(one, metric)[0] for one in (run, base))
    changed = sum(our != their for our, their in zip(*translations, strict=True))
    better = difference < 0 if kind_of(config).lower_is_better else difference > 0
    return Pair(run["seed"], difference, p_values[0], p_values[1], better, changed, tuple(signatures))


def conclusion(comparison: Comparison) -> str:
    """Return the conclusion as a sentence, with the figures that it rests on."""
    names = f"{comparison.group} against {comparison.baseline}, {comparison.title or comparison.metric}"
    if comparison.problem is not None:
        return f"{names}: not compared, {comparison.problem}."
    pairs = comparison.pairs
    n, wins, significant = len(pairs), sum(pair.better for pair in pairs), sum(pair.significant for pair in pairs)
    mean = f"{sum(pair.difference for pair in pairs) / n:+.2f}"
    p_values = [max(pair.bootstrap, pair.randomisation) for pair in pairs]
    word = "better" if wins == n else "worse"
    same_direction = wins in (0, n)
    seeds = f"{n} seed pairs" if n > 1 else f"seed {pairs[0].seed}"
    end = ""
    if comparison.unpaired:
        end = f"; runs without a partner of the same seed, left out: {comparison.unpaired}"
    elif n == 1:
        end = "; one seed each, so no claim about training variance: another seed may reverse it"
    if significant == n and same_direction and n > 1:
        overlap = (
            "and the two groups' scores do not overlap"
            if comparison.separate
            else "but the two groups' scores overlap: more seeds are needed"
        )
        return f"{names}: {word} in all {seeds} (mean {mean}, largest p = {max(p_values):.3f}), {overlap}{end}."
    if significant == n and same_direction:
        return f"{names}: this model is {word} on this test set, {seeds} ({mean}, p = {p_values[0]:.3f}){end}."
    if significant:
        better = sum(pair.significant and pair.better for pair in pairs)
        counts = f"{better} significantly better and {significant - better} significantly worse"
        torn = ": which one is better depends on the seed" if 0 < better < significant else ""
        return f"{names}: not decided, of {seeds} {counts} (mean {mean}){torn}{end}."
    changed = max(pair.changed for pair in pairs)
    reason = f", at most {changed} sentences differ" if min(p_values) < ALPHA and changed < FEWEST else ""
    figures = f"mean {mean}, smallest p = {min(p_values):.3f}" if n > 1 else f"{mean}, p = {p_values[0]:.3f}"
    return f"{names}: no difference shown, {seeds} ({figures}{reason}){end}."


def cautions(comparisons: list[Comparison]) -> list[str]:
    """Return sentences on the limits of all these conclusions."""
    tests = sum(len(comparison.pairs) for comparison in comparisons)
    lines = ["The tests are about this test set only; where no difference is shown, there may still be one."]
    if any(len(comparison.pairs) in (2, 3, 4) for comparison in comparisons):
        lines.append("A few seeds give only a rough estimate of the training variance.")
    if tests > 1:
        lines.append(
            f"{tests} pairs were tested over all metrics, and p is not corrected for that: of twenty pairs without a "
            f"true difference one is expected to give p < {ALPHA}."
        )
    return lines if tests else []
