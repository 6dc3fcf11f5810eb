"""make bench: how fast the pipeline is and what memory it takes, on two cores; a Markdown table, results.json.

    python bench/run.py                 what `make bench` measures, 17 minutes
    python bench/run.py train frame     these parts only; the others' figures stay as they were, with their dates
    python bench/run.py --all           also the checks of the text, the whole test set decoded, threads that spin, one
                                        training in two processes, and the sweep of 2,000 runs
    python bench/run.py --scale DE EN   also the corpus and text stages on 20 times these two gzip'd files

A part NAME is `bench_NAME` of bench/NAME.py, up to an underscore. Text, trainings and decoding are of one archive in
the layout of IWSLT14's. What is compared is measured within the same minutes; figures of different parts or days do
not compare so well.
"""

import argparse
import datetime
import importlib
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import CORES, ROOT
from tabulate import tabulate

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow")]
ARCHIVE = ROOT.parent / "shared" / "data" / "iwslt14_sample" / "de-en.tgz"
RESULTS = ROOT / "bench" / "results.json"
DEFAULT = ["text", "report", "train", "decode", "frame"]
ALL = [*DEFAULT, "checks", "decode_all", "spin", "ranks", "sweep"]
ON_ARCHIVE = {"text", "report", "train", "decode", "checks", "decode_all", "spin", "ranks"}

Results = dict[str, dict[str, Any]]


def chosen(arguments: argparse.Namespace) -> list[str]:
    """Return the parts to measure, in the order of ALL; without the archive those that need none."""
    wanted = arguments.parts or (ALL if arguments.all else DEFAULT)
    there = arguments.archive.exists()
    if not there and ON_ARCHIVE & set(wanted):
        left = ", ".join(part for part in wanted if part in ON_ARCHIVE)
        print(f"{arguments.archive} is not there: {left} left out; name an archive with --archive", flush=True)
    return [part for part in ALL if part in wanted and (there or part not in ON_ARCHIVE)]


def table(results: Results) -> str:
    """All parts' latest figures, in Markdown."""
    lines = []
    for part, found in results.items():
        rows = tabulate(found["figures"].items(), headers=("measured", ""), floatfmt=",.2f", tablefmt="github")
        lines += [f"**{part}**, {found['date']}, {found['machine']}", "", rows, ""]
    return "\n".join(lines)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(ALL)}")
    parser.add_argument("--all", action="store_true", help="all parts, not only those of make bench")
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="an archive in the layout of IWSLT14's de-en.tgz")
    parser.add_argument("--scale", type=Path, nargs=2, metavar="GZ", help="two line-aligned files, for a large text")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(ALL):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    from bleuprint.files import read_json, write_json  # bleuprint is found only now

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that each part ends what it has started
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT / "workflow")}
    results: Results = read_json(RESULTS) if RESULTS.exists() else {}
    machine = f"{platform.machine()}, {CORES} cores, Python {platform.python_version()}"
    jobs = [(part, [arguments.archive.resolve()]) for part in chosen(arguments)]
    jobs += [("text_scale", arguments.scale)] if arguments.scale else []
    with tempfile.TemporaryDirectory() as folder:
        for part, inputs in jobs:
            print(f"{part} ...", flush=True)
            measure = getattr(importlib.import_module(part.partition("_")[0]), f"bench_{part}")
            began = time.monotonic()
            figures = measure(Path(folder), *inputs)
            found = {"date": datetime.date.today().isoformat(), "machine": machine}
            results[part] = found | {"seconds": time.monotonic() - began, "figures": figures}
            write_json(RESULTS, results)
    RESULTS.with_suffix(".md").write_text(table(results))
    print(f"\n{table(results)}")


if __name__ == "__main__":
    main()
