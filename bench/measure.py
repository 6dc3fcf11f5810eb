"""What the measurements share: a command's seconds and memory, Snakemake calls, the text that they are made on."""

import statistics
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
CORES = "2"


def program(name: str) -> str:
    """Return the path of a command that is installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


def snakemake(*arguments: str) -> list[str]:
    """Return a Snakemake call on two cores."""
    return [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", CORES, *arguments]


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """Run `command` in `folder`; its seconds, and the peak memory of it and its children in MiB (PSS, 10 Hz)."""
    began, peak = time.monotonic(), 0.0
    with open(folder / "bench.log", "a") as log:
        process = psutil.Popen(command, cwd=folder, stdout=log, stderr=log)
        while process.poll() is None:
            total = 0
            for member in [process, *process.children(recursive=True)]:
                try:
                    total += member.memory_full_info().pss
                except psutil.Error:
                    continue
            peak = max(peak, total / 2**20)
            time.sleep(0.1)
    if process.returncode != 0:
        print((folder / "bench.log").read_text()[-3000:], file=sys.stderr)
        sys.exit(f"bleuprint: {' '.join(command)} failed; the end of what it said stands above.")
    return time.monotonic() - began, peak


def median(command: list[str], folder: Path, times: int = 3) -> float:
    """Return the median seconds of several runs."""
    return statistics.median(measure(command, folder)[0] for _ in range(times))


def sample(archive: Path) -> list[str]:
    """Snakemake's words for an experiment on `archive`."""
    words = f"corpus.sources=[{archive}] corpus.bytes={archive.stat().st_size} corpus.expected=null"
    return ["--config", f"overrides={words}"]


def prepared(folder: Path, archive: Path) -> Path:
    """Return the text stage's folder of `archive`, which is made in `folder`/sample if it does not exist."""
    place = folder / "sample"
    place.mkdir(exist_ok=True)
    measure(snakemake("text", *sample(archive)), place)
    (made,) = (place / "results" / "text").iterdir()
    return made
