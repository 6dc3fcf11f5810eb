"""The further test sets of `corpus.tests`: each has its own comparisons, as if all runs were tested on it alone."""

from dataclasses import dataclass, field
from pathlib import Path

from bleuprint.corpus.further import prepared_doubts
from bleuprint.corpus.leaks import leak
from bleuprint.files import read_json
from bleuprint.report.comparison import Comparison, compare
from bleuprint.report.facts import on_test
from bleuprint.report.groups import Group, Run, groups
from bleuprint.report.soundness import unknown_subwords
from bleuprint.text.unknown import many


@dataclass(frozen=True)
class TestSet:
    """The runs on a further test set, in their groups, what the paired tests say, and what is odd about the text."""

    name: str
    groups: list[Group]
    base: Group
    comparisons: list[Comparison]
    doubts: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """The runs on this test set."""
        return [run for group in self.groups for run in group.runs]


def further(all_groups: list[Group], base: Group, resamples: int, workers: int) -> list[TestSet]:
    """Return the further test sets of the runs, in the order in which the runs name them.

    Args:
        all_groups: the groups on the corpus' own test set.
        base: the baseline among them; where it was not scored on a test set, the first group that was is the baseline.
        resamples: for the paired tests.
        workers: processes for them.
    """
    runs = [run for group in all_groups for run in group.runs]
    labels = {run["run"]: group.label for group in all_groups for run in group.runs}
    test_sets = []
    for name in dict.fromkeys(name for run in runs for name in run.get("tests", {})):
        scored = [on_test(run, name) | {"verdict": None} for run in runs if name in run.get("tests", {})]
        members = [
            Group(labels[group.runs[0]["run"]], group.words, group.runs) for group in groups(scored)
        ]  # with the labels that they have elsewhere in the report
        baseline = next((group for group in members if group.label == base.label), members[0])
        others = [group for group in members if group is not baseline]
        comparisons = compare(baseline, others, resamples, workers)
        test_sets.append(TestSet(name, members, baseline, comparisons, _doubts(scored)))
    return test_sets


def _doubts(runs: list[Run]) -> list[str]:
    """Return a sentence on all that is odd about a test set, beside the text of each run."""
    sentences: dict[str, None] = {}
    for folder in dict.fromkeys(run["stages"]["testset"] for run in runs):
        path = Path(folder, "checks.json")
        if not path.exists():  # made before test sets were checked
            continue
        checked = read_json(path)
        found = [doubt.sentence for doubt in prepared_doubts(checked)]
        found += [leak("test", counts) for counts in checked["parts"].values()]
        sentences |= {f"{sentence[0].upper()}{sentence[1:]}.": None for sentence in found if sentence}
        unknown, examples = checked.get("unknown", {}), checked.get("unknown_examples", {})
        if names := many(unknown):
            sentences[unknown_subwords({name: unknown[name] for name in names}, examples)] = None
    return list(sentences)
