"""Target words a second of training, for each architecture, beside JoeyNMT at the same sizes on the same text.

All trainings are started together and run by turns, a few seconds each while the others are stopped (SIGSTOP), so
that whatever else the machine does meets all of them alike. Counted are target subwords and the end of each
sentence, no padding, in whole updates; start and first updates are left out.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import joey
from measure import CORES, prepared, program

from bleuprint.config.compose import experiments
from bleuprint.config.flags import argv

PLUGIN = Path(__file__).resolve().parents[1] / "workflow" / "bleuprint" / "fairseq_plugin"
MODELS = ("transformer", "lightconv", "dynamicconv", "transformer_tiny")
JOEYNMT = {  # the model whose sizes it has, and whether its batches are made of sentences of about the same length
    "JoeyNMT transformer": ("transformer", False),
    "JoeyNMT transformer, batches by length": ("transformer", True),
    "JoeyNMT transformer_tiny": ("transformer_tiny", False),
}
WARM = 2  # updates before the clock starts
ROUNDS = 3
SECONDS = 10.0  # of a turn, for models of IWSLT size; the tiny ones need less


def fairseq(model: str, data: Path) -> list[str]:
    """fairseq-train as the pipeline calls it with recipe=readme and `model`, each update logged, nothing saved."""
    experiment = experiments({"model": model})[0].experiment
    how = {"cpu": True, "user_dir": PLUGIN, "seed": 1, "log_format": "json", "log_interval": 1, "no_save": True}
    return [program("fairseq-train"), str(data), *argv(experiment.model.flags() | experiment.training.flags() | how)]


def tokens(line: str) -> int | None:
    """Target tokens of the update that a line of output tells of; None if it tells of none."""
    if found := re.search(r"\| train_inner \| (\{.*\})$", line):
        return round(float(json.loads(found[1])["wpb"]))
    found = re.match(joey.SAYS + r"(\d+)$", line)
    return int(found[1]) if found else None


@dataclass
class Training:
    """A training that stands still but for its turns.

    Attributes:
        command: how it is started.
        folder: where it runs.
        seconds: of its turns so far.
        updates: in them.
        tokens: in those.
        said: its last lines of output.
        process: it.
    """

    command: list[str]
    folder: Path
    seconds: float = 0.0
    updates: int = 0
    tokens: int = 0
    said: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    process: subprocess.Popen[str] = field(init=False)

    def start(self) -> None:
        """Begin, go through the first updates, stand still."""
        self.folder.mkdir()
        environment = os.environ | {"OMP_NUM_THREADS": CORES, "PYTHONUNBUFFERED": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(self.command, cwd=self.folder, env=environment, start_new_session=True, **pipes)
        for _ in range(WARM):
            self.update()
        self.send(signal.SIGSTOP)

    def update(self) -> int:
        """Wait for the end of an update; its target tokens."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if (found := tokens(line.rstrip())) is not None:
                return found
        print("".join(self.said), file=sys.stderr)
        sys.exit(f"bleuprint: {self.folder.name} ended before it was measured; its last words stand above.")

    def turn(self, seconds: float) -> None:
        """Run for so many seconds and to the end of the update that is then under way."""
        began = time.monotonic()
        self.send(signal.SIGCONT)
        while time.monotonic() - began < seconds:
            self.tokens += self.update()
            self.updates += 1
        self.send(signal.SIGSTOP)
        self.seconds += time.monotonic() - began

    def peak(self) -> float:
        """Return the largest resident memory of its main process so far, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def send(self, number: int) -> None:
        """Signal it and its workers."""
        os.killpg(self.process.pid, number)


def bench_train(folder: Path, archive: Path) -> dict[str, float]:
    """Words a second of each architecture and of JoeyNMT, and how they compare."""
    text, place = prepared(folder, archive), folder / "train"
    place.mkdir()
    python = joey.environment()
    trainings = {model: Training(fairseq(model, text / "bin"), place / model) for model in MODELS}
    for name, (model, by_length) in JOEYNMT.items():
        command = joey.command(python, model, text, place / f"data of {name}", by_length)
        trainings[name] = Training(command, place / name)
    try:
        for training in trainings.values():
            training.start()
        for _ in range(ROUNDS):
            for name, training in trainings.items():
                training.turn(SECONDS / 3 if "tiny" in name else SECONDS)
        return figures(trainings)
    finally:
        for training in trainings.values():
            if hasattr(training, "process"):
                training.send(signal.SIGKILL)


def figures(trainings: dict[str, Training]) -> dict[str, float]:
    """Return the table's rows."""
    speed = {name: training.tokens / training.seconds for name, training in trainings.items()}
    rows = {f"training, {name}, target tokens/s": value for name, value in speed.items()}
    for name in speed:
        if name in JOEYNMT:
            model = JOEYNMT[name][0]
            rows[f"training, {model} / {name}"] = speed[model] / speed[name]
    for name, training in trainings.items():
        rows[f"training, {name}, target tokens an update"] = training.tokens / training.updates
        rows[f"training, {name}, peak memory (RSS), MiB"] = training.peak()
    return rows
