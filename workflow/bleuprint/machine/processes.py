"""python -m bleuprint.machine.processes FLAGS COMMAND …: torch's launcher, which ends as a single process would.

FLAGS are torchrun's. torchrun itself ends with status 1 and a traceback, however its processes have ended. A second
signal ends it at once, while its processes still save.
"""

import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM)
UNUSED = "SIGQUIT"  # the launcher handles those that it is told to, and at least one
asked: list[int] = []  # the signals that this process was sent


def pass_on(number: int, frame: FrameType | None) -> None:
    """Pass a signal on to the processes, which then save and end; end at once if none has started."""
    asked.append(number)
    processes = psutil.Process().children()
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
    if not processes:
        sys.exit(128 + number)


def status(codes: Iterable[int]) -> int:
    """Return the exit status of the shell of a single process that ended as these have.

    Args:
        codes: the exit codes of the processes that have failed, minus the signal where one has ended them.
    """
    if asked:
        return 128 + asked[0]
    # SIGTERM is what the launcher sends to the others when one has failed; a signal says more than an exception that
    # it may have caused in another process
    causes = [code for code in codes if code not in (-signal.SIGTERM, 128 + signal.SIGTERM)]
    worst = min(causes, default=-signal.SIGTERM)
    return 128 - worst if worst < 0 else worst


def main() -> None:
    """Run the launcher in this process."""
    for number in SIGNALS:
        signal.signal(number, pass_on)
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    words = [word.replace("$", "$$") for word in sys.argv[1:]]  # torch fills in ${local_rank}, and takes $$ for a $
    try:
        run(parse_args(["--no-python", "--signals-to-handle", UNUSED, *words]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        sys.exit(status([failure.exitcode for failure in error.failures.values()]))


if __name__ == "__main__":
    main()
