"""bleuprint replay: run again from a run's own record, in a fresh folder, and compare what comes out."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bleuprint.commands.verify import drift
from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.differences import differing
from bleuprint.config.schema import Files, Iwslt14, Local
from bleuprint.files import DataError, read_json, sha256, write_json
from bleuprint.machine.environment import ROOT, facts
from bleuprint.plan.explain import dotted
from bleuprint.plan.keys import planned
from bleuprint.record.provenance import NAME, RUNS, Record, base, find, read
from bleuprint.record.same import compared

BEGUN = "replay.json"  # in the replay's folder: which run it is of


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
    scores = run / "scores.json"
    if not scores.is_file() or sha256(scores) != known["files"]["scores.json"]["sha256"]:
        raise DataError(f"{scores} is not what was recorded, so there is nothing to compare with.")
    folder = folder or Path("replays", known["run"])
    words = again(known, base(run))
    check(known, words)
    begin(folder, {"run": known["run"], "words": words})
    threads = known["stages"]["training"]["environment"].get("threads")
    cores = cores or threads or len(os.sched_getaffinity(0))
    if not snakemake(folder, words, cores):
        raise DataError(f"the replay in {folder} did not come to its end; the same command goes on with it.")
    lines, same = compared(known, base(run), folder)
    print("\n".join([*lines, *(f"note: today's {line}" for line in drift(known, facts()))]))
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
    changed = {} if run.name == known["run"] else {"run": [known["run"], run.name]}
    for stage, one in known["stages"].items():
        today = plan.stage(stage, run.keys[stage]).slice
        if today != one["slice"]:
            unlike = differing([one["slice"], today])
            changed |= {dotted(stage, key): values for key, values in unlike.items() if key != "parent"}
    if changed:
        keys = ", ".join(f"{key}={today} (recorded {then})" for key, (then, today) in changed.items())
        raise DataError(f"{known['run']} would be another run today: {keys}{_commit(known)}.")


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
