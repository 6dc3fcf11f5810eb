"""The report's tables: scores.json and .tsv for scripts, .txt for the terminal, .md for an issue or a paper."""

import csv
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bleuprint.corpus.leaks import leak
from bleuprint.files import replacing, write_json, write_lines
from bleuprint.report.comparison import Comparison, cautions, conclusion
from bleuprint.report.facts import checks
from bleuprint.report.groups import Group, Run, interval, metrics, summary


def rows(runs: list[Run]) -> list[dict[str, Any]]:
    """One flat row a run: names, sentences, each metric's score, brevity penalty and length ratio of the first BLEU."""
    table = []
    for run in runs:
        row = {key: run[key] for key in ("run", "recipe", "corpus", "model", "seed", "sentences")}
        row["overrides"] = " ".join(run["overrides"])
        row |= {name: metric["score"] for name, metric in run["metrics"].items()}
        bleu: dict[str, Any] = next((metric for metric in run["metrics"].values() if "brevity_penalty" in metric), {})
        table.append(row | {key: bleu[key] for key in ("brevity_penalty", "length_ratio") if key in bleu})
    return table


def show(runs: list[Run]) -> str:
    """The runs' table for a terminal; what the run's name says, or what is the same of all runs, is left out."""
    common = set(runs[0]["overrides"]).intersection(*(run["overrides"] for run in runs))
    table = rows([run | {"overrides": [word for word in run["overrides"] if word not in common]} for run in runs])
    hidden = {"recipe", "model", "seed"} | (set() if any(row["overrides"] for row in table) else {"overrides"})
    short = {"brevity_penalty": "BP", "length_ratio": "length"}
    shown = [{short.get(key, key): value for key, value in row.items() if key not in hidden} for row in table]
    return tabulate(shown, headers="keys", floatfmt=".2f")


def score_text(group: Group, metric: str, ranges: bool = True) -> str:
    """A group's score: mean ± standard deviation and range over its seeds, or one score with its 95 % interval."""
    scores = group.scores(metric)
    if not scores:
        return "–"
    if len(scores) == 1:
        one = group.runs[0]["metrics"][metric]
        low, high = interval(one)
        return f"{one['score']:.2f} [{low:.2f}, {high:.2f}]"
    found = summary(scores)
    return f"{found['mean']:.2f} ± {found['sd']:.2f}" + (f" ({found['min']:.2f}–{found['max']:.2f})" if ranges else "")


def best_first(found: list[Group]) -> list[Group]:
    """The groups by the mean of the first metric, the best first; such as lack it come last."""
    metric = metrics([run for group in found for run in group.runs])[0]

    def key(group: Group) -> tuple[bool, float]:
        scores = group.scores(metric)
        if not scores:
            return True, 0.0
        mean = summary(scores)["mean"] or 0.0
        return False, mean if group.runs[0]["metrics"][metric]["config"]["metric"] == "ter" else -mean

    return sorted(found, key=key)


def group_rows(
    found: list[Group], base: Group, comparisons: list[Comparison], ranges: bool = True
) -> list[dict[str, str]]:
    """One row a group, best first: label, seeds, each metric, the comparison with the baseline, the verdict."""
    names = metrics([run for group in found for run in group.runs])
    words = {one.group: one.word for one in comparisons if one.metric == names[0]}
    table = []
    for group in best_first(found):
        row = {"group": group.label, "seeds": str(len(group.runs))}
        row |= {name: score_text(group, name, ranges) for name in names}
        if len(found) > 1:
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


def verdict_lines(found: list[Group]) -> list[str]:
    """The runs' verdicts in words."""
    lines = []
    for group in found:
        for run in group.runs:
            if verdict := run.get("verdict"):
                bound = f"{verdict['low']} to {verdict['high']}" if verdict["high"] else f"{verdict['low']} or more"
                because = f"; {'; '.join(verdict['because'])}" if verdict["because"] else ""
                score = "–" if verdict["score"] is None else f"{verdict['score']:.2f}"
                lines.append(
                    f"{run['run']}: {verdict['word']}, {verdict['metric']} {score}, "
                    f"published {bound} ({verdict['source']}){because}."
                )
    return lines


def words(found: list[Group], comparisons: list[Comparison], missing: list[str]) -> list[str]:
    """Runs that are missing, leaks, conclusions by the first metric compared by, cautions, what was tuned, verdicts."""
    names = metrics([run for group in found for run in group.runs])
    metric = next((name for name in names if any(one.pairs for one in comparisons if one.metric == name)), names[0])
    shown = [conclusion(one) for one in comparisons if one.metric == metric]
    tuned = [tuned_line(run) for group in found for run in group.runs if "tuned" in run]
    return [*missing, *leak_lines(found), *shown, *cautions(comparisons), *tuned, *verdict_lines(found)]


def tuned_line(run: Run) -> str:
    """What of a run's decoding was picked on the validation set."""
    values = " and ".join(f"{key} {value}" for key, value in run["tuned"]["picked"].items())
    tried, bleu = len(run["tuned"]["points"]), run["tuned"]["bleu"]
    return f"{run['run']}: {values}, the best of {tried} tried on the validation set, BLEU {bleu:.2f} there."


def leak_lines(found: list[Group]) -> list[str]:
    """What makes the scores doubtful: test sets of which train holds pairs, each text once."""
    texts = {run["stages"]["text"]: run for group in found for run in group.runs}
    return [
        f"{Path(folder).name}: {sentence}."
        for folder, run in texts.items()
        if (sentence := leak("test", checks(run).get("parts", {}).get("test", {})))
    ]


def tested(runs: list[Run]) -> str:
    """The test sets by corpus and size."""
    return ", ".join(dict.fromkeys(f"{run['corpus']}, {run['sentences']:,} sentences" for run in runs))


def heading(found: list[Group], base: Group, comparisons: list[Comparison]) -> str:
    """Which group scores best, and whether that means anything, in one line."""
    best = best_first(found)[0]
    name = metrics([run for group in found for run in group.runs])[0]
    if len(found) == 1:
        return best.label
    if any(one.problem is not None for one in comparisons if one.metric == name):
        return f"{len(found)} groups, not all comparable by {name}"
    verdicts = {one.group: one.word for one in comparisons if one.metric == name}
    others = f"the others: {', '.join(dict.fromkeys(verdicts.values()))}"
    against = others if best is base else f"against the baseline: {verdicts[best.label]}"
    return f"{best.label} has the best {name} of {len(found)} groups; {against}"


def markdown(found: list[Group], base: Group, comparisons: list[Comparison], missing: list[str]) -> list[str]:
    """scores.md: the table of groups, the conclusions, the signatures."""
    runs = [run for group in found for run in group.runs]
    table = [
        {key: value.replace("|", "\\|") for key, value in row.items()} for row in group_rows(found, base, comparisons)
    ]
    lines = tabulate(table, headers="keys", tablefmt="github", disable_numparse=True).splitlines()
    lines += [
        "",
        f"Test set: {tested(runs)}. Several seeds: mean ± standard deviation (min–max); one: [95 % interval].",
    ]
    lines += [""] + [f"- {line}" for line in words(found, comparisons, missing)]
    signatures = dict.fromkeys((name, one["signature"]) for run in runs for name, one in run["metrics"].items())
    return [*lines, "", "Signatures:", "", *(f"- {name}: `{signature}`" for name, signature in signatures)]


def write_tables(
    folder: Path,
    found: list[Group],
    base: Group,
    comparisons: list[Comparison],
    runs: list[Run],
    missing: list[str],
) -> None:
    """All tables, and comparison.json.

    Args:
        folder: results/report.
        found: the groups.
        base: the one that the others are compared with.
        comparisons: the others against it.
        runs: the runs in their order.
        missing: sentences on runs that were asked for and are not there.
    """
    write_json(folder / "scores.json", runs)
    table = rows(runs)
    columns = list(dict.fromkeys(key for row in table for key in row))
    with replacing(folder / "scores.tsv") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    names = metrics(runs)
    record = {
        "baseline": base.label,
        "groups": [
            {
                "group": group.label,
                "runs": [run["run"] for run in group.runs],
                "metrics": {name: summary(scores) for name in names if (scores := group.scores(name))},
            }
            for group in found
        ],
        "comparisons": [one.record() for one in comparisons],
    }
    write_json(folder / "comparison.json", record)
    write_lines(folder / "scores.md", markdown(found, base, comparisons, missing))
    text = [show(runs), ""]
    if len(runs) > 1:
        text += [
            tabulate(group_rows(found, base, comparisons, ranges=False), headers="keys", disable_numparse=True),
            "",
        ]
    if said := words(found, comparisons, missing):
        text += [*said, ""]
    write_lines(folder / "scores.txt", [*text, f"{folder}/index.html shows all of it; scores.tsv and scores.json too."])
