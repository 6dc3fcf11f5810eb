"""python -m bleuprint.machine.allocator COMMAND …: become the command, with mimalloc in place of the system's malloc.

For trainings and decodings on a CPU. Their batches have a different shape at each step. glibc's malloc cannot reuse the
holes that one shape leaves for the next, so the process grows for hundreds of updates, and it has the kernel map large
tensors again and again. mimalloc does neither.
"""

import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGE = "cmeel-mimalloc"
# Keep freed memory for the next step, which needs as much again; ask for huge pages where the kernel offers them
SETTINGS = {"MIMALLOC_PURGE_DELAY": "-1", "MIMALLOC_ALLOW_LARGE_OS_PAGES": "1"}


def library() -> Path | None:
    """Return the path of mimalloc's shared library, or None if it is not installed."""
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return None
    paths = [Path(str(file.locate())) for file in files if file.name == "libmimalloc.so"]
    return next((path.resolve() for path in paths if path.exists()), None)


def environment(given: dict[str, str]) -> dict[str, str]:
    """Return `given` with mimalloc preloaded; a library that the user preloads comes first, and their settings win."""
    path = library()
    if path is None:
        return given
    preloaded = ":".join(filter(None, [given.get("LD_PRELOAD"), str(path)]))
    return SETTINGS | given | {"LD_PRELOAD": preloaded}


def main() -> None:
    """Entry point; never returns."""
    if len(sys.argv) < 2:
        sys.exit("bleuprint: bleuprint.machine.allocator needs a command")
    os.execvpe(sys.argv[1], sys.argv[1:], environment(dict(os.environ)))


if __name__ == "__main__":
    main()
