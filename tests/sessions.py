"""Sessions of fairseq-train on made-up text, run by killed_process.py or ranks_process.py."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run_sessions(program: str, folder: Path, sessions: Sequence[Any]) -> list[Any]:
    """Run sessions of fairseq-train on made-up text by a program of this folder, and return the exit status of each."""
    draw = random.Random(1)
    for part, count in (("train", 200), ("valid", 20)):
        for language in ("de", "en"):
            lines = [" ".join(draw.choices("abcdefgh", k=draw.randint(3, 9))) for _ in range(count)]
            (folder / f"{part}.{language}").write_text("".join(f"{line}\n" for line in lines))
    command = [sys.executable, str(Path(__file__).with_name(program)), str(folder)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, input=json.dumps(sessions), env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    statuses: list[Any] = json.loads(result.stdout.splitlines()[-1])
    return statuses
