"""bleuprint replay: run again from a run's own record, in a fresh folder, and compare what comes out."""

import importlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tabulate import tabulate

from bleuprint.config import ConfigError, experiments
from bleuprint.differences import differing, flat
from bleuprint.environment import ROOT
from bleuprint.explain import dotted
from bleuprint.files import DataError, read_json, write_json
from bleuprint.plan import planned
from bleuprint.provenance import NAME, RUNS, Record, base, find, read, shown
from bleuprint.schema import Files, Iwslt14, Local

BEGUN = "replay.json"  # in the replay's folder: which run it is of
PROMISE = "Equal bits are promised on the same kind of processor with the same versions and thread count, without a GPU"
# Facts of an environment on which bits hang; the others, a commit say, may differ without harm
BITS = ("processor", "threads", "packages.torch", "packages.numpy", "packages.ve-fairseq", "python")


def replay(word: str, folder: Path | None, cores: int | None) -> int:
    """Run a run again and print how its scores, hypotheses and model compare.

    Args:
        word: the run, as `provenance.find` takes it.
        folder: where to; None: `replays/<run>`.
        cores: for Snakemake; None: as many as the recorded training had threads.

    Returns:
        The exit status: 0 if all scores are equal.

    Raises:
        DataError: today's code and config/ would make another run, or the folder holds something else.
    """
    run = find(word)
    known = read(run)
    folder = folder or Path("replays", known["run"])
    words = again(known, base(run))
    check(known, words)
    begin(folder, {"run": known["run"], "words": words})
    threads = known["stages"]["training"]["environment"].get("threads")
    cores = cores or threads or len(os.sched_getaffinity(0))
    if not snakemake(folder, words, cores):
        raise DataError(f"the replay in {folder} did not come to its end; the same command goes on with it.")
    lines, same = compared(known, base(run), folder)
    print("\n".join(lines))
    return 0 if same else 1


def again(known: Record, root: Path) -> list[str]:
    """The recorded words, and after them those that make them hold in another folder: the last of a key counts.

    Args:
        known: the run's record.
        root: the folder of its results/, which relative paths start from.

    Raises:
        DataError: config/ does not know the words any more.
    """
    asked: list[str] = known["asked"]["words"]
    try:
        (choice,) = experiments({"overrides": asked})
    except ConfigError as error:
        raise DataError(f"{known['run']} cannot be asked for any more: {error}{_commit(known)}.") from None
    corpus, runtime = choice.experiment.corpus, choice.experiment.runtime
    # The other groups of a sweep are not there to be a baseline
    words = [*asked, "report.baseline=null"]
    if threads := known["stages"]["training"]["environment"].get("threads"):
        words.append(f"runtime.threads={threads}")
    if isinstance(corpus, Local):
        given = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
        words += [f"corpus.{part}={_quoted(root / prefix)}" for part, prefix in given.items() if prefix]
    if isinstance(corpus, Iwslt14 | Files):
        sources = [source if urlsplit(source).scheme else str(root / source) for source in corpus.sources]
        words.append(f"corpus.sources=[{','.join(map(_quoted, sources))}]")
        downloads = root / known["stages"]["corpus"]["folder"] / "downloads"
        if downloads.is_dir():
            words.append(f"runtime.mirror={_quoted(downloads)}")
        elif runtime.mirror:
            words.append(f"runtime.mirror={_quoted(root / runtime.mirror)}")
    return words


def _quoted(value: str | Path) -> str:
    """A value as Hydra's grammar quotes it."""
    text = str(value).replace('"', r"\"")
    return f'"{text}"'


def check(known: Record, words: list[str]) -> None:
    """See that the words still mean the recorded run.

    Raises:
        DataError: naming the keys in which today's run differs.
        SystemExit: today's code refuses the words.
    """
    plan = planned({"overrides": words})
    (run,) = plan.runs
    changed: dict[str, list[Any]] = {}
    for stage, one in known["stages"].items():
        today = plan.stage(stage, run.keys[stage]).slice
        if today != one["slice"]:
            keys = differing([one["slice"], today])
            changed |= {dotted(stage, key): values for key, values in keys.items() if key != "parent"}
    if changed:
        shown = ", ".join(f"{key}={today} (recorded {then})" for key, (then, today) in changed.items())
        raise DataError(f"{known['run']} would be another run today: {shown}{_commit(known)}.")


def _commit(known: Record) -> str:
    """With which code the run can be had."""
    facts = known["stages"]["training"]["environment"]
    if not facts.get("commit"):
        return "; the commit of the code that made it was not recorded"
    dirty = ", which had uncommitted changes" if facts["dirty"] else ""
    return f"; check out the commit that made it, {facts['commit'][:12]}{dirty}, and replay it there"


def begin(folder: Path, wanted: dict[str, Any]) -> None:
    """Make the replay's folder, or go on in that of an unfinished one.

    Raises:
        DataError: the folder holds something else, or a finished replay.
    """
    marker = folder / BEGUN
    if folder.exists() and any(folder.iterdir()):
        if not marker.exists() or read_json(marker) != wanted:
            raise DataError(f"{folder} is not empty; name a fresh folder with --folder.")
        if (folder / RUNS / wanted["run"] / NAME).exists():
            raise DataError(f"{folder} holds a finished replay of that run; delete it, or name another with --folder.")
    write_json(marker, wanted)


def snakemake(folder: Path, words: list[str], cores: int) -> bool:
    """Run the pipeline in `folder`; whether it came to its end."""
    overrides = json.dumps(words, ensure_ascii=False)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--cores", str(cores), "--config", f"overrides={overrides}"]
    print(shlex.join(command), flush=True)
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait() == 0
            except KeyboardInterrupt:
                continue  # Snakemake got it, too, and ends when its jobs have


def compared(known: Record, root: Path, folder: Path) -> tuple[list[str], bool]:
    """What came out beside what was recorded.

    Args:
        known: the run's record.
        root: the folder of its results/.
        folder: the replay's.

    Returns:
        Lines to print, and whether all scores are equal.
    """
    name = known["run"]
    new = read(folder / RUNS / name)
    scores = [read_json(where / RUNS / name / "scores.json")["metrics"] for where in (root, folder)]
    rows = [
        [metric, *(f"{one[metric]['score']:.4f}" for one in scores), _same(*(one[metric]["score"] for one in scores))]
        for metric in scores[0]
    ]
    text = next((line for line in (_first_changed(known, new, stage) for stage in ("corpus", "text")) if line), None)
    hypotheses = _equal_files(known, new, "decoding", "hypotheses.txt")
    model = _models(known, new, root, folder)
    lines = [
        tabulate(rows, headers=["metric", "recorded", "replayed", "same?"], disable_numparse=True),
        "",
        "text: the same bytes" if text is None else f"text: differs, first in {text}",
        f"model: {model}",
        f"hypotheses: {'the same bytes' if hypotheses else 'differ'}",
        "",
        _promise(known, new),
    ]
    return lines, all(row[3] == "same" for row in rows)


def _same(one: float, other: float) -> str:
    return "same" if one == other else "DIFFERENT"


def _equal_files(known: Record, new: Record, stage: str, name: str) -> bool:
    files = [record["stages"][stage]["files"].get(name) for record in (known, new)]
    return files[0] is not None and files[0] == files[1]


def _first_changed(known: Record, new: Record, stage: str) -> str | None:
    """The first file of a stage that is not the same; downloads may have come another way."""
    files = known["stages"][stage]["files"]
    changed = [
        name
        for name in files
        if not name.startswith("downloads/") and files[name] != new["stages"][stage]["files"].get(name)
    ]
    return f"{known['stages'][stage]['folder']}/{changed[0]}" if changed else None


def _models(known: Record, new: Record, root: Path, folder: Path) -> str:
    """Whether the two checkpoints hold the same parameters; their files differ anyhow, in times and paths."""
    if _equal_files(known, new, "training", "checkpoint.pt"):
        return "the same bytes"
    paths = [where / known["stages"]["training"]["folder"] / "checkpoint.pt" for where in (root, folder)]
    if not paths[0].exists():
        return "not compared, the recorded one is not there any more"
    one, other = map(_parameters, paths)
    import torch

    changed = [
        name for name in one | other if name not in one or name not in other or not torch.equal(one[name], other[name])
    ]
    return f"{len(changed)} of {len(one)} tensors differ" if changed else f"all {len(one)} tensors equal, bit for bit"


def _parameters(path: Path) -> dict[str, Any]:
    import torch

    importlib.import_module("bleuprint.fairseq_plugin")  # allow-lists what fairseq's checkpoints need
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["model"]
    return found


def _promise(known: Record, new: Record) -> str:
    """What could be expected, by what differs between the two trainings."""
    stages = [record["stages"]["training"] for record in (known, new)]
    facts = [flat(stage["environment"]) for stage in stages]
    unlike = [
        f"{key.removeprefix('packages.')} {shown(one[0])} → {shown(one[1])}"
        for key, one in differing(facts).items()
        if key in BITS
    ]
    if not all(" --cpu" in command for stage in stages for command in _trainings(stage)):
        unlike.append("a GPU")
    return f"{PROMISE}. Here not: {', '.join(unlike)}." if unlike else f"{PROMISE}: that was the case here."


def _trainings(stage: dict[str, Any]) -> list[str]:
    return [command for job in stage["jobs"] for command in job["commands"] if "fairseq-train " in command]
