"""Write the report's tables: scores.json and .tsv for scripts, .txt for the terminal, .md for an issue or a paper."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bleuprint.corpus.leaks import leak
from bleuprint.files import replacing, visible, write_json, write_lines
from bleuprint.report import family
from bleuprint.report.comparison import Comparison, cautions, conclusion
from bleuprint.report.facts import checks
from bleuprint.report.groups import Group, Run, brief, interval, metrics, one_line, ranking, summary, titles
from bleuprint.report.test_sets import TestSet
from bleuprint.report.verdict import verdict_lines
from bleuprint.scoring.metrics import kind_of
from bleuprint.widths import USUAL

FOLDED = {"length": "len"}  # narrower headings
NAME = 30  # columns of a name, or of overrides, that is broken because its table would be too wide
MOST = 60  # runs that the terminal shows one by one, and the page with figures, translations, costs and commands
OVERRIDES = "overrides"  # the heading of their column


def rows(runs: list[Run]) -> list[dict[str, Any]]:
    """Return one flat row a run: names, sentences, all scores, brevity penalty and length ratio of the first BLEU."""
    table = []
    for run in runs:
        row = {key: run[key] for key in ("run", "recipe", "corpus", "model", "seed", "sentences")}
        row["overrides"] = " ".join(run["overrides"])
        row |= {name: metric["score"] for name, metric in run["metrics"].items()}
        bleu: dict[str, Any] = next((metric for metric in run["metrics"].values() if "brevity_penalty" in metric), {})
        table.append(row | {key: bleu[key] for key in ("brevity_penalty", "length_ratio") if key in bleu})
    return table


def show(runs: list[Run]) -> str:
    """Render the table of runs for a terminal, without columns that the run's name or all runs have in common."""
    common = set(runs[0]["overrides"]).intersection(*(run["overrides"] for run in runs))
    words = [[brief(word) for word in run["overrides"] if word not in common] for run in runs]
    table = rows([run | {"overrides": own} for run, own in zip(runs, words, strict=True)])
    hidden = {"recipe", "model", "seed"} | (set() if any(row["overrides"] for row in table) else {"overrides"})
    if len({(row["corpus"], row["sentences"]) for row in table}) == 1:
        hidden |= {"corpus", "sentences"}
    names = titles(runs)
    headings = {key: key for key in ("run", "corpus", "sentences", "overrides") if key not in hidden} | names
    headings |= {"brevity_penalty": "BP", "length_ratio": "length"}
    shown = [{heading: row[key] for key, heading in headings.items() if key in row} for row in table]
    shown = [{key: one_line(value) if isinstance(value, str) else value for key, value in row.items()} for row in shown]
    return "\n".join(narrow(shown, list(names.values())))


def narrow(table: list[dict[str, Any]], names: list[str]) -> list[str]:
    """Render a table that is whole on a usual terminal: headings, names and overrides broken, then metrics left out.

    Args:
        table: one dictionary a row; the first column is a name.
        names: the columns that may be left out, the last first; one of them stays.

    Returns:
        The table, and a sentence on what was left out.
    """
    for count in range(len(names), 0, -1):
        left_out = names[count:]
        kept = [{key: value for key, value in row.items() if key not in left_out} for row in table]
        folded = [{_folded(key): value for key, value in row.items()} for row in kept]
        for rows, width in ((kept, None), (folded, None), (folded, NAME)):
            widths = [width if key in (next(iter(rows[0])), OVERRIDES) else None for key in rows[0]] if width else None
            text = tabulate(rows, headers="keys", floatfmt=".2f", maxcolwidths=widths)
            if max(map(len, text.splitlines())) <= USUAL or (count == 1 and width):
                note = f"No room for {' and '.join(left_out)} here; scores.md beside the report has them."
                return [text, note] if left_out else [text]
    return []


def _folded(heading: str) -> str:
    """Return a heading on two lines, or a shorter one."""
    return FOLDED.get(heading, re.sub("_| (?=\\()", "\n", heading, count=1))


def score_text(group: Group, metric: str, ranges: bool = True) -> str:
    """Render a group's score: mean ± standard deviation (range) over its seeds, or one score with its 95 % interval."""
    scores = group.scores(metric)
    if not scores:
        return "–"
    if len(scores) == 1:
        low, high = interval(group.runs[0]["metrics"][metric])
        return f"{scores[0]:.2f} [{low:.2f}, {high:.2f}]"
    stats = summary(scores)
    return f"{stats['mean']:.2f} ± {stats['sd']:.2f}" + (f" ({stats['min']:.2f}–{stats['max']:.2f})" if ranges else "")


def best_first(groups: list[Group]) -> list[Group]:
    """Sort the groups by the mean of the metric that ranks, the best first; groups without that metric come last."""
    metric = metrics([run for group in groups for run in group.runs])[0]

    def key(group: Group) -> tuple[bool, float]:
        scores = group.scores(metric)
        if not scores:
            return True, 0.0
        mean = summary(scores)["mean"] or 0.0
        return False, mean if kind_of(group.runs[0]["metrics"][metric]["config"]).lower_is_better else -mean

    return sorted(groups, key=key)


def group_rows(
    groups: list[Group], base: Group, comparisons: list[Comparison], ranges: bool = True
) -> list[dict[str, str]]:
    """Return one row a group, best first: label, seeds, each metric, the comparison with the baseline, the verdict."""
    names = titles([run for group in groups for run in group.runs])
    words = {comparison.group: comparison.word for comparison in comparisons if comparison.metric == next(iter(names))}
    table = []
    for group in best_first(groups):
        row = {"group": group.label, "seeds": str(len(group.runs))}
        row |= {title: score_text(group, name, ranges) for name, title in names.items()}
        if len(groups) > 1:
            row["against the baseline"] = "baseline" if group is base else words.get(group.label, "–")
        verdicts = [run["verdict"]["word"] for run in group.runs if run.get("verdict")]
        if verdicts:
            row["published score"] = ", ".join(
                word if verdicts.count(word) == len(verdicts) else f"{verdicts.count(word)} × {word}"
                for word in dict.fromkeys(verdicts)
            )
        table.append(row)
    columns = dict.fromkeys(key for row in table for key in row)
    return [{key: row.get(key, "–") for key in columns} for row in table]


def words(groups: list[Group], comparisons: list[Comparison], missing: list[str]) -> list[str]:
    """Return the report's sentences: missing runs, leaks, conclusions by one metric, their limits, tuning, verdicts.

    The metric is the one that ranks; if no runs were compared by it, the next one by which some were.
    """
    names = metrics([run for group in groups for run in group.runs])
    tested_by = {comparison.metric for comparison in comparisons if comparison.pairs}
    metric = next((name for name in names if name in tested_by), names[0])
    conclusions = [conclusion(comparison) for comparison in comparisons if comparison.metric == metric]
    tuned = [tuned_line(run) for group in groups for run in group.runs if "tuned" in run]
    return [*missing, *leak_lines(groups), *conclusions, *cautions(comparisons), *tuned, *verdict_lines(groups)]


def tuned_line(run: Run) -> str:
    """Return a sentence on the beam and length penalty that were picked on the validation set."""
    values = " and ".join(f"{key} {value}" for key, value in run["tuned"]["picked"].items())
    tried, bleu = len(run["tuned"]["points"]), run["tuned"]["bleu"]
    best = f"the best of {tried} tried on the validation set (BLEU {bleu:.2f} there)"
    return f"{run['run']}: decoded with {values}, {best}."


def leak_lines(groups: list[Group]) -> list[str]:
    """Return a sentence on each text whose test pairs are in its training text, which makes scores doubtful."""
    texts = {run["stages"]["text"]: run for group in groups for run in group.runs}
    return [
        f"{Path(folder).name}: {sentence}."
        for folder, run in texts.items()
        if (sentence := leak("test", checks(run).get("parts", {}).get("test", {})))
    ]


def tested(runs: list[Run]) -> str:
    """Name the test sets by corpus and size."""
    return ", ".join(dict.fromkeys(f"{run['corpus']}, {run['sentences']:,} sentences" for run in runs))


def heading(groups: list[Group], base: Group, comparisons: list[Comparison]) -> str:
    """Say in one line which group scores best, and whether that is significant."""
    best = best_first(groups)[0]
    if len(groups) == 1:
        return best.label
    name, title = next(iter(titles([run for group in groups for run in group.runs]).items()))
    if any(comparison.problem is not None for comparison in comparisons if comparison.metric == name):
        return f"{len(groups)} groups, not all comparable by {title}"
    verdicts = {other.group: other.word for other in comparisons if other.metric == name}
    others = f"the others: {', '.join(dict.fromkeys(verdicts.values()))}"
    against = others if best is base else f"against the baseline {base.label}: {verdicts[best.label]}"
    return f"{best.label} has the best {title} of {len(groups)} groups; {against}"


def markdown(groups: list[Group], base: Group, comparisons: list[Comparison], missing: list[str]) -> list[str]:
    """Return the lines of scores.md: the table of groups, the conclusions, the signatures."""
    runs = [run for group in groups for run in group.runs]
    table = [
        {key: value.replace("|", "\\|") for key, value in row.items()} for row in group_rows(groups, base, comparisons)
    ]
    lines = tabulate(table, headers="keys", tablefmt="github", disable_numparse=True).splitlines()
    scores = "Several seeds: mean ± standard deviation (min–max); one seed: score [95 % interval]."
    lines += ["", f"Test set: {tested(runs)}. {scores} {ranking(runs)}".rstrip()]
    lines += [""] + [f"- {line}" for line in words(groups, comparisons, missing)]
    names = titles(runs)
    signatures = dict.fromkeys(
        (names[name], run["metrics"][name]["signature"]) for run in runs for name in run["metrics"]
    )
    return [*lines, "", "Signatures:", "", *(f"- {name}: `{signature}`" for name, signature in signatures)]


def write_tables(
    folder: Path,
    groups: list[Group],
    base: Group,
    comparisons: list[Comparison],
    runs: list[Run],
    missing: list[str],
    tests: Sequence[TestSet] = (),
) -> None:
    """Write all tables and comparison.json.

    Args:
        folder: results/report.
        groups: the groups.
        base: the baseline.
        comparisons: the other groups against the baseline.
        runs: the runs in their order.
        missing: sentences on runs that were asked for and failed.
        tests: the further test sets.
    """
    write_json(folder / "scores.json", runs)
    table = rows(runs) + [row | {"test": test.name} for test in tests for row in rows(test.runs)]
    columns = list(dict.fromkeys(key for row in table for key in row))
    with replacing(folder / "scores.tsv") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    record = _record(groups, base, comparisons)
    if tests:
        record["tests"] = {test.name: _record(test.groups, test.base, test.comparisons) for test in tests}
    write_json(folder / "comparison.json", record)
    lines = markdown(groups, base, comparisons, missing)
    for test in tests:
        lines += ["", f"### {test.name}", "", *markdown(test.groups, test.base, test.comparisons, [])]
    write_lines(folder / "scores.md", map(visible, lines))
    each = f"{len(runs):,} runs; the scores of each are in {folder}/scores.tsv."
    text = [show(runs) if len(runs) <= MOST else each, f"Test set: {tested(runs)}. {ranking(runs)}".rstrip(), ""]
    if len(runs) > 1:
        table_of_groups: list[dict[str, Any]] = [*group_rows(groups, base, comparisons, ranges=False)]
        text += [*narrow(table_of_groups, list(titles(runs).values())), ""]
    if sentences := words(groups, comparisons, missing):
        text += [*sentences, ""]
    if built_on := family.lines(groups):
        text += [*built_on, ""]
    for test in tests:
        text += further_text(test)
    end = f"The whole report: {folder}/index.html; the scores for scripts: scores.tsv and scores.json beside it."
    write_lines(folder / "scores.txt", map(visible, [*text, end]))


def _record(groups: list[Group], base: Group, comparisons: list[Comparison]) -> dict[str, Any]:
    """Return what comparison.json says of a test set."""
    names = metrics([run for group in groups for run in group.runs])
    return {
        "baseline": base.label,
        "groups": [
            {
                "group": group.label,
                "runs": [run["run"] for run in group.runs],
                "metrics": {name: summary(scores) for name in names if (scores := group.scores(name))},
            }
            for group in groups
        ],
        "comparisons": [comparison.record() for comparison in comparisons],
    }


def further_text(test: TestSet) -> list[str]:
    """Return the terminal's lines on a further test set."""
    names = list(titles(test.runs).values())
    table: list[dict[str, Any]] = [*group_rows(test.groups, test.base, test.comparisons, ranges=False)]
    lines = [f"Further test set {test.name}, {test.runs[0]['sentences']:,} sentences:", "", *narrow(table, names), ""]
    sentences = further_words(test)
    return [*lines, *sentences, ""] if sentences else lines


def further_words(test: TestSet) -> list[str]:
    """Return what is odd about a further test set, and the conclusions by the metric that ranks.

    Their limits are those of the first test set.
    """
    name = metrics(test.runs)[0]
    return test.doubts + [conclusion(comparison) for comparison in test.comparisons if comparison.metric == name]
