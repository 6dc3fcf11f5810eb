"""Train one model in several processes that kill themselves at chosen moments, for test_distributed.py.

A process that has loaded fairseq forks the others, so that a session takes seconds; torch's launcher is not used.
"""

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from killed_process import FLAGS, exit_status, main

PATIENCE = 10.0  # seconds for the others to end when one has failed
TOGETHER = {"distributed_backend": "gloo", "ddp_backend": "legacy_ddp", "load_checkpoint_on_all_dp_ranks": True}


def session(
    folder: Path, name: str, flags: dict[str, Any], ranks: int, kills: dict[str, Any], often: bool
) -> list[int]:
    """Train in so many processes, and return their exit statuses: minus the signal, where one has ended it.

    Args:
        folder: of the binarised text in `bin`, the save-dirs, and a log for each rank.
        name: of the save-dir.
        flags: that differ from FLAGS.
        ranks: number of processes.
        kills: by rank, the moment at which it sends itself a signal, after how many updates, and the signal.
        often: save a checkpoint after each update, not at the ends of epochs only.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    together = TOGETHER | {"distributed_world_size": ranks} if ranks > 1 else {}
    children = []
    for rank in range(ranks):
        children.append(os.fork())
        if children[-1] == 0:
            if ranks > 1:
                os.environ |= {key: str(value) for key, value in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
            log = folder / f"{name}.{rank}.log"
            exit_status(log, folder, name, FLAGS | together | flags, kills.get(str(rank)), often)
    return wait(children)


def wait(children: list[int]) -> list[int]:
    """Return the exit status of each process; when one has failed, kill those that do not end, as the launcher does."""
    ended: dict[int, int] = {}
    deadline = float("inf")
    while len(ended) < len(children):
        for child in set(children) - ended.keys():
            process, status = os.waitpid(child, os.WNOHANG)
            if process:
                ended[child] = os.waitstatus_to_exitcode(status)
                deadline = min(deadline, time.monotonic() + PATIENCE) if ended[child] else deadline
            elif time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
    return [ended[child] for child in children]


if __name__ == "__main__":
    main(session)
