"""Write the report's page: one HTML file that contains everything and needs no network."""

import base64
import gzip
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from bleuprint.config.differences import differing, flat
from bleuprint.config.stages import STAGES
from bleuprint.files import read_lines, replacing, visible
from bleuprint.record.provenance import shown
from bleuprint.report import family, figures, translations
from bleuprint.report.comparison import Comparison
from bleuprint.report.facts import costs, environment, fingerprint
from bleuprint.report.facts import references as references_of
from bleuprint.report.gather import read_config, run_folder
from bleuprint.report.groups import Group, Run, interval, metrics, ranking, run_label, titles
from bleuprint.report.soundness import texts
from bleuprint.report.tables import MOST, best_first, further_words, group_rows, heading, score_text, tested, words
from bleuprint.report.test_sets import TestSet
from bleuprint.report.verdict import meaning, unpublished

HERE = Path(__file__).parent
FILES = {  # files of a run, and the text of the links to them
    "hypotheses.txt": "translations",
    "train.log": "log",
    "config.yaml": "config",
    "commands.sh": "commands",
}

FROZEN, STOPPED = "of them frozen", "stopped early"  # rows of costs that only some trainings have


def write_page(
    path: Path,
    groups: list[Group],
    base: Group,
    comparisons: list[Comparison],
    missing: list[str],
    tests: Sequence[TestSet] = (),
) -> None:
    """Write the page.

    Args:
        path: index.html.
        groups: the groups.
        base: the baseline.
        comparisons: the other groups against the baseline.
        missing: sentences on runs that were asked for and failed.
        tests: the further test sets.
    """
    all_runs = [run for group in groups for run in group.runs]
    names = {run["run"]: run_label(group, run) for group in groups for run in group.runs}
    shown = detailed(groups, base)
    runs = [run for group in shown for run in group.runs]
    alike = translations.same_test(runs)
    style = figures.styles(shown)
    drawn = _figures(shown, style, alike)
    curves = {
        section: {title: drawing for title, drawing in of.items() if section == "scores" or figures.is_curve(drawing)}
        for section, of in drawn.items()
    }
    payload = {
        "figures": {
            section: {title: json.loads(drawing.to_json()) for title, drawing in of.items()}
            for section, of in curves.items()
        },
        "translations": translations.sentences(alike),
        "labels": {run["run"]: names[run["run"]] for run in runs},
    }
    template = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    html = template.render(
        table=group_rows(groups, base, comparisons),
        words=words(groups, comparisons, missing) + unpublished(all_runs),
        comparisons=[comparison.record() for comparison in comparisons],
        titles=titles(all_runs),
        ranking=ranking(all_runs),
        scores=_scores(all_runs),
        tests=[_test_set(test, path.parent) for test in tests],
        heading=_heading(groups, base, comparisons),
        files={run["run"]: files(run, path.parent) for run in all_runs},
        tested=tested(all_runs) + (f"; further ones: {', '.join(test.name for test in tests)}" if tests else ""),
        base=base,
        change_metric=titles(runs).get(translations.finest_metric(alike), ""),
        groups=groups,
        all_runs=all_runs,
        runs=runs,
        labels=names,
        styles=style,
        left_out=[names[run["run"]] for run in runs if run not in alike],
        sentences=alike[0]["sentences"],
        figures={section: list(of) for section, of in curves.items()},
        few={
            section: {title: figures.in_words(drawing) for title, drawing in of.items() if title not in curves[section]}
            for section, of in drawn.items()
        },
        differences=_differences(runs),
        breakable=breakable,
        changed=_changed(shown, base, alike),
        costs=_without_unused({run["run"]: _costs(run) for run in runs}),
        texts=texts(runs, names),
        origins={run["run"]: _origin(run) for run in runs},
        families={
            run["run"]: family.tree(run["family"], family.trainings(names, runs)) for run in runs if "family" in run
        },
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        js="\n".join((HERE / name).read_text(encoding="utf-8") for name in ("translations.js", "page.js")),
        plotly=packed(get_plotlyjs()),
        data=packed(json.dumps(_shown(payload), ensure_ascii=False, separators=(",", ":"))),
    )
    with replacing(path) as file:
        file.write(html)


def detailed(groups: list[Group], base: Group) -> list[Group]:
    """Return the groups and runs that the page shows in detail: where there are many, the baseline and the best groups.

    With all of them, the page of a long sweep would be too large for a browser.
    """
    left, chosen = MOST, dict[str, Group]()
    for group in [base, *(group for group in best_first(groups) if group is not base)]:
        if left:
            chosen[group.label] = group if len(group.runs) <= left else replace(group, runs=group.runs[:left])
            left -= len(chosen[group.label].runs)
    return [chosen[group.label] for group in groups if group.label in chosen]


def _shown(value: Any) -> Any:
    """Return a value with all its texts as the page shows them; what the template marks as safe stays as it is."""
    if type(value) is str:
        return visible(value)
    if isinstance(value, dict):
        return {_shown(key): _shown(entry) for key, entry in value.items()}
    return [_shown(entry) for entry in value] if isinstance(value, list) else value


def breakable(text: str) -> Markup:
    """Return a config key or value that a narrow page may break after its dots and underscores."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(visible(text)))))


def packed(text: str) -> str:
    """Compress the text and encode it in Base64, so that it is small and cannot close the HTML element around it."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0, compresslevel=6)).decode()


def _figures(groups: list[Group], style: figures.Styles, alike: list[Run]) -> dict[str, dict[str, Figure]]:
    """Draw the page's figures, by section and title; a single score is not drawn."""
    runs = [run for group in groups for run in group.runs]
    names, ranks = titles(runs), metrics(alike)[0]
    binned = {run["run"]: _binned(run, ranks) for run in alike if ranks in run["metrics"]}
    return {
        "scores": {
            name: figures.scores(best_first(groups), style, name, title)
            for name, title in names.items()
            if len(runs) > 1
        },
        "learning": figures.learning(groups, style),
        "lengths": figures.lengths(groups, style, binned, names[ranks]),
    }


def _binned(run: Run, metric: str) -> list[dict[str, Any]]:
    """Score the sentences by the length of their source; the length of the output is that of the run's first BLEU."""
    rows = translations.by_length(run, metric)
    bleu = next((name for name in run["metrics"] if "length_ratio" in run["metrics"][name]), metric)
    if bleu == metric:
        return rows
    lengths = translations.by_length(run, bleu)
    return [row | {"length_ratio": other["length_ratio"]} for row, other in zip(rows, lengths, strict=True)]


def _heading(groups: list[Group], base: Group, comparisons: list[Comparison]) -> str:
    """Return the page's heading: of a single group the score that ranks, else which group is the best."""
    sentence = heading(groups, base, comparisons)
    if len(groups) > 1:
        return sentence
    name, title = next(iter(titles(list(groups[0].runs)).items()))
    return f"{sentence}: {title} {score_text(groups[0], name, ranges=False).partition(' [')[0]}"


def _scores(runs: list[Run]) -> list[tuple[str, str, str, str]]:
    """Return the metrics: name, score and 95 % interval of the first run that has it, and what it measures."""
    rows = []
    for name, title in titles(runs).items():
        metric = next(run["metrics"][name] for run in runs if name in run["metrics"])
        low, high = interval(metric)
        rows.append((title, f"{metric['score']:.2f}", f"{low:.2f} to {high:.2f}", meaning(metric)))
    return rows


def files(run: Run, folder: Path) -> list[tuple[str, str]]:
    """Return the links to a run's files that exist: the text and the address, relative to the page's folder."""
    home = run_folder(run)
    return [
        (word, quote(os.path.relpath(home / name, folder))) for name, word in FILES.items() if (home / name).exists()
    ]


def _test_set(test: TestSet, folder: Path) -> dict[str, Any]:
    """Return what the page shows of a further test set; addresses are relative to `folder`."""
    first = test.runs[0]
    references = len(references_of(first, "raw"))
    paths = {run["run"]: Path(run["stages"]["decoding"], "hypotheses.txt") for run in test.runs}
    return {
        "name": test.name,
        "sentences": first["sentences"],
        "references": f" with {references} references each" if references > 1 else "",
        "table": group_rows(test.groups, test.base, test.comparisons),
        "words": further_words(test),
        "titles": titles(test.runs),
        "links": [(run, quote(os.path.relpath(path, folder))) for run, path in paths.items()],
        "scored": {run["run"]: run["metrics"] for run in test.runs},
    }


def _costs(run: Run) -> dict[str, str]:
    """Return the rows of a run's costs: the label of each and its amount."""

    def number(value: float | None, decimals: int = 0) -> str:
        return "–" if value is None else f"{value:,.{decimals}f}"

    cost = costs(run)
    counts = {
        "parameters": "parameters",
        "frozen": FROZEN,
        "updates": "updates",
        "epochs": "epochs",
        "tokens": "target tokens",
        "tokens_per_update": "target tokens per update",
    }
    return (
        {name: number(cost[key]) for key, name in counts.items()}
        | {STOPPED: cost["stopped"] or "–"}
        | {"target tokens/s": number(cost["words_per_second"])}
        | {f"{stage}, s": number(cost["seconds"][stage], 1) for stage in STAGES}
        | {f"{stage}, MiB": number(cost["memory"][stage]) for stage in ("training", "decoding")}
        | {"device": cost["device"] or "–"}
    )


def _without_unused(costs: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Leave out the rows that only some trainings have, where none of these has them."""
    unused = {name for name in (FROZEN, STOPPED) if all(rows[name] == "–" for rows in costs.values())}
    return {run: {name: value for name, value in rows.items() if name not in unused} for run, rows in costs.items()}


def _differences(runs: list[Run]) -> dict[str, list[Any]]:
    """Return the config keys that are not the same in all runs, with each run's value."""
    return differing([{key: value for key, value in read_config(run).items() if key != "expected"} for run in runs])


def _changed(groups: list[Group], base: Group, alike: list[Run]) -> dict[str, list[dict[str, Any]]]:
    """Return each group's most changed sentences against the baseline; groups with another test text are left out."""
    metric = translations.finest_metric(alike)
    comparable = {group.label: group for group in groups if all(run in alike for run in group.runs)}
    if base.label not in comparable or not metric:
        return {}
    first = comparable.pop(base.label)
    return {label: translations.most_changed(first, group, metric) for label, group in comparable.items()}


def _origin(run: Run) -> dict[str, Any]:
    """Return what is needed to reproduce a run."""
    folder = run_folder(run)
    return {
        "commands": "\n".join(read_lines(folder / "commands.sh")),
        "config": (folder / "config.yaml").read_text(encoding="utf-8"),
        "environment": {key.removeprefix("packages."): shown(value) for key, value in flat(environment(run)).items()},
        "fingerprint": fingerprint(run),
    }
