"""Write the report's page: one HTML file that contains everything and needs no network."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from bleuprint.config.differences import differing, flat
from bleuprint.config.stages import STAGES
from bleuprint.corpus.checks import doubts
from bleuprint.corpus.leaks import leak
from bleuprint.files import read_lines, replacing, visible
from bleuprint.record.provenance import shown
from bleuprint.report import figures, translations
from bleuprint.report.comparison import Comparison
from bleuprint.report.facts import checks, costs, environment, fingerprint
from bleuprint.report.gather import read_config
from bleuprint.report.groups import Group, Run, metrics
from bleuprint.report.tables import best_first, group_rows, heading, tested, words

HERE = Path(__file__).parent


def write_page(path: Path, groups: list[Group], base: Group, comparisons: list[Comparison], missing: list[str]) -> None:
    """Write the page.

    Args:
        path: index.html.
        groups: the groups.
        base: the baseline.
        comparisons: the other groups against the baseline.
        missing: sentences on runs that were asked for and failed.
    """
    runs = [run for group in groups for run in group.runs]
    alike = translations.same_test(runs)
    style = figures.styles(groups)
    names = {run["run"]: figures.run_label(group, run) for group in groups for run in group.runs}
    payload = {
        "figures": _figures(groups, style, alike),
        "translations": translations.sentences(alike),
        "labels": names,
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
        words=words(groups, comparisons, missing),
        comparisons=[comparison.record() for comparison in comparisons],
        metrics=metrics(runs),
        heading=heading(groups, base, comparisons),
        tested=tested(runs),
        base=base,
        change_metric=translations.finest_metric(alike),
        groups=groups,
        runs=runs,
        labels=names,
        styles=style,
        left_out=[names[run["run"]] for run in runs if run not in alike],
        sentences=alike[0]["sentences"],
        figures={key: list(value) for key, value in payload["figures"].items()},
        differences=_differences(runs),
        changed=_changed(groups, base, alike),
        costs={run["run"]: costs(run) for run in runs},
        stages=list(STAGES),
        texts=_texts(runs, names),
        origins={run["run"]: _origin(run) for run in runs},
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        js="\n".join((HERE / name).read_text(encoding="utf-8") for name in ("translations.js", "page.js")),
        plotly=packed(get_plotlyjs()),
        data=packed(json.dumps(_shown(payload), ensure_ascii=False, separators=(",", ":"))),
    )
    with replacing(path) as file:
        file.write(html)


def _shown(value: Any) -> Any:
    """Return a value with all its texts as the page shows them; what the template marks as safe stays as it is."""
    if type(value) is str:
        return visible(value)
    if isinstance(value, dict):
        return {_shown(key): _shown(entry) for key, entry in value.items()}
    return [_shown(entry) for entry in value] if isinstance(value, list) else value


def packed(text: str) -> str:
    """Compress the text and encode it in Base64, so that it is small and cannot close the HTML element around it."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _figures(groups: list[Group], style: figures.Styles, alike: list[Run]) -> dict[str, dict[str, Any]]:
    """Draw the page's figures, by section and title, as JSON values for Plotly."""
    runs = [run for group in groups for run in group.runs]
    bleu = figures.first_bleu(alike)
    binned = {run["run"]: translations.by_length(run, bleu) for run in alike if bleu in run["metrics"]}
    sections = {
        "scores": {name: figures.scores(best_first(groups), style, name) for name in metrics(runs)},
        "learning": figures.learning(groups, style),
        "lengths": figures.lengths(groups, style, binned, bleu),
    }
    return {
        section: {title: json.loads(figure.to_json()) for title, figure in drawn.items()}
        for section, drawn in sections.items()
    }


def _differences(runs: list[Run]) -> dict[str, list[Any]]:
    """Return the config keys that are not the same in all runs, with each run's value."""
    return differing(
        [{key: value for key, value in read_config(run["run"]).items() if key != "expected"} for run in runs]
    )


def _changed(groups: list[Group], base: Group, alike: list[Run]) -> dict[str, list[dict[str, Any]]]:
    """Return each group's most changed sentences against the baseline; groups with another test text are left out."""
    metric = translations.finest_metric(alike)
    comparable = [group for group in groups if all(run in alike for run in group.runs)]
    if base not in comparable or not metric:
        return {}
    return {group.label: translations.most_changed(base, group, metric) for group in comparable if group is not base}


def _texts(runs: list[Run], names: dict[str, str]) -> list[dict[str, Any]]:
    """Return each checked text: its folder's name, the runs that share it, its checks, doubts and leaks."""
    shared: dict[str, list[Run]] = {}
    for run in runs:
        shared.setdefault(run["stages"]["text"], []).append(run)
    return [
        {
            "name": Path(folder).name,
            "runs": [names[run["run"]] for run in sharing],
            "checks": checked,
            "doubts": doubts(checked),
            "leaks": [sentence for part, counts in checked["parts"].items() if (sentence := leak(part, counts))],
        }
        for folder, sharing in shared.items()
        if (checked := checks(sharing[0]))
    ]


def _origin(run: Run) -> dict[str, Any]:
    """Return what is needed to reproduce a run."""
    folder = Path("results/runs", run["run"])
    return {
        "commands": "\n".join(read_lines(folder / "commands.sh")),
        "config": (folder / "config.yaml").read_text(encoding="utf-8"),
        "environment": {key.removeprefix("packages."): shown(value) for key, value in flat(environment(run)).items()},
        "fingerprint": fingerprint(run),
    }
