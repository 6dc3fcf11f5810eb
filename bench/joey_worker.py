"""JoeyNMT's training, run by its own Python: after each update one line with the update's target tokens.

Its log gives tokens per second only, and the time to the second.
"""

import sys
from pathlib import Path
from typing import Any

from joeynmt.config import load_config
from joeynmt.helpers import make_model_dir
from joeynmt.training import TrainManager, train


def say(says: str) -> None:
    """Have each update's target tokens printed after `says`."""
    log_scores = TrainManager._log_scores

    def logged(self: Any, epoch: int, seconds: float, tokens_before: int, *others: Any) -> None:
        log_scores(self, epoch, seconds, tokens_before, *others)
        print(f"{says}{self.stats.total_tokens - tokens_before}", flush=True)

    TrainManager._log_scores = logged


if __name__ == "__main__":
    say(sys.argv[2])
    settings = load_config(Path(sys.argv[1]))
    make_model_dir(Path(settings["model_dir"]))
    train(rank=0, world_size=None, cfg=settings, skip_test=True)
