"""The report's figures, made with Plotly; each trace names its run, so that the page can hide one."""

import bisect
import math
import statistics
import textwrap
from typing import Any

import plotly.graph_objects as go

from bleuprint.report.facts import curves
from bleuprint.report.groups import Group, interval, run_label

# Okabe and Ito's colours, which colour-blind readers can tell apart; those that stand out on white and black first
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
POINTS = 400  # of a curve; more cannot be seen
LABEL = 30  # characters of a line of a row's label, so that rows fit on a phone
FEWEST = 3  # points of a curve; fewer are told in words
SMOOTHED = 0.1  # share of a curve over which the speed is averaged
CURVES = (  # name, split, row's key, axis
    ("Training loss", "train", "loss", "bits per token"),
    ("Validation loss", "valid", "loss", "bits per token"),
    ("Validation BLEU (computed by fairseq: compares epochs, not systems)", "valid", "bleu", "BLEU"),
    ("Learning rate", "train", "lr", "learning rate"),
    ("Training speed, smoothed", "train", "words_per_second", "target tokens per second"),
)
Styles = dict[str, dict[str, str]]


def styles(groups: list[Group]) -> Styles:
    """Choose how each run is drawn: one `colour` a group, one `dash` a seed, another `symbol` when colours repeat."""
    return {
        run["run"]: {
            "colour": COLOURS[place % len(COLOURS)],
            "dash": DASHES[seed % len(DASHES)],
            "symbol": SYMBOLS[place // len(COLOURS) % len(SYMBOLS)],
        }
        for place, group in enumerate(groups)
        for seed, run in enumerate(group.runs)
    }


def _figure(x: str, y: str, height: int) -> go.Figure:
    axis = {
        "automargin": True,
        "zeroline": False,
        "exponentformat": "none",
        "separatethousands": True,
        "ticklabelstandoff": 4,
        "gridcolor": "rgba(128,128,128,.25)",
    }
    layout = {
        "margin": {"l": 10, "r": 30, "t": 10, "b": 10},  # on the right there is room for half of a tick label
        "height": height,
        "showlegend": False,
        "template": None,
        "hoverlabel": {"namelength": -1},
    }
    figure = go.Figure(layout=layout | {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"})
    titles = [{"title": {"text": text, "font": {"size": 13}}} for text in (x, y)]
    return figure.update_layout(xaxis=axis | titles[0], yaxis=axis | titles[1])


def scores(groups: list[Group], style: Styles, metric: str, title: str) -> go.Figure:
    """Draw each run's score with its 95 % interval, one row a group, the first on top; a bar marks a group's mean."""
    shown = [group for group in reversed(groups) if group.scores(metric)]
    labels = [textwrap.wrap(group.label, LABEL) for group in shown]
    figure = _figure(title, "", 110 + max(60, *(18 * len(lines) + 12 for lines in labels)) * len(shown))
    for place, group in enumerate(shown):
        values = group.scores(metric)
        for step, (run, score) in enumerate(zip(group.runs, values, strict=True)):
            low, high = interval(run["metrics"][metric])
            figure.add_scatter(
                x=[score],
                y=[place + (step - (len(values) - 1) / 2) * 0.5 / len(values)],
                error_x={"array": [high - score], "arrayminus": [score - low], "width": 4},
                mode="markers",
                marker={"color": style[run["run"]]["colour"], "symbol": style[run["run"]]["symbol"], "size": 10},
                hovertemplate=f"%{{x:.2f}} [{low:.2f}, {high:.2f}]",
                name=run_label(group, run),
                meta={"run": run["run"]},
            )
        if len(values) > 1:
            mean = sum(values) / len(values)
            line = {"color": "rgba(128,128,128,.9)", "width": 2}
            figure.add_scatter(
                x=[mean, mean],
                y=[place - 0.4, place + 0.4],
                mode="lines",
                line=line,
                hovertemplate="mean %{x:.2f}",
                name=group.label,
            )
    ticks = {"tickvals": list(range(len(shown))), "ticktext": ["<br>".join(lines) for lines in labels]}
    return figure.update_yaxes(range=[-0.6, len(shown) - 0.4], showgrid=False, **ticks)


def learning(groups: list[Group], style: Styles) -> dict[str, go.Figure]:
    """Draw the learning curves for which a run has data; each trace's `meta` holds both x axes, updates and hours."""
    drawn = {}
    for title, split, key, axis in CURVES:
        figure = _figure("updates", axis, 300)
        for group in groups:
            for run in group.runs:
                points = _points(curves(run), split, key)
                if not points:
                    continue
                updates, hours, values = (list(column) for column in zip(*points, strict=True))
                look = style[run["run"]]
                figure.add_scatter(
                    x=updates,
                    y=values,
                    mode="lines+markers" if split == "valid" else "lines",
                    line={"color": look["colour"], "dash": look["dash"], "width": 2},
                    marker={"symbol": look["symbol"], "size": 6},
                    name=run_label(group, run),
                    meta={"run": run["run"], "updates": updates, "hours": hours},
                )
        figure.update_xaxes(rangemode="tozero")
        if key == "words_per_second":
            figure.update_yaxes(rangemode="tozero")
        if figure.data:
            drawn[title] = figure
    return drawn


def _points(rows: list[dict[str, Any]], split: str, key: str) -> list[tuple[int, float, float]]:
    """Return (updates, hours, value) of a curve, thinned; validation has no clock and takes that of training."""
    clock = [(row["updates"], row["wall_seconds"] / 3600) for row in rows if "wall_seconds" in row]
    curve = [row for row in rows if row["split"] == split and key in row]
    if split == "train" and not curve:  # a training with fewer updates than the log's interval
        curve = [row for row in rows if row["split"] == "train_epoch" and key in row]
    values = [row[key] for row in curve]
    smooth = smoothed(values) if key == "words_per_second" else values
    points = [(row["updates"], _at(clock, row["updates"]), value) for row, value in zip(curve, smooth, strict=True)]
    step = max(1, len(points) // POINTS)
    return points[::step] + ([points[-1]] if points and (len(points) - 1) % step else [])


def smoothed(values: list[float]) -> list[float]:
    """Return the mean around each value, over about a tenth of all values; at the ends over those that there are."""
    reach = max(1, round(len(values) * SMOOTHED / 2))
    means = (statistics.fmean(values[max(0, place - reach) : place + reach + 1]) for place in range(len(values)))
    return [float(f"{mean:.6g}") for mean in means]


def _at(clock: list[tuple[int, float]], updates: int) -> float:
    """Return the hours at that update: the clock's first reading at or after it, else its last one."""
    place = bisect.bisect_left(clock, (updates, 0.0))
    return round(clock[min(place, len(clock) - 1)][1], 5) if clock else 0.0


def lengths(
    groups: list[Group], style: Styles, binned: dict[str, list[dict[str, Any]]], metric: str
) -> dict[str, go.Figure]:
    """Draw the metric, and for BLEU the length ratio, by length of the source.

    Args:
        groups: the groups.
        style: how each run is drawn.
        binned: the result of `translations.by_length` for each run.
        metric: the metric's name for people.
    """
    drawn = {}
    kinds = (
        ("Score by source length", "score", metric),
        ("Output length", "length_ratio", "output / reference, tokens"),
    )
    for title, key, axis in kinds:
        figure = _figure("tokens of the source (number of sentences)", axis, 300)
        for group in groups:
            for run in group.runs:
                bins = [row for row in binned.get(run["run"], []) if key in row]
                if bins:
                    look = style[run["run"]]
                    figure.add_scatter(
                        x=[f"{row['tokens']} ({row['sentences']:,})" for row in bins],
                        y=[row[key] for row in bins],
                        mode="lines+markers",
                        line={"color": look["colour"], "dash": look["dash"], "width": 2},
                        marker={"symbol": look["symbol"], "size": 8},
                        name=run_label(group, run),
                        meta={"run": run["run"]},
                    )
        if figure.data:
            drawn[title] = figure
    return drawn


def is_curve(figure: go.Figure) -> bool:
    """Tell whether a run has enough points for a curve."""
    return max(len(trace.x) for trace in figure.data) >= FEWEST


def in_words(figure: go.Figure) -> dict[str, str]:
    """Return each run's points of a figure with few of them, such as "6.9 at 100; 4.9 at 200"."""
    return {
        trace.meta["run"]: "; ".join(
            f"{plain(y)} at {x if isinstance(x, str) else f'{x:,}'}" for x, y in zip(trace.x, trace.y, strict=True)
        )
        for trace in figure.data
    }


def plain(value: float) -> str:
    """Return a number with four significant digits or all before the point, never as a power of ten."""
    decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
