"""The package's rooms: each stands above all that it imports, so that there is no circle."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import ROOT

PACKAGE = ROOT / "workflow" / "bleuprint"
# From the ground up; rooms of one floor know nothing of each other
FLOORS = [
    {"files", "letters", "widths"},
    {"config"},
    {"corpus", "training", "scoring", "machine"},
    {"text", "fairseq_plugin"},
    {"decoding", "record"},
    {"report", "plan"},
    {"commands"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports(source: str) -> Iterator[str]:
    """The bleuprint modules that a file names, also inside functions and as strings for import_module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant))


def arrows() -> Iterator[tuple[str, str, str]]:
    """File, its room, and a room that it imports."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        room = name.partition("/")[0].removesuffix(".py")
        for module in imports(path.read_text(encoding="utf-8")):
            words = str(module).split(".")
            if words[0] == "bleuprint" and len(words) > 1 and words[1] in FLOOR:
                yield name, room, words[1]


def test_every_room_has_its_floor() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()} - {"__init__", "__pycache__"}
    assert rooms == set(FLOOR)


def test_no_import_runs_back_up() -> None:
    wrong = [
        f"{name} imports bleuprint.{imported}"
        for name, room, imported in arrows()
        if room != "__init__" and imported != room and FLOOR[imported] >= FLOOR[room]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    ["import bleuprint.plan.keys", "def f():\n    from bleuprint.plan import keys", 'import_module("bleuprint.plan")'],
)
def test_imports_are_found_however_they_are_written(source: str) -> None:
    assert any(module.startswith("bleuprint.plan") for module in imports(source))


def test_the_programs_of_jobs_load_neither_hydra_nor_the_schema() -> None:
    """They take half of the time in which such a program starts, and every job starts several."""
    rules = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    programs = sorted(set(re.findall(r"python -m (bleuprint(?:\.\w+)+)", rules)))
    assert "bleuprint.training.resume" in programs and "bleuprint.report" in programs
    folders = {name: PACKAGE.parent / name.replace(".", "/") for name in programs}
    names = [name for name, folder in folders.items() if not folder.is_dir()]  # the others are named in full elsewhere
    names += [f"{name}.__main__" for name, folder in folders.items() if (folder / "__main__.py").exists()]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names}]; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"hydra", "omegaconf", "pydantic", "bleuprint.config.schema"}.isdisjoint(loaded)
