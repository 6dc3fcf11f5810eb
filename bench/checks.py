"""The checks of the text: what they cost, and how often they are wrong.

    python bench/run.py checks                        what they cost
    python bench/checks.py de=FILE.gz en=FILE.gz …    how often they are wrong on these files, a Markdown table

The files are raw text, one sentence a line, each in the language that its name before `=` says.
"""

import gzip
import resource
import statistics
import sys
from pathlib import Path

from measure import measure, prepared
from tabulate import tabulate

TURNS = 3


def bench_checks(folder: Path, archive: Path) -> dict[str, float]:
    """Measure the processor time of the checks, with those of the raw files and without, and of the text stage."""
    text = prepared(folder, archive)
    (raw,) = (text.parents[1] / "corpus").glob("*/raw")
    command = [sys.executable, "-m", "bleuprint.corpus.checks", "--text", str(text / "tokenized")]
    command += ["--source", "de", "--target", "en", "--output", str(folder / "checks.json")]
    turns = [[used(words, folder) for words in (command, [*command, "--raw", str(raw)])] for _ in range(TURNS)]
    pairs_alone, both = (statistics.median(column) for column in zip(*turns, strict=True))
    return {
        "checks of the pairs, processor s": pairs_alone,
        "checks of the pairs and of the raw files, processor s": both,
        "the jobs of the text stage, processor s": sum(map(processor_seconds, text.glob("*.benchmark.tsv"))),
    }


def used(command: list[str], folder: Path) -> float:
    """Run a command; its seconds of processor time in user mode."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    measure(command, folder)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def processor_seconds(benchmark: Path) -> float:
    """Return the processor time of a job, as Snakemake sampled it."""
    return float(benchmark.read_text().splitlines()[1].split("\t")[-1])


def wrong(language: str, lines: list[str], languages: set[str]) -> dict[str, object]:
    """Return how often the checks suspect good lines, and how many they notice if another language is named."""
    from bleuprint.corpus.identify import judged
    from bleuprint.corpus.monolingual import has_markup, mojibake

    long_lines = [line for line in lines if judged(line)]
    noticed = min(suspected(long_lines, other) for other in languages - {language})
    return {
        "lines": f"{len(lines):,}",
        "long enough": f"{len(long_lines):,}",
        "said to be of another language": suspected(long_lines, language),
        "noticed, if another is named": f"{noticed / len(long_lines):.1%}",
        "markup": sum(map(has_markup, lines)),
        "mojibake": sum(map(mojibake, lines)),
    }


def suspected(lines: list[str], code: str) -> int:
    """Return how many lines do not look like a language."""
    from bleuprint.corpus.identify import label, other_languages

    return sum(other is not None for other in other_languages(lines, str(label(code))))


def main() -> None:
    """Print the table."""
    files = [word.partition("=") for word in sys.argv[1:]]
    rows = []
    for language, _, name in files:
        lines = gzip.decompress(Path(name).read_bytes()).decode("utf-8").splitlines()
        lines = lines[:: max(1, len(lines) // 4000)]
        rows.append({"file": Path(name).name} | wrong(language, lines, {language for language, *_ in files}))
    print(tabulate(rows, headers="keys", tablefmt="github"))


if __name__ == "__main__":
    from measure import ROOT

    sys.path.insert(0, str(ROOT / "workflow"))
    main()
