"""What make bench-gpu measures: speed of updates, validation loss over time, decoding. Each with a time of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sacrebleu import corpus_bleu

from bleuprint.config.flags import argv
from bleuprint.config.schema import Experiment
from bleuprint.files import read_lines
from bleuprint.training.save_dir import Options, write_options

PLUGIN = Path(__file__).resolve().parents[1] / "workflow" / "bleuprint" / "fairseq_plugin"
EVERY = 10  # updates between two lines of the log
WARM = 2  # lines of the log before the clock starts
GRACE = 20.0  # seconds in which an ended training may save its last checkpoint
ENGINE = "import torch, ctranslate2.converters.fairseq"  # what loads the other engine
FIRST = 120.0  # seconds that the first start may take: it reads gigabytes of libraries from the disk


class Failed(Exception):
    """A measurement that gave no figure; the message says why, in a line."""


@dataclass(frozen=True)
class Setting:
    """A way to train: fairseq's flags in place of the recipe's, what goes into the environment, and training.bf16."""

    flags: dict[str, Any]
    environment: dict[str, str]
    bf16: bool = False


@dataclass(frozen=True)
class Place:
    """Where it is measured.

    Attributes:
        folder: for what the measurements write.
        data: the unpacked archive: bin/, test.de after BPE, test.en before.
        cpu: no GPU: only a trial of this script.
    """

    folder: Path
    data: Path
    cpu: bool


@dataclass(frozen=True)
class Point:
    """A validation: when, after how many updates and target tokens, its loss."""

    seconds: float
    updates: int
    tokens: float
    loss: float


def fairseq(program: str) -> list[str]:
    """Return a command of fairseq's, wherever its scripts are."""
    return [sys.executable, "-c", f"from fairseq_cli.{program} import cli_main; cli_main()"]


@contextmanager
def watched(command: list[str], seconds: float, environment: dict[str, str], folder: Path) -> Iterator[Iterator[str]]:
    """Yield the lines of a command's output; end it after so many seconds, or at the block's end.

    Raises:
        Failed: it ended by itself, and not well.
    """
    tail: deque[str] = deque(maxlen=20)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    ended = threading.Event()

    def end(number: int) -> None:
        if process.poll() is None:
            ended.set()
            os.killpg(process.pid, number)

    timers = [
        threading.Timer(max(0.0, seconds) + wait, end, [number])
        for wait, number in ((0.0, signal.SIGTERM), (GRACE, signal.SIGKILL))
    ]

    def lines() -> Iterator[str]:
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line.rstrip())
            yield tail[-1]

    for timer in timers:
        timer.start()
    try:
        yield lines()
        if process.wait() != 0 and not ended.is_set():
            raise Failed(next((line for line in reversed(tail) if line.strip()), "it printed nothing"))
    finally:
        for timer in timers:
            timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def training(experiment: Experiment, setting: Setting, place: Place, save_dir: Path, **flags: Any) -> list[str]:
    """Return fairseq-train's command with the recipe's flags, changed by `setting` and `flags`.

    The plugin's options are written to `save_dir`, from where it reads them.
    """
    write_options(save_dir, Options(bf16=setting.bf16))
    how: dict[str, Any] = {"user_dir": PLUGIN, "seed": 1, "log_format": "json", "distributed_world_size": 1}
    how |= {"save_dir": save_dir} | ({"cpu": True} if place.cpu else {})
    words = experiment.model.flags() | experiment.training.flags() | how | setting.flags | flags
    return [*fairseq("train"), str(place.data / "bin"), *argv(words)]


def load_once(experiment: Experiment, place: Place) -> None:
    """Load all that the measurements load, so that the first of them takes no longer to start than the others."""
    flags = {"max_update": 1, "disable_validation": True, "no_save": True}
    update = training(experiment, Setting({}, {}), place, place.folder / "first", **flags)
    for command in (update, [sys.executable, "-c", ENGINE]):
        with suppress(Failed), watched(command, FIRST, {}, place.folder) as lines:  # the measurement says why
            deque(lines, maxlen=0)


def figures(split: str, line: str) -> dict[str, float] | None:
    """Return what a line of fairseq's JSON log says of `train_inner` or `valid`; None if it is no such line."""
    match = re.search(rf"\| {split} \| (\{{.*\}})$", line)
    if match is None:
        return None
    return {key: float(value) for key, value in json.loads(match[1]).items() if value not in (None, "None")}


def speed(experiment: Experiment, setting: Setting, place: Place, seconds: float) -> dict[str, float]:
    """Target tokens (no padding) and updates a second, start, first updates, validation and saving left out.

    Args:
        experiment: the recipe.
        setting: what is changed in it.
        place: where.
        seconds: for everything, the start included.

    Raises:
        Failed: nothing was measured in that time.
    """
    every = EVERY if not place.cpu else 2
    flags = {"log_interval": every, "disable_validation": True, "no_save": True}
    command = training(experiment, setting, place, place.folder / "speed", **flags)
    times, tokens = [], []
    with watched(command, seconds, setting.environment, place.folder) as lines:
        for line in lines:
            if (row := figures("train_inner", line)) is not None:
                times.append(time.monotonic())
                tokens.append(row["wpb"] * every)
    if len(times) < WARM + 2:
        raise Failed(f"fewer than {(WARM + 2) * every} updates in {seconds:.0f} s")
    elapsed = times[-1] - times[WARM]
    updates = every * (len(times) - WARM - 1)
    return {"target tokens/s": sum(tokens[WARM + 1 :]) / elapsed, "updates/s": updates / elapsed}


def curve(experiment: Experiment, setting: Setting, place: Place, save_dir: Path, seconds: float) -> list[Point]:
    """Return the validations of a training, saved as its flags say; the clock starts with the first epoch.

    Raises:
        Failed: no validation in that time.
    """
    every = EVERY if not place.cpu else 2
    command = training(experiment, setting, place, save_dir, log_interval=every)
    points, began, tokens = [], 0.0, 0.0
    with watched(command, seconds, setting.environment, place.folder) as lines:
        for line in lines:
            if "Start iterating over samples" in line:
                began = began or time.monotonic()
            elif (row := figures("train_inner", line)) is not None:
                tokens += row["wpb"] * every
            elif (row := figures("valid", line)) is not None:
                updates = int(row["valid_num_updates"])
                points.append(Point(time.monotonic() - began, updates, tokens, row["valid_loss"]))
    if not points:
        raise Failed(f"no validation in {seconds:.0f} s")
    return points


def reached(points: list[Point], loss: float) -> Point:
    """Return the first validation with at most this loss."""
    return next(point for point in points if point.loss <= loss)


def generate(
    experiment: Experiment, place: Place, checkpoint: Path, flags: dict[str, Any], seconds: float
) -> dict[str, float]:
    """fairseq-generate with the recipe's flags, changed by `flags`; see `decode`."""
    how: dict[str, Any] = {"user_dir": PLUGIN, "path": checkpoint} | ({"cpu": True} if place.cpu else {})
    words = argv(experiment.decoding.flags() | how | flags)
    return decode([*fairseq("generate"), str(place.data / "bin"), *words], place, seconds)


def ctranslate2(experiment: Experiment, place: Place, checkpoint: Path, seconds: float) -> dict[str, float]:
    """CTranslate2 with the recipe's beam on the converted model, conversion not counted; see `decode`.

    Raises:
        Failed: it is not installed, or cannot convert the model.
    """
    began = time.monotonic()
    model = place.folder / "ctranslate2"
    convert = [sys.executable, "-c", "from ctranslate2.converters.fairseq import main; main()", "--force"]
    words = {"model_path": checkpoint, "data_dir": place.data / "bin", "user_dir": PLUGIN, "output_dir": model}
    convert += [word for key, value in words.items() for word in (f"--{key}", str(value))]
    with watched(convert, seconds, {}, place.folder) as lines:
        for _ in lines:
            pass
    flags = experiment.decoding.flags()
    most = str(flags.get("max_len_b", 200))  # fairseq's own limit where the recipe sets none
    worker = Path(__file__).with_name("gpu_ctranslate2.py")
    device = "cpu" if place.cpu else "cuda"
    command = [sys.executable, str(worker), str(model), device, str(place.data / "test.de"), str(flags["beam"]), most]
    return decode(command, place, seconds - (time.monotonic() - began))


def decode(command: list[str], place: Place, seconds: float) -> dict[str, float]:
    """Sentences a second of a whole command and of the search alone, and BLEU, on the whole test set.

    Raises:
        Failed: it did not come to the end in that time.
    """
    hypotheses: dict[int, str] = {}
    searched, began = None, time.monotonic()
    with watched(command, seconds, {}, place.folder) as lines:
        for line in lines:
            if match := re.fullmatch(r"H-(\d+)\t[^\t]*\t(.*)", line):
                hypotheses.setdefault(int(match[1]), match[2])
            elif match := re.search(r"Translated .* in ([\d.]+)s", line):
                searched = float(match[1])
    elapsed = time.monotonic() - began
    references = read_lines(place.data / "test.en")
    if searched is None or len(hypotheses) != len(references):
        raise Failed(f"{len(hypotheses)} of {len(references)} sentences in {elapsed:.0f} s")
    bleu = corpus_bleu([hypotheses[n] for n in range(len(references))], [references], tokenize="none", force=True)
    rates = {"sentences/s": len(references) / elapsed, "sentences/s without start": len(references) / searched}
    return rates | {"BLEU, tokenised": bleu.score}
