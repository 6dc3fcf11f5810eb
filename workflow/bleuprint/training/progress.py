"""python -m bleuprint.training.progress: show fairseq-train's log as it grows, keep it, and extract metrics."""

import argparse
import io
import json
import math
import re
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from bleuprint.files import replacing
from bleuprint.widths import USUAL, columns, fitting, shorten

LINE = re.compile(r"\| (train_inner|train|valid) \| (\{.*\})\s*$")
QUIET = 30  # seconds between two plain lines if the output is not a terminal
# fairseq's name (without its split's prefix) → ours; updates and epoch come first
NAMES = {
    "num_updates": "updates",
    "epoch": "epoch",
    "loss": "loss",
    "nll_loss": "nll_loss",
    "ppl": "perplexity",
    "bleu": "bleu",
    "lr": "lr",
    "gnorm": "gradient_norm",
    "wps": "words_per_second",
    "wpb": "words_per_batch",
    "wall": "wall_seconds",
}
TO_USERS = re.compile(r"bleuprint: |.*\(waiting for a free GPU\)$")  # lines that a user sees who does not read the log
SPLITS = {"train_inner": "train", "train": "train_epoch", "valid": "valid"}


def metrics_of(line: str) -> dict[str, Any] | None:
    """Return the figures of one line of fairseq's JSON log, or None if there are none that can be read.

    Returns:
        `split` (train: since the line before, train_epoch, valid), `updates`, `epoch` (of a train line: with its
        fraction), and as many as the line has of loss and nll_loss (base 2, per token), perplexity, bleu (on the
        dictionary's tokens, for choosing checkpoints only), lr, words_per_second, words_per_batch (target tokens, mean)
        and wall_seconds.
    """
    match = LINE.search(line)
    if match is None:
        return None
    kind = match[1]
    row: dict[str, Any] = {"split": SPLITS[kind]}
    try:
        values = {key.removeprefix(f"{kind}_"): value for key, value in json.loads(match[2]).items()}
        for name, ours in NAMES.items():
            if values.get(name) not in (None, ""):
                row[ours] = float(values[name])
        row["updates"] = int(row.get("updates", 0))
        row["epoch"] = float(values.get("update", row["epoch"]))
    # An incomplete line, or text that looks like one: an error here must never end the training
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return row


def begins(line: str) -> bool:
    """Return whether a line of the log is the command of a session, as the shell traced it."""
    return line.startswith("+ ") and " fairseq-train " in line


def tidy(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return all figures of a log, in order of updates; of updates that a resumed training repeated, the last ones.

    fairseq's clock starts from zero with each session; here it adds up the time of all sessions.
    """
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    earlier = clock = 0.0
    for line in lines:
        if begins(line):
            earlier = clock
        elif (row := metrics_of(line)) is not None:
            if "wall_seconds" in row:
                row["wall_seconds"] = clock = earlier + row["wall_seconds"]
            rows[row["updates"], row["split"]] = row
    order = list(SPLITS.values())
    return [rows[key] for key in sorted(rows, key=lambda key: (key[0], order.index(key[1])))]


def fraction(row: dict[str, Any], max_epoch: int | None, max_update: int | None) -> float:
    """Return how much of a training is done, from 0 to 1, by a row of its figures."""
    by_epoch = row["epoch"] / max_epoch if max_epoch else 0.0
    by_update = row["updates"] / max_update if max_update else 0.0
    return float(min(1.0, max(by_epoch, by_update)))


class Display:
    """Show epoch, updates, loss and time left: as a bar on a terminal, as plain lines elsewhere."""

    def __init__(
        self,
        max_epoch: int | None,
        max_update: int | None,
        name: str,
        stream: TextIO = sys.stderr,
        at_most: bool = False,  # whether the training may end earlier
    ) -> None:
        self.max_epoch, self.max_update, self.stream, self.name = max_epoch, max_update, stream, name
        self.at_most = "at most " if at_most else ""
        self.start: tuple[float, float] | None = None  # time and fraction done when this session began
        self.last_line = 0.0
        # tqdm draws nothing on a terminal that tells no height; with a width and a height given it asks for none
        self.bar = tqdm(total=1.0, file=stream, bar_format=" ", ncols=USUAL, nrows=20) if stream.isatty() else None
        self._draw([("starting", 0)], 0.0)

    def show(self, row: dict[str, Any]) -> None:
        """Show one row of figures."""
        now, done = time.monotonic(), fraction(row, self.max_epoch, self.max_update)
        if self.start is None:
            self.start = now, done
        began, before = self.start
        left = (now - began) / (done - before) * (1 - done) if done > before else None
        epochs = f"/{self.max_epoch}" if self.max_epoch else ""
        kind = "validation " if row["split"] == "valid" else ""
        # Each with its importance, for narrow terminals
        words = [
            (f"epoch {row['epoch']:.1f}{epochs}", 4),
            (f"update {row['updates']:,}", 1),
            (f"{kind}loss {row.get('loss', math.nan):.3f}", 0),
        ]
        if kind and "bleu" in row:
            words.append((f"BLEU {row['bleu']:.1f}", 3))
        if not kind and "words_per_second" in row:
            words.append((f"{row['words_per_second']:,.0f} words/s", 2))
        if left is not None:
            words.append((f"{self.at_most}{tqdm.format_interval(left)} left", 0))
        if self.bar is not None:
            self._draw(words, done)
        elif kind or now - self.last_line > QUIET:
            self.last_line = now
            print(f"{self.name}: {', '.join(word for word, _ in words)}", file=self.stream, flush=True)

    def _draw(self, words: list[tuple[str, int]], done: float) -> None:
        """Draw the bar: name, share, bar and figures in one line of the terminal, which may have changed its width."""
        if self.bar is not None:
            width = (columns(self.stream) or USUAL) - 1  # a full line would wrap on some terminals
            bar = 24 if width > 1.5 * USUAL else 8
            name = shorten(self.name, max(22, width - 68))
            self.bar.n, self.bar.ncols = done, width
            self.bar.bar_format = f"{name} {{percentage:3.0f}}%|{{bar:{bar}}}| {{desc}}"
            self.bar.set_description_str(fitting(words, width - len(name) - len(" 100%|| ") - bar))

    def close(self) -> None:
        """End the bar's line."""
        if self.bar is not None:
            self.bar.close()


def ends_whole(log: Path) -> bool:
    """Return whether the log is empty or ends with a line feed; a killed session may have left half a line."""
    with open(log, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read() in (b"", b"\n")


def main() -> None:
    """Read fairseq-train's output from standard input."""
    parser = argparse.ArgumentParser(prog="bleuprint.training.progress", description=__doc__)
    parser.add_argument("--name", required=True, help="name of the training on the terminal")
    parser.add_argument("--session", type=Path, required=True, help="the log of this session alone")
    parser.add_argument("--log", type=Path, required=True, help="the log of all sessions, appended to")
    parser.add_argument("--metrics", type=Path, required=True, help="metrics.jsonl, written at the end")
    parser.add_argument("--max-epoch", type=int)
    parser.add_argument("--max-update", type=int)
    parser.add_argument("--at-most", action="store_true", help="the training may end earlier")
    arguments = parser.parse_args()
    # Signals may reach the whole process group; fairseq-train's last lines after one belong in the log
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
    display = Display(arguments.max_epoch, arguments.max_update, arguments.name, at_most=arguments.at_most)
    told = set[str]()
    with open(arguments.log, "a", encoding="utf-8") as log, open(arguments.session, "w", encoding="utf-8") as session:
        if not ends_whole(arguments.log):
            log.write("\n")
        for line in lines:
            for file in (log, session):
                file.write(line)
                file.flush()
            if TO_USERS.match(line) and line not in told:  # all processes of a training may end with the same sentence
                told.add(line)
                tqdm.write(line, file=sys.stderr, end="")
            row = metrics_of(line)
            if row is not None and row["split"] != "train_epoch":
                display.show(row)
    display.close()
    with open(arguments.log, encoding="utf-8", errors="replace") as log, replacing(arguments.metrics) as metrics:
        metrics.writelines(json.dumps(row) + "\n" for row in tidy(log))


if __name__ == "__main__":
    main()
