"""bleuprint run: call Snakemake with keys as Hydra writes them, dotted ones and sweeps included."""

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import yaml
from snakemake.cli import parse_args, parse_config
from snakemake.exceptions import CliException, WorkflowError

from bleuprint.config.groups import NO_CHECKOUT, group_files
from bleuprint.config.words import hydra_words, with_quotes
from bleuprint.files import DataError, visible
from bleuprint.machine.environment import ROOT

PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*\w")  # a key that Snakemake takes in front of the equals sign


def run(words: list[str], options: list[str], cluster: str | None = None) -> NoReturn:
    """Print the call of Snakemake, and become it: signals, terminal and exit status are Snakemake's.

    Args:
        words: Hydra's overrides, as the shell hands them over.
        options: for Snakemake: its options, and targets.
        cluster: the folder of profiles/ that says which scheduler runs the jobs; None: this machine runs them.

    Raises:
        DataError: a word is not KEY=VALUE, `--config` is given twice, or Snakemake, its Snakefile, the profile or its
            plugin is missing.
    """
    arguments = call(words, options if cluster is None else [*profile(cluster), *options])
    program = snakemake()
    # Not on standard output, which may be read by a program: `-- --dag | dot -Tsvg`
    print(visible(shlex.join(["snakemake", *arguments])), file=sys.stderr, flush=True)
    sys.stdout.flush()
    os.execv(program, [program, *arguments])


def profile(cluster: str) -> list[str]:
    """Return the option of Snakemake that reads a cluster's profile.

    Raises:
        DataError: there is none of that name, or the environment lacks the plugin that it needs.
    """
    folders = {path.parent.name: path.parent for path in sorted((ROOT / "profiles").glob("*/config.yaml"))}
    clusters = {name: folder for name, folder in folders.items() if name != "default"}
    if cluster not in clusters:
        raise DataError(f"--on {cluster}: no such folder in {ROOT / 'profiles'}; choose from {', '.join(clusters)}.")
    plugin = yaml.safe_load((clusters[cluster] / "config.yaml").read_text(encoding="utf-8"))["executor"]
    if find_spec(f"snakemake_executor_plugin_{plugin.replace('-', '_')}") is None:
        raise DataError(f"--on {cluster}: its plugin is not installed; run: make env EXTRAS=slurm")
    return ["--workflow-profile", str(clusters[cluster])]


def call(words: list[str], options: list[str]) -> list[str]:
    """Return the arguments of Snakemake.

    Args:
        words: Hydra's overrides.
        options: for Snakemake; without a number of cores or jobs in them it gets all cores.

    Raises:
        DataError: as `run`.
    """
    snakefile = ROOT / "Snakefile"
    if not snakefile.is_file():
        raise DataError(NO_CHECKOUT.format(snakefile))
    entries = config_entries(words)
    known = _read(snakefile, options)
    if entries and known is not None and known.config is not None:
        raise DataError("--config: the words before -- take its place; write bleuprint run KEY=VALUE -- OPTIONS.")
    arguments = []
    if not Path.cwd().samefile(ROOT) and (known is None or Path(known.snakefile) == snakefile):
        arguments += ["--snakefile", str(snakefile)]
    if known is None or (known.cores is None and known.jobs is None):
        arguments += ["--cores", "all"]
    if os.environ.get("NO_COLOR") and not (known and known.nocolor):
        arguments.append("--nocolor")  # Snakemake itself does not heed the variable
    # After targets, which --config would take for its own; before `--`, which ends the options
    end = options.index("--") if "--" in options else len(options)
    return [*arguments, *options[:end], *(["--config", *entries] if entries else []), *options[end:]]


def _read(snakefile: Path, options: list[str]) -> argparse.Namespace | None:
    """Read options as Snakemake will, its profiles included; None where it shows its help or an error."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            arguments: argparse.Namespace = parse_args(["--snakefile", str(snakefile), *options])[1]
    except (SystemExit, CliException, WorkflowError):
        return None
    return arguments


def config_entries(words: list[str]) -> list[str]:
    """Return the entries of Snakemake's `--config` that mean exactly these overrides.

    A plain key whose value Snakemake hands over unchanged is an entry of its own, all others are in `overrides`.
    A value that Hydra could not read without quotes of its own gets them, so that the shell's are enough.

    Args:
        words: Hydra's overrides; `overrides=…` may stand among them, as after `--config`.

    Raises:
        DataError: a word is not KEY=VALUE.
    """
    flat: list[str] = []
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise DataError(_no_key(word))
        flat += hydra_words(_parsed(word)) if word.startswith("overrides=") else [with_quotes(word)]
    # Of a key that is given twice the last value counts, so that its words keep their order
    times = Counter(_key(word) for word in flat)
    plain = [
        word for word in flat if times[_key(word)] == 1 and PLAIN_KEY.fullmatch(_key(word)) and _kept([word], word)
    ]
    others = [word for word in flat if word not in plain]
    short = f"overrides={' '.join(others)}"
    if not others:
        return plain
    return [*plain, short if _kept(others, short) else f"overrides={_as_json(others)}"]


def cli_config(words: list[str]) -> dict[str, Any]:
    """Return the config that Snakemake would hand over.

    Args:
        words: Hydra's overrides, as `bleuprint run` takes them.

    Raises:
        DataError: a word is not KEY=VALUE.
    """
    config: dict[str, Any] = parse_config(config_entries(words))
    return config


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _kept(words: list[str], entry: str) -> bool:
    """Tell whether an entry of `--config` is plain to read, and comes back from Snakemake as exactly these words."""
    try:
        return entry.isprintable() and hydra_words(_parsed(entry)) == words
    except DataError:
        return False


def _parsed(entry: str) -> dict[str, Any]:
    """Parse an entry like Snakemake.

    Raises:
        DataError: Snakemake does not take it.
    """
    try:
        config: dict[str, Any] = parse_config([entry])
    except (ValueError, AssertionError):  # the second: YAML finds nothing but a comment
        raise DataError(f"{entry}: cannot be read; write the words of overrides by themselves, KEY=VALUE.") from None
    return config


def _as_json(words: list[str]) -> str:
    """Write a list so that YAML, as which Snakemake reads it, gives it back; all that is not printable is escaped."""
    text = json.dumps(words, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08X}" for letter in text)


def _no_key(word: str) -> str:
    """Return the sentence on a word without an equals sign."""
    groups = [group for group in sorted(group_files(), key="recipe".__ne__) if word in group_files()[group]]
    if groups:
        return f"{word}: not KEY=VALUE; did you mean {' or '.join(f'{group}={word}' for group in groups)}?"
    return f"{word}: not KEY=VALUE; targets and options of Snakemake follow --, as in bleuprint run -- {word}"


def snakemake() -> str:
    """Return the path of this environment's Snakemake, and see that its jobs find the environment's programs.

    Raises:
        DataError: there is none.
    """
    folder = os.path.dirname(sys.executable)
    program = shutil.which("snakemake", path=folder)
    if program and folder not in os.get_exec_path():  # the environment is not active
        os.environ["PATH"] = os.pathsep.join([folder, *os.get_exec_path()])
    program = program or shutil.which("snakemake")
    if program is None:
        raise DataError("snakemake: not found; activate the environment, or: make env.")
    return program
