"""The flags of each fairseq command, and fairseq's own parser asked about them before any work.

`python -m bleuprint.plan.fairseq_flags` checks every recipe with every model, so that a new set-up knows them.
"""

import contextlib
import difflib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bleuprint.config.compose import CONFIG_DIR, ConfigError, experiments
from bleuprint.config.flags import argv, shell
from bleuprint.config.groups import shipped
from bleuprint.config.plugins import digests
from bleuprint.config.schema import Experiment, Runtime
from bleuprint.files import canonical, exit_with_message
from bleuprint.machine.device import cpu_batch, uses_gpu
from bleuprint.plan.plugins import place, problem, wrong_name
from bleuprint.training import plugins

PLUGIN = Path(os.path.relpath(Path(__file__).parents[1] / "fairseq_plugin"))
TRAINING = "fairseq-train"
DECODING = "fairseq-generate"
SHARING = ("bart", "mbart", "cmlm")  # architectures that share all embeddings unless they are told otherwise
# fairseq is slow to load (some 3 s), so that its word is remembered beside the packages it came from
KNOWN = Path(sys.prefix) / "share" / "bleuprint" / "known-flags"

Command = tuple[str, tuple[str, ...]]
Plugins = tuple[str, ...]  # folders


def preprocess(experiment: Experiment) -> str:
    """Return the flags that decide what fairseq-preprocess makes of the text, for the shell."""
    languages = {"source_lang": experiment.source, "target_lang": experiment.target}
    return shell(languages | {"joined_dictionary": experiment.text.joined_dictionary})


def sentencepiece(experiment: Experiment) -> str:
    """Return the flags of SentencePiece's trainer, for the shell."""
    settings = experiment.text.sentencepiece
    return shell(settings.model_dump(exclude={"alpha", "nbest_size"}) if settings else {})


def train(experiment: Experiment) -> str:
    """Return the flags that decide what fairseq-train trains, for the shell."""
    return shell(experiment.model.what_flags() | experiment.training.what_flags() | {"seed": experiment.seed})


def train_how(experiment: Experiment, runtime: Runtime, folder: str) -> str:
    """Return the other flags of fairseq-train, which move no result: device, log, loading, TensorBoard's folder."""
    log: dict[str, Any] = {"log_format": "json", "log_interval": runtime.log_interval}
    log["tensorboard_logdir"] = f"{folder}/tensorboard" if runtime.tensorboard else None
    given = experiment.model.how_flags() | experiment.training.how_flags()
    user_dir = user_dir_of(experiment, folder)
    device = device_flags(experiment, runtime) | together(experiment, runtime)
    return shell({"user_dir": user_dir} | device | loading(runtime) | log | given)


def generate(experiment: Experiment) -> str:
    """Return the flags that decide what fairseq-generate decodes, for the shell."""
    return shell(experiment.decoding.what_flags())


def generate_how(experiment: Experiment, runtime: Runtime, folder: str = "") -> str:
    """Return the other flags of fairseq-generate; of a flag that is given twice the latter holds.

    Args:
        experiment: whose model decodes.
        runtime: how.
        folder: of the training, which holds the code of its plugins.
    """
    how = device_flags(experiment, runtime) | loading(runtime) | experiment.decoding.how_flags()
    # What is drawn at random depends on which sentences are decoded together
    random = any(experiment.decoding.flags().get(key) for key in ("sampling", "retain_dropout"))
    return shell(
        {"user_dir": user_dir_of(experiment, folder)} | how | ({} if random else cpu_batch(experiment, runtime))
    )


def user_dir_of(experiment: Experiment, folder: str) -> Path:
    """Return the --user-dir of a training and of all that uses its model: bleuprint's plugin, or that with the user's.

    Args:
        experiment: with `model.plugin`, or without.
        folder: of the training, which holds copies of the user's plugins.
    """
    return plugins.user_dir(Path(folder)) if experiment.model.plugin else PLUGIN


@contextmanager
def user_dir_now(folders: Sequence[str] | None) -> Iterator[Path]:
    """Provide a --user-dir with the user's plugins as they are now, for as long as the block runs."""
    if not folders:
        yield Path(__file__).parents[1] / PLUGIN.name  # PLUGIN starts from the folder in which this was loaded
        return
    with TemporaryDirectory(prefix="bleuprint-") as temporary:
        yield plugins.copy(folders, Path(temporary) / plugins.FOLDER)


def device_flags(experiment: Experiment, runtime: Runtime) -> dict[str, Any]:
    """Return `--cpu`, or one GPU and `--fp16`; of several processes `together` says the rest."""
    return {"distributed_world_size": 1, "fp16": experiment.training.fp16} if uses_gpu(runtime) else {"cpu": True}


def together(experiment: Experiment, runtime: Runtime) -> dict[str, Any]:
    """Return the flags of fairseq-train with which several processes train one model; none for a single process.

    Each loads a checkpoint itself: fairseq would send it to the others in a form that torch >= 2.6 refuses to read. On
    a CPU they talk by gloo, and torch's own wrapper of the model refuses CPUs as fairseq calls it.
    """
    if experiment.training.gpus == 1:
        return {}
    flags = {"distributed_world_size": experiment.training.gpus, "load_checkpoint_on_all_dp_ranks": True}
    return flags if uses_gpu(runtime) else flags | {"distributed_backend": "gloo", "ddp_backend": "legacy_ddp"}


def loading(runtime: Runtime) -> dict[str, Any]:
    """Return how batches are loaded on a CPU: by a thread, as a process would become a second copy of the memory."""
    return {} if uses_gpu(runtime) else {"num_workers": 0}


def commands(experiment: Experiment) -> list[Command]:
    """Return the experiment's commands that take any flag, without folders, seed and device."""
    return [
        (TRAINING, tuple(argv(experiment.model.flags() | experiment.training.flags()))),
        (DECODING, ("--path", "checkpoint.pt", *argv(experiment.decoding.flags()))),
    ]


def check(experiments: Iterable[Experiment]) -> None:
    """Check that the flags of all experiments fit the text, and have fairseq's parser read them.

    Raises:
        ConfigError: one is wrong; of the parser, with its own words.
    """
    experiments = list(experiments)
    for experiment in experiments:
        flags = experiment.model.flags() | experiment.training.flags()
        defaults = {"share_all_embeddings": experiment.model.arch.startswith(SHARING), "merge_src_tgt_embed": False}
        shared = [key for key, default in defaults.items() if flags.get(key, default)]
        if shared and not experiment.text.joined_dictionary:
            raise ConfigError(
                f"model.{shared[0]}: source and target need one dictionary; set text.joined_dictionary=true"
            )
    parse(experiments)


def parse(experiments: Iterable[Experiment]) -> None:
    """Have fairseq's parser read the flags of all experiments.

    Raises:
        ConfigError: with the parser's own words.
    """
    wanted: dict[Plugins, set[Command]] = {}
    for experiment in experiments:
        wanted.setdefault(tuple(experiment.model.plugin or ()), set()).update(commands(experiment))
    for folders, those in wanted.items():  # plugins of several runs may register the same names
        _parse_with(folders, those)


def _parse_with(folders: Plugins, wanted: Iterable[Command]) -> None:
    unknown = sorted(command for command in wanted if not _mark(command, folders).exists())
    if not unknown:
        return
    for (program, _), complaint in zip(unknown, complaints(unknown, folders), strict=True):
        if complaint is not None:
            raise ConfigError(f"{program}: {complaint}")
    with contextlib.suppress(OSError):  # a read-only environment just asks again
        KNOWN.mkdir(parents=True, exist_ok=True)
        for command in unknown:
            _mark(command, folders).touch()


def complaints(commands: list[Command], folders: Plugins = ()) -> list[str | None]:
    """Return the complaint of fairseq's parser about each command, or None.

    Args:
        commands: to be checked.
        folders: of the user's plugins, whose architectures, criterions and flags fairseq then has, too.

    Raises:
        ConfigError: fairseq or a plugin cannot be loaded.
    """
    # In a process of its own: fairseq brings torch, and changes logging and Hydra's state
    with user_dir_now(folders) as user_dir:
        order = {"commands": commands, "user_dir": str(user_dir), "plugins": folders}
        program = [sys.executable, "-m", "bleuprint.plan.fairseq_flags", "--parse"]
        result = subprocess.run(program, input=json.dumps(order), capture_output=True, text=True, errors="replace")
    if result.returncode != 0:
        raise ConfigError(f"fairseq could not be loaded to check its flags: {result.stderr.strip()[-500:]}")
    answer = json.loads(result.stdout.splitlines()[-1])
    if isinstance(answer, str):
        raise ConfigError(answer)
    answers: list[str | None] = answer
    return answers


def _mark(command: Command, folders: Plugins = ()) -> Path:
    text = canonical([version("ve-fairseq"), command, *([digests(folders)] if folders else [])])
    return KNOWN / hashlib.sha256(text.encode()).hexdigest()


def _answer(order: dict[str, Any]) -> str | list[str | None]:
    """Return fairseq's complaint about each command, or None; or a sentence on a plugin that cannot be loaded."""
    folders, user_dir = order["plugins"], Path(order["user_dir"]).absolute()
    if folders and (sentence := problem(user_dir, folders)):
        return sentence
    return [_parse((program, tuple(words)), user_dir, folders) for program, words in order["commands"]]


def _parse(command: Command, user_dir: Path, folders: Sequence[str]) -> str | None:
    """Return fairseq's complaint about a command, or None."""
    from fairseq import options

    program, words = command
    help_ = f"; see {program} --help for its flags"
    parser = options.get_training_parser() if program == TRAINING else options.get_generation_parser()
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            flags = options.parse_args_and_arch(parser, ["data", "--user-dir", str(user_dir), *words])
    except SystemExit:
        return _short(errors.getvalue().strip().splitlines()[-1].partition("error: ")[2]) + help_
    except Exception as error:  # also what plugins raise that add flags or fill in an architecture
        where = place(user_dir.parent, folders, error) if folders else ""
        return f"{type(error).__name__}: {error}{f'{where}; correct it' if where else help_}"
    return wrong_name("training" if program == TRAINING else "decoding", vars(flags)) if folders else None


def _short(complaint: str) -> str:
    """Return the parser's complaint; of several hundred choices only those that resemble the wrong one."""
    wrong = re.fullmatch(r"(.*invalid choice: '?(.*?)'?) \(choose from (.*)\)", complaint)
    if wrong is None:
        return complaint
    near = difflib.get_close_matches(wrong[2], re.findall(r"[\w.-]+", wrong[3]), 5, cutoff=0.5)
    return wrong[1] + (f" (did you mean {', '.join(near)}?)" if near else "")


@exit_with_message()
def main() -> None:
    """Entry point: check what stands on standard input (--parse), or all that config/ offers."""
    if "--parse" in sys.argv:
        print(json.dumps(_answer(json.load(sys.stdin))))
        return
    models = ",".join(shipped()["model"])
    try:
        recipes = ",".join(shipped()["recipe"])
        parse(choice.experiment for choice in experiments({"recipe": recipes, "model": models}))
    except ConfigError as error:
        raise ConfigError(f"{CONFIG_DIR}: {error}") from None


if __name__ == "__main__":
    main()
