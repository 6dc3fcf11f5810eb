"""Groups against a baseline: sacrebleu's paired tests of runs of the same seed, and what they allow to be said."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sacrebleu.significance import PairedTest

from bleuprint.files import read_lines
from bleuprint.report.groups import Group, Run, metrics
from bleuprint.scoring.metrics import scorer

ALPHA = 0.05
# Of fewer sentences that differ even all changed one way prove nothing: 2 · ½^5 > 0.05. sacrebleu's tests count only
# resamples that differ by *more* than the systems do, so that they find significance there.
FEWEST = 6


@dataclass(frozen=True)
class Pair:
    """Two runs of the same seed: the difference of their scores and the p-values of both tests."""

    seed: int
    difference: float  # the group's score less the baseline's
    bootstrap: float  # p of paired bootstrap resampling
    randomisation: float  # p of paired approximate randomisation
    better: bool  # the group's score is the better one; of TER that is the lower
    changed: int  # sentences that the two translate differently
    signatures: tuple[str, ...]  # sacrebleu's, of the two tests

    @property
    def significant(self) -> bool:
        """Both tests find the difference significant, and it lies in more than a few sentences."""
        return max(self.bootstrap, self.randomisation) < ALPHA and self.changed >= FEWEST


@dataclass(frozen=True)
class Comparison:
    """A group against the baseline by one metric.

    `separate`: all its scores lie on one side of all the baseline's. `unpaired`: runs of either that have no partner.
    """

    group: str
    baseline: str
    metric: str
    pairs: tuple[Pair, ...]
    separate: bool
    unpaired: int = 0
    problem: str | None = None  # why there are no pairs

    @property
    def word(self) -> str:
        """The conclusion in a word or two, for a table."""
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
        """As JSON, with the conclusion in words."""
        return asdict(self) | {"word": self.word, "conclusion": conclusion(self)}


def texts(run: Run, metric: str) -> tuple[list[str], list[str]]:
    """A run's hypotheses and their references as `metric` compares them."""
    stages, test = run["stages"], f"test.{run['target']}"
    if run["metrics"][metric]["config"]["text"] == "tokens":
        hypotheses, references = Path(stages["decoding"], "hypotheses.tok"), Path(stages["text"], "tokenized", test)
    else:
        hypotheses, references = Path(stages["decoding"], "hypotheses.txt"), Path(stages["corpus"], "raw", test)
    return read_lines(hypotheses), read_lines(references)


def compare(base: Group, others: list[Group], resamples: int, workers: int) -> list[Comparison]:
    """Each group against the baseline, by each metric that both have.

    Args:
        base: the baseline.
        others: the groups to compare with it.
        resamples: of the bootstrap, and trials of the randomisation.
        workers: processes.
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
    found = []
    for group, metric, problem in plans:
        pairs = tuple(next(results) for _ in _common(base, group)) if problem is None else ()
        ours, theirs = group.scores(metric), base.scores(metric)
        separate = bool(ours and theirs) and (min(ours) > max(theirs) or max(ours) < min(theirs))
        unpaired = len(group.runs) + len(base.runs) - 2 * len(pairs)
        found.append(Comparison(group.label, base.label, metric, pairs, separate, unpaired, problem))
    return found


def _common(base: Group, group: Group) -> list[int]:
    return sorted(base.seeds.keys() & group.seeds.keys())


def _problem(base: Group, group: Group, metric: str) -> str | None:
    """Why the runs cannot be paired, or None."""
    one, other = base.runs[0], group.runs[0]
    if not base.scores(metric) or not group.scores(metric):
        return f"{metric} was not computed for both"
    if one["metrics"][metric]["config"] != other["metrics"][metric]["config"]:
        return f"{metric} is not configured alike"
    if not _common(base, group):
        return "they have no seed in common, and pairs are made of the same seeds"
    if texts(one, metric)[1] != texts(other, metric)[1]:
        return "the references that it compares with differ"
    return None


def _pair(base: Run, run: Run, metric: str, resamples: int) -> Pair:
    """Both of sacrebleu's paired tests of two runs."""
    (ours, references), (theirs, _) = texts(run, metric), texts(base, metric)
    config = run["metrics"][metric]["config"]
    difference = run["metrics"][metric]["score"] - base["metrics"][metric]["score"]
    systems: list[tuple[str, Sequence[str]]] = [("baseline", theirs), ("run", ours)]
    p, signatures = [], []
    named_metric = {metric: scorer(config, references=references)}
    for kind in ("bs", "ar"):
        named, scores = PairedTest(systems, named_metric, None, test_type=kind, n_samples=resamples)()
        ((name, signature),) = named.items()
        signatures.append(str(signature))
        result: Any = scores[name][1]
        # Of two systems with the same score sacrebleu can say p = 1 / (resamples + 1): no resample differs by more
        p.append(result.p_value if difference else 1.0)
    changed = sum(one != other for one, other in zip(ours, theirs, strict=True))
    better = difference < 0 if config["metric"] == "ter" else difference > 0
    return Pair(run["seed"], difference, p[0], p[1], better, changed, tuple(signatures))


def conclusion(found: Comparison) -> str:
    """What a comparison allows to be said, and what not, in words."""
    names = f"{found.group} against {found.baseline}, {found.metric}"
    if found.problem is not None:
        return f"{names}: not compared, {found.problem}."
    pairs = found.pairs
    n, wins, significant = len(pairs), sum(pair.better for pair in pairs), sum(pair.significant for pair in pairs)
    mean = f"{sum(pair.difference for pair in pairs) / n:+.2f}"
    p = [max(pair.bootstrap, pair.randomisation) for pair in pairs]
    word = "better" if wins == n else "worse"
    alike = wins in (0, n)
    seeds = f"{n} seed pairs" if n > 1 else f"seed {pairs[0].seed}"
    end = f"; {found.unpaired} runs have no partner of their seed and are left out of this" if found.unpaired else ""
    if n == 1 and not found.unpaired:
        end = "; one seed each, so no claim about training variance: another seed may turn it round"
    if significant == n and alike and n > 1:
        overlap = (
            "and every run of one scores above every run of the other"
            if found.separate
            else "but the two groups' scores overlap: more seeds are needed"
        )
        return f"{names}: {word} in all {seeds} (mean {mean}, largest p = {max(p):.3f}), {overlap}{end}."
    if significant == n and alike:
        return f"{names}: this model is {word} on this test set, {seeds} ({mean}, p = {p[0]:.3f}){end}."
    if significant:
        better = sum(pair.significant and pair.better for pair in pairs)
        counts = f"{better} significantly better and {significant - better} worse"
        torn = ": what is better depends on the seed" if 0 < better < significant else ""
        return f"{names}: not decided, of {seeds} {counts} (mean {mean}){torn}{end}."
    few = max(pair.changed for pair in pairs)
    why = f", at most {few} sentences differ" if min(p) < ALPHA and few < FEWEST else ""
    figures = f"mean {mean}, smallest p = {min(p):.3f}" if n > 1 else f"{mean}, p = {p[0]:.3f}"
    return f"{names}: no difference shown, {seeds} ({figures}{why}){end}."


def cautions(comparisons: list[Comparison]) -> list[str]:
    """What a reader of the conclusions must know about all of them."""
    tests = sum(len(one.pairs) for one in comparisons)
    lines = ["The tests speak of this test set only, and a difference not shown is no proof that there is none."]
    if any(len(one.pairs) in (2, 3, 4) for one in comparisons):
        lines.append("A few seeds bound the variance of training only roughly.")
    if tests > 1:
        lines.append(
            f"{tests} pairs were tested, over all metrics; p is not corrected: of twenty true equalities one comes out "
            f"below {ALPHA}."
        )
    return lines if tests else []
