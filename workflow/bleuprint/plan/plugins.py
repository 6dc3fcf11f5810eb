"""Load the user's plugins (`model.plugin`) as a training would, and say in a sentence what is wrong with one.

This runs in a process of its own, the one that asks fairseq's parser.
"""

import importlib
import importlib.util
import os
import re
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bleuprint.config.known_flags import REGISTERED, Command, complaint, kind
from bleuprint.config.plugins import KEY, name_of

DUPLICATE = re.compile(r"Cannot register duplicate ([\w ]+) \((.+)\)")  # how fairseq says that a name is taken
Registries = dict[str, Mapping[str, Any]]  # what is registered → name → what has it


def problem(user_dir: Path, folders: Sequence[str]) -> str | None:
    """Load copies of all plugins, and return what is wrong, in a sentence; None if all is well.

    Args:
        user_dir: of the copies, as bleuprint.training.plugins makes them.
        folders: the user's own.
    """
    own = {name_of(folder): folder for folder in folders}
    for name, folder in own.items():
        if where := _elsewhere(name, Path(folder)):
            return f"{KEY}={folder}: {where} has a module of the name {name}, too; rename the folder"
    importlib.import_module("fairseq.options")  # before bleuprint's plugin, which adds to what is loaded
    from fairseq import utils

    from bleuprint.fairseq_plugin import users

    _refuse_silent_duplicates()
    for path in users.plugins(user_dir):
        folder, before = own[path.name], _names()
        try:
            utils.import_user_module(Namespace(user_dir=str(path)))
        except (Exception, SystemExit) as error:
            return f"{KEY}={folder}: {_told(error, path.parent, folders)}"
        if _names() == before:
            return (
                f"{KEY}={folder}: registers nothing with fairseq, no model, architecture, criterion, task, optimizer "
                f"or schedule; import in {folder.rstrip('/')}/__init__.py the modules that do"
            )
    return None


def _elsewhere(name: str, folder: Path) -> str | None:
    """Return who else has a module of that name; None for nobody but the plugin itself."""
    if name in sys.builtin_module_names or name in sys.stdlib_module_names:
        return "Python"
    before, here = list(sys.path), os.getcwd()
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)]  # where the user's own folders often lie
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    finally:
        sys.path[:] = before
    if spec is None:
        return None
    places = [Path(place).resolve() for place in spec.submodule_search_locations or []]
    return None if folder.resolve() in places else "an installed package"


def wrong_name(command: Command, flags: Mapping[str, Any]) -> str | None:
    """Return why a name of fairseq's own cannot be used, as the schema does where there are no plugins.

    Args:
        command: for which fairseq's parser has read the flags.
        flags: all of them.
    """
    words = {key: "model architecture" if key == "arch" else key.replace("_", " ") for key in REGISTERED}
    for key in sorted(REGISTERED & flags.keys()):
        value, refused = flags[key], kind(command, key, flags[key]) == "refused"
        if refused and _owner(words[key], value) == "fairseq":
            return f"{key}={value}: {complaint(command, key, value)}"
    return None


def _told(error: BaseException, copies: Path, folders: Sequence[str]) -> str:
    """Return what went wrong where a plugin is imported, in the words that follow its name, and the way out."""
    if match := DUPLICATE.fullmatch(str(error)):
        what, name = match[1].replace("_", " "), match[2]
        owner = _owner(what, name)
        return f"registers the {what} {name}, a name that {owner} has already; choose another name for it"
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{_shown(error.filename, copies, folders)}, line {error.lineno}"
        return f"cannot be imported: {where}: {error.msg}; correct it"
    words = " ".join(str(error).split())[:300]
    return f"cannot be imported: {type(error).__name__}: {words}{place(copies, folders, error)}; correct it"


def place(copies: Path, folders: Sequence[str], error: BaseException) -> str:
    """Return in which line of a plugin an exception was raised, in brackets; nothing if in none.

    Args:
        copies: the folder that holds the copies of the plugins.
        folders: the user's own.
        error: the exception.
    """
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(copies)]
    return f" ({_shown(inside[-1].filename, copies, folders)}, line {inside[-1].lineno})" if inside else ""


def _shown(file: str, copies: Path, folders: Sequence[str]) -> str:
    """Return the path of the user's own file, of which `file` is the copy."""
    if not Path(file).is_relative_to(copies):
        return file
    name, *rest = Path(file).relative_to(copies).parts
    return str(Path(next((folder for folder in folders if name_of(folder) == name), name), *rest))


def _registries() -> Registries:
    """Return all that a plugin can add to, as fairseq has it now."""
    from fairseq import models, registry, tasks

    registries: Registries = {what.replace("_", " "): entry["registry"] for what, entry in registry.REGISTRIES.items()}
    return registries | {
        "model": models.MODEL_REGISTRY,
        "model architecture": models.ARCH_CONFIG_REGISTRY,
        "task": tasks.TASK_REGISTRY,
    }


def _names() -> dict[str, set[str]]:
    return {what: set(names) for what, names in _registries().items()}


def _owner(what: str, name: str) -> str:
    """Return who has registered a name."""
    module = getattr(_registries().get(what, {}).get(name), "__module__", "")
    first = module.partition(".")[0]
    return first if first in ("fairseq", "bleuprint") else f"the plugin {first}" if first else "something else"


def _refuse_silent_duplicates() -> None:
    """Let fairseq refuse a model or task whose name is taken: it would give the other one, and say nothing."""
    from fairseq import models, tasks

    def strict(register: Callable[..., Any], what: str, registry: Mapping[str, Any]) -> Callable[..., Any]:
        def registering(name: str, dataclass: Any = None) -> Callable[[Any], Any]:
            if name in registry:
                raise ValueError(f"Cannot register duplicate {what} ({name})")
            decorate: Callable[[Any], Any] = register(name, dataclass)
            return decorate

        return registering

    models.register_model = strict(models.register_model, "model", models.MODEL_REGISTRY)
    tasks.register_task = strict(tasks.register_task, "task", tasks.TASK_REGISTRY)
