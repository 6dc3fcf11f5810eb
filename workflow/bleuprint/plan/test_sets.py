"""Read the user's own further test sets before any job, so that a fault in one ends the call at once."""

from collections.abc import Iterable
from pathlib import Path

from bleuprint.config.published import PREFIX
from bleuprint.config.schema import Experiment


def check_test_sets(test_sets: Iterable[tuple[str, Experiment]]) -> None:
    """Check that the user's own test sets can be read; one that a job has read already is not read again.

    Published sets are downloaded by a job; that sacreBLEU has them for these languages is known without it.

    Args:
        test_sets: folders of the stage, each with the experiment on that test set.

    Raises:
        DataError: a file is wrong, or the sides of a test set differ in length or are empty.
    """
    for folder, experiment in test_sets:
        if experiment.monolingual or Path(folder, "raw").is_dir():
            continue
        where = experiment.corpus.tests[str(experiment.test)]
        if not where.startswith(PREFIX):
            from bleuprint.corpus.test_sets import read  # loads what checks a text, which few calls need

            read(where, (experiment.source, experiment.target))
