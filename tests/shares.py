"""How long each test file may take in `make test`, and in which order two workers take the files.

After a change of SECONDS, `python tests/shares.py` writes them into CONTRIBUTING.md.
"""

import itertools
import re
from collections import defaultdict
from operator import itemgetter
from pathlib import Path
from statistics import median

import pytest

# Seconds of each long test file in `make test`, beside another one, on an idle machine of two cores; a fixture of the
# whole session counts for the file that computes it. After a change that is meant to take longer: `pytest --shares`
# prints them. The files that take longest are begun first.
SECONDS = {
    "test_end_to_end": 300,
    "test_docs": 130,
    "test_workflow": 100,
    "test_kill": 90,
    "test_page": 60,
    "test_segmenters": 60,
    "test_seals": 50,
    "test_hostile": 50,
    "test_slurm": 40,
    "test_translate": 40,
    "test_lease": 30,
    "test_soak": 30,
    "test_distributed": 30,
    "test_terminal": 30,
    "test_provenance": 20,
    "test_report": 20,
}
DEFAULT = 25.0  # seconds of any other test file
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"
LIST = re.compile("(?<=Seconds of the test files: ).*(?= All others)")
HEADROOM = 3.0  # times as long as on an idle machine, because machines are shared


def too_long(seconds: dict[str, float]) -> list[str]:
    """Return a sentence for each test file that took more than its share of time.

    A slower machine makes all files slower, so the shares grow with the median over the files in SECONDS.
    """
    ratios = [seconds[name] / usual for name, usual in SECONDS.items() if name in seconds]
    pace = max(1.0, median(ratios)) if ratios else 1.0
    shares = {name: HEADROOM * pace * SECONDS.get(name, DEFAULT) for name in seconds}
    return [
        f"tests/{name}.py took {seconds[name]:.0f} s and its share is {share:.0f} s: make it faster, move what is long "
        "to make nightly, or raise its share in tests/shares.py"
        for name, share in shares.items()
        if seconds[name] > share
    ]


def with_seconds(text: str) -> str:
    """Return the text of CONTRIBUTING.md with the seconds of each long test file, the longest first."""
    longest = sorted(SECONDS.items(), key=itemgetter(1), reverse=True)
    return LIST.sub(", ".join(f"{name.removeprefix('test_')} {seconds}" for name, seconds in longest) + ".", text)


def in_a_worker(config: pytest.Config) -> bool:
    """Return whether this is one of the two processes in which `make test` runs tests side by side."""
    return hasattr(config, "workeroutput")


def longest_first(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first, so that all workers end at about the same time."""
    items.sort(key=lambda item: SECONDS.get(item.path.stem, 0), reverse=True)


def check(session: pytest.Session) -> None:
    """Fail a whole run in which a test file took too long."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    seconds: dict[str, float] = defaultdict(float)
    for report in itertools.chain(*reporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[Path(report.nodeid.partition("::")[0]).stem] += report.duration
    longest = sorted(seconds.items(), key=itemgetter(1), reverse=True)
    reporter.write_line("\n\nseconds: " + ", ".join(f"{name} {value:.0f}" for name, value in longest))
    if sentences := too_long(seconds):
        session.shouldfail = "; ".join(sentences)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


if __name__ == "__main__":
    CONTRIBUTING.write_text(with_seconds(CONTRIBUTING.read_text(encoding="utf-8")), encoding="utf-8")
