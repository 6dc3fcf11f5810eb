"""The plan of make bench-gpu: which settings are compared, how long each has, and the table of what was found."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gpu_measures import Failed, Place, Point, Setting, ctranslate2, curve, generate, reached, speed
from tabulate import tabulate

from bleuprint.config.compose import experiments
from bleuprint.config.schema import Experiment

MINUTES = 8.5
# Seconds of each measurement, start included: together somewhat less than MINUTES
SPEED, DECODING = 20.0, 25.0
CURVES = {"transformer": (70.0, 50.0), "lightconv": (45.0, 35.0)}  # flags as they are; the fastest
LEAST = 8.0  # seconds; with less nothing is begun
AS_IS = "flags as they are"
LIKEWISE = (AS_IS, "fp16", "fp16, ×4", "×4")  # what is measured of LightConv
# Validation without translating: the loss then says which checkpoint is best
NO_BLEU = {"eval_bleu": False, "best_checkpoint_metric": "loss", "maximize_best_checkpoint_metric": False}
TRIAL = [  # without a GPU: a few updates, short output
    "training.max_update=24",
    "training.max_tokens=500",
    *(f"training.{key}=null" for key in NO_BLEU),
    "+training.validate_interval_updates=8",
    "+training.max_valid_steps=2",
    "decoding.beam=1",
    "+decoding.max_len_a=0",
    "+decoding.max_len_b=5",
]


class Report:
    """What was found so far, and the time that is left.

    Args:
        head: date, device and the like.
        minutes: for all measurements.
    """

    def __init__(self, head: dict[str, str], minutes: float) -> None:
        self.head = head
        self.rows: list[dict[str, Any]] = []
        self.deadline = time.monotonic() + 60 * minutes

    def add(self, measured: str, figures: dict[str, float], baseline: dict[str, float] | None = None) -> None:
        """Figures by unit; with a baseline also how many times as large they are."""
        for unit, value in figures.items():
            factor = {"factor": value / baseline[unit]} if baseline and baseline[unit] else {}
            self.rows.append({"measured": measured, "value": value, "unit": unit} | factor)

    def attempt(self, measured: str, seconds: float, measure: Callable[..., Any], *of: Any) -> Any:
        """Return what `measure(*of, seconds)` measures in that time; None, and a row with the reason, if nothing."""
        seconds = min(seconds, self.deadline - time.monotonic())
        print(f"{measured} ...", flush=True)
        try:
            if seconds < LEAST:
                raise Failed("no time was left")
            return measure(*of, seconds)
        except Failed as error:
            self.rows.append({"measured": measured, "unit": f"not measured: {error}"})
            return None

    def table(self) -> str:
        """All of it in Markdown."""
        rows = [[row["measured"], row.get("value"), row["unit"], row.get("factor")] for row in self.rows]
        headers = ("measured", "", "", f"/ {AS_IS}")
        head = ", ".join(f"{key} {value}" for key, value in self.head.items())
        return f"{head}\n\n{tabulate(rows, headers, tablefmt='github', floatfmt=('', ',.2f', '', '.2f'))}"


def bench(report: Report, place: Place, scale: float) -> None:
    """All measurements; `scale` lengthens or shortens the time of each."""
    models = {model: recipe(model, place.cpu) for model in CURVES}
    fastest = {model: speeds(report, place, model, experiment, scale) for model, experiment in models.items()}
    for model, experiment in models.items():
        losses(report, place, model, experiment, fastest[model], scale)
    decoding(report, place, models["transformer"], scale)


def recipe(model: str, cpu: bool) -> Experiment:
    """Return the published recipe of an architecture; without a GPU a small model, a few updates and short output."""
    trial = {"model": f"{model}_tiny", "overrides": TRIAL} if cpu else {}
    return experiments({"recipe": "readme" if model == "transformer" else model} | trial)[0].experiment


def settings(experiment: Experiment, cpu: bool) -> dict[str, Setting]:
    """Return the ways to train that are compared, by name."""
    flags = experiment.training.flags()
    larger = {"max_tokens": 4 * flags["max_tokens"], "lr": 2 * flags["lr"], "num_workers": 4}
    larger |= {"warmup_updates": flags["warmup_updates"] // 4}
    if cpu:
        return {AS_IS: Setting({}, {}), "bf16": Setting({}, {}, bf16=True), "×4": Setting(larger, {})}
    return {
        AS_IS: Setting({}, {}),
        "TF32": Setting({}, {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}),
        "fp16": Setting({"fp16": True}, {}),
        "bf16": Setting({}, {}, bf16=True),
        "fp16, 4 loaders": Setting({"fp16": True, "num_workers": 4}, {}),
        "fp16, ×4": Setting({"fp16": True} | larger, {}),
        "bf16, ×4": Setting(larger, {}, bf16=True),
    }


def speeds(report: Report, place: Place, model: str, experiment: Experiment, scale: float) -> str:
    """How fast each setting trains; the name of the fastest."""
    by_setting: dict[str, dict[str, float]] = {}
    for name, way in settings(experiment, place.cpu).items():
        if model != "transformer" and name not in LIKEWISE:
            continue
        measured = f"training {model}, {name}"
        rates = report.attempt(measured, SPEED * scale, speed, experiment, way, place)
        if rates:
            report.add(measured, rates, by_setting.get(AS_IS))
            by_setting[name] = rates
    return max(by_setting, key=lambda name: by_setting[name]["target tokens/s"], default=AS_IS)


def losses(report: Report, place: Place, model: str, experiment: Experiment, fastest: str, scale: float) -> None:
    """When the flags as they are and the fastest reach the lowest validation loss that both of them reach."""
    way = settings(experiment, place.cpu)[fastest]
    ways = {
        AS_IS: Setting({}, {}),
        f"{fastest}, validated without translating": replace(way, flags=way.flags | NO_BLEU),
    }
    curves: dict[str, list[Point]] = {}
    for (name, way), seconds in zip(ways.items(), CURVES[model], strict=True):
        save_dir = place.folder / f"{model} {name}"
        measured = f"loss of {model}, {name}"
        points = report.attempt(measured, seconds * scale, curve, experiment, way, place, save_dir)
        curves |= {name: points} if points else {}
    loss = max((min(point.loss for point in points) for points in curves.values()), default=0.0)
    baseline = None
    for name, points in curves.items():
        point = reached(points, loss)
        figures = {"s": point.seconds, "updates": float(point.updates), "target tokens": point.tokens}
        report.add(f"{model}, {name}: validation loss {loss:.3f} after", figures, baseline)
        baseline = baseline or (figures if name == AS_IS else None)


def decoding(report: Report, place: Place, experiment: Experiment, scale: float) -> None:
    """Both engines with the Transformer that was trained with the flags as they are."""
    checkpoint = place.folder / f"transformer {AS_IS}" / "checkpoint_last.pt"
    if not checkpoint.exists():
        report.rows.append({"measured": "decoding", "unit": "not measured: no checkpoint was trained"})
        return
    half = {} if place.cpu else {"fp16": True}
    ways: dict[str, tuple[Any, ...]] = {
        "fairseq-generate": (generate, {}),
        "fairseq-generate, fp16": (generate, half),
        "ctranslate2, fp16": (ctranslate2,),
    }
    baseline = None
    for name, (engine, *flags) in ways.items():
        measured = f"decoding, {name}"
        if figures := report.attempt(measured, DECODING * scale, engine, experiment, place, checkpoint, *flags):
            report.add(measured, figures, baseline)
            baseline = baseline or (figures if engine is generate else None)
