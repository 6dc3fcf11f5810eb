"""The test sets that sacreBLEU knows by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bleuprint.config.languages import primary
from bleuprint.files import DataError

if TYPE_CHECKING:  # sacrebleu is imported where a set is named: it takes 0.1 s
    from sacrebleu.dataset.base import Dataset

PREFIX = "sacrebleu/"  # before a set's name, as in sacrebleu/wmt20


def find(where: str, languages: tuple[str, str]) -> tuple[Dataset, str]:
    """Return a set of sacreBLEU's, and its name of the language pair.

    Args:
        where: PREFIX and the set's name.
        languages: source and target.

    Raises:
        DataError: sacreBLEU has no such set, or not for these languages.
    """
    from sacrebleu.dataset import DATASETS

    name = where.removeprefix(PREFIX)
    if name not in DATASETS:
        near = get_close_matches(name, DATASETS, n=5) or [known for known in DATASETS if "/" not in known]
        raise DataError(f"{where}: sacreBLEU has no test set of this name; it has for instance {', '.join(near)}")
    dataset = DATASETS[name]
    pairs = ["-".join(languages), "-".join(map(primary, languages))]
    for pair in pairs:
        if pair in dataset.langpairs:
            return dataset, pair
    raise DataError(f"{where}: sacreBLEU has it for {', '.join(sorted(dataset.langpairs))}, and not for {pairs[0]}")


def archives(where: str, languages: tuple[str, str]) -> dict[str, Path]:
    """Return the addresses of a published set's archives, each with the file of sacreBLEU's cache that keeps it.

    Args:
        where: as in `corpus.tests`; of the user's own files there are none.
        languages: source and target.

    Raises:
        DataError: sacreBLEU has no such set, or not for these languages.
    """
    if not where.startswith(PREFIX):
        return {}
    dataset: Any = find(where, languages)[0]
    return {url: Path(dataset._rawdir, dataset._get_tarball_filename(url)) for url in dataset.data or ()}
