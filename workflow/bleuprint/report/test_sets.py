"""The further test sets of `corpus.tests`: each has its own comparisons, as if all runs were tested on it alone."""

from dataclasses import dataclass

from bleuprint.report.comparison import Comparison, compare
from bleuprint.report.facts import on_test
from bleuprint.report.groups import Group, Run, groups


@dataclass(frozen=True)
class TestSet:
    """The runs on a further test set, in their groups, and what the paired tests say."""

    name: str
    groups: list[Group]
    base: Group
    comparisons: list[Comparison]

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
        test_sets.append(TestSet(name, members, baseline, compare(baseline, others, resamples, workers)))
    return test_sets
