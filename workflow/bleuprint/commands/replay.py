"""bleuprint replay: repeat a run from its record in a new folder, and compare the results."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from bleuprint.commands.verify import drift
from bleuprint.config.compose import Choice, ConfigError, experiments
from bleuprint.config.differences import differing
from bleuprint.files import DataError, read_json, sha256, visible, write_json
from bleuprint.machine.environment import ROOT, facts
from bleuprint.plan.ancestors import with_parents
from bleuprint.plan.explain import dotted
from bleuprint.plan.keys import planned
from bleuprint.plan.portable import portable
from bleuprint.record import own, plugins
from bleuprint.record.provenance import NAME, RUNS, Record, base, find, read
from bleuprint.record.same import compared

BEGUN = "replay.json"  # in the replay's folder: the run that it repeats
MIRROR = "mirror"  # there: links to what several corpora have downloaded


def replay(word: str, folder: Path | None, cores: int | None) -> int:
    """Repeat a run and print how its scores, hypotheses and model compare with the recorded ones.

    Args:
        word: the run, as `provenance.find` takes it.
        folder: the replay's folder; None: `replays/<run>`.
        cores: for Snakemake; None: the number of threads of the recorded training.

    Returns:
        The exit status: 0 if all scores are equal.

    Raises:
        DataError: today's code and config would make another run, or the folder holds something else.
    """
    run = find(word)
    known = read(run)
    scores = run / "scores.json"
    if not scores.is_file() or sha256(scores) != known["files"]["scores.json"]["sha256"]:
        raise DataError(f"{scores} is not what was recorded, so there is nothing to compare with.")
    folder = folder or Path("replays", known["run"])
    words, mirrors = again(known, base(run)), offline(known, base(run), today(known, base(run)))
    if len(mirrors) > 1:
        words.append(f"runtime.mirror={_quoted(folder.absolute() / MIRROR)}")
    check(known, words)
    begin(folder, {"run": known["run"], "words": words})
    gather(mirrors, folder / MIRROR)
    threads = known["stages"]["training"]["environment"].get("threads")
    cores = cores or threads or len(os.sched_getaffinity(0))
    if not snakemake(folder, words, cores):
        raise DataError(f"the replay in {folder} did not finish; the same command resumes it.")
    lines, same = compared(known, base(run), folder)
    print("\n".join([*lines, *(f"note: today's {line}" for line in drift(known, facts()))]))
    return 0 if same else 1


def again(known: Record, root: Path) -> list[str]:
    """Return the recorded words, and after them words that make them valid in another folder.

    Where a key is given twice, its last value counts.

    Args:
        known: the run's record.
        root: the folder that holds its results/, where relative paths start.

    Raises:
        DataError: today's config refuses the words.
    """
    choice = today(known, root)
    # A replay has one run, and no other group of the sweep as its baseline
    words = [*portable(choice, root), *own.words(known, root / RUNS / known["run"]), "report.baseline=null"]
    if threads := known["stages"]["training"]["environment"].get("threads"):
        words.append(f"runtime.threads={threads}")
    words += [f"scoring.{key}={_quoted(value)}" for key, value in choice.experiment.scoring.relocated(root).items()]
    # The user's own folders may have been edited since
    folders = [root / folder for folder in choice.experiment.model.plugin or ()]
    if folders:
        words.append(f"model.plugin={_quoted(list(map(str, plugins.recorded(known, root) or folders)))}")
    if len(mirrors := offline(known, root, choice)) == 1:
        words.append(f"runtime.mirror={_quoted(mirrors[0])}")
    return words


def today(known: Record, root: Path) -> Choice:
    """Return what today's config makes of the recorded words.

    Raises:
        DataError: it refuses them.
    """
    config = own.words(known, root / RUNS / known["run"])
    try:
        with chdir(root):
            (choice,) = map(with_parents, experiments({"overrides": [*known["asked"]["words"], *config]}))
    except ConfigError as error:
        raise DataError(f"{known['run']} is refused by today's config: {error}{_commit(known)}.") from None
    return choice


def offline(known: Record, root: Path, choice: Choice) -> list[Path]:
    """Return the folders that hold what was downloaded for the run's corpus and those of the runs that it builds on.

    They are the corpora's own and, where one has none, the mirror that was named.
    """
    ancestors = (other for other in known.get("ancestors", []) if other["stage"] == "corpus")
    folders = [root / other["folder"] / "downloads" for other in (known["stages"]["corpus"], *ancestors)]
    own = [folder for folder in folders if folder.is_dir()]
    mirror = choice.experiment.runtime.mirror
    return [*own, root / mirror] if mirror and len(own) < len(folders) else own


def gather(mirrors: Sequence[Path], folder: Path) -> None:
    """Link the files of several mirrors in one folder, which `runtime.mirror` is; of two of a name the first counts."""
    for path in (path for mirror in reversed(mirrors) for path in mirror.iterdir() if len(mirrors) > 1):
        folder.mkdir(exist_ok=True)
        (folder / path.name).unlink(missing_ok=True)
        (folder / path.name).symlink_to(path.resolve())


def _quoted(value: str | Path | list[str]) -> str:
    """Return a value, or a list of values, as Hydra's grammar quotes it."""
    if isinstance(value, list):
        return f"[{','.join(map(_quoted, value))}]"
    text = str(value).replace('"', r"\"")
    return f'"{text}"'


def check(known: Record, words: list[str]) -> None:
    """Check that the words still mean the recorded run.

    Raises:
        DataError: today's run differs; the message names the keys.
        SystemExit: today's code refuses the words.
    """
    plan = planned({"overrides": words})
    (run,) = plan.runs
    changed = {} if run.name == known["run"] else {"run": [known["run"], run.name]}
    for stage, recorded in known["stages"].items():
        today = plan.stage(stage, run.keys[stage]).slice
        if today != recorded["slice"]:
            unlike = differing([recorded["slice"], today])
            changed |= {dotted(stage, key): values for key, values in unlike.items() if key != "parent"}
    for test, stages in known.get("tests", {}).items():
        if plan.stage("testset", run.tests[test]["testset"]).slice != stages["testset"]["slice"]:
            changed[f"corpus.tests.{test}"] = ["another text", run.choice.experiment.corpus.tests[test]]
    if changed:
        keys = ", ".join(f"{key}={today} (recorded {then})" for key, (then, today) in changed.items())
        raise DataError(f"{known['run']} would be another run today: {keys}{_commit(known)}.")


def _commit(known: Record) -> str:
    """Return the end of a sentence: which commit repeats the run."""
    facts = known["stages"]["training"]["environment"]
    if not facts.get("commit"):
        return "; the commit of the code that made it was not recorded"
    dirty = ", which had uncommitted changes" if facts["dirty"] else ""
    return f"; check out the commit that made it, {facts['commit'][:12]}{dirty}, and replay it there"


def begin(folder: Path, wanted: dict[str, Any]) -> None:
    """Create the replay's folder, or accept that of an unfinished replay of the same run.

    Raises:
        DataError: the folder holds something else, or a finished replay.
    """
    marker = folder / BEGUN
    if folder.exists() and any(folder.iterdir()):
        if not marker.exists() or read_json(marker) != wanted:
            raise DataError(f"{folder} is not empty; name a new folder with --folder.")
        if (folder / RUNS / wanted["run"] / NAME).exists():
            raise DataError(f"{folder} holds a finished replay of that run; delete it, or name another with --folder.")
    write_json(marker, wanted)


def snakemake(folder: Path, words: list[str], cores: int) -> bool:
    """Run the pipeline in `folder`, and tell whether it finished."""
    overrides = json.dumps(words, ensure_ascii=False)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--cores", str(cores), "--config", f"overrides={overrides}"]
    print(visible(shlex.join(command)), flush=True)
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait() == 0
            except KeyboardInterrupt:
                continue  # Snakemake got the signal, too, and ends after its jobs
