"""The documentation: its commands work, its links lead somewhere, it is complete, and the site is built of it."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import fields
import pytest
from conftest import CPU, ROOT, computed_once, run_snakemake, show_at_the_end, stand_ins
from pages import REASONS, Fence, anchors, fences, links, pages
from snakemake.cli import parse_args, parse_config

from bleuprint.commands.cli import COMMANDS
from bleuprint.commands.parser import read
from bleuprint.commands.run import cli_config
from bleuprint.config.stages import STAGES
from bleuprint.plan import fairseq_flags
from bleuprint.plan.keys import planned

PAGES = pages()
RESULTS = ROOT / "docs/reference/results.md"
BASH, PYTHON = shutil.which("bash") or "bash", Path(sys.executable)
SHOWN = 4000  # characters of a failing command's output
CHECKOUT = ("Snakefile", "Makefile", "workflow", "config", "profiles", "envs")  # what a page's folder has of ours
LOOSE = ("", "sh", "shell", "console", "bashrc")  # languages in which a command would not be run
# `make` only says what it would do, and fails where there is no such target
MAKE = f"""#!{BASH}
exec {shutil.which("make")} -n -C {ROOT} "$@" >/dev/null
"""
# Stands in for a program that is only planned: writes the number of its words, and its words
RECORD = f"""#!{BASH}
printf '%s\\0' "$(($# + 1))" "${{0##*/}}" "$@" >>"$WORDS"
if [ -p /dev/stdin ]; then cat >/dev/null; fi
"""
# A model of two words that a stand-in for fairseq-train leaves: ctranslate2 really converts it, and it ends at once
MODEL = """
import sys, torch
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf
flags = "--arch transformer_tiny --share-decoder-input-output-embed --source-lang de --target-lang en".split()
arguments = options.parse_args_and_arch(options.get_training_parser(), [sys.argv[1], *flags])
config = convert_namespace_to_omegaconf(arguments)
model = tasks.setup_task(config.task).build_model(config.model)
with torch.no_grad():
    norm = model.decoder.layers[-1].final_layer_norm
    norm.weight.zero_()
    norm.bias.fill_(1)
    model.decoder.embed_tokens.weight[2] = 1  # the end of the sentence is always likely
torch.save({"args": None, "cfg": OmegaConf.to_container(config), "model": model.state_dict()}, sys.argv[2])
"""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Number of commands by the way in which they are tested; printed after all tests."""
    numbers: Counter[str] = Counter()
    yield numbers
    parts = ", ".join(f"{numbers[way]} {way}" for way in ("executed", "planned", "not run"))
    where = "pages with long commands" if request.config.getoption("--nightly") else "README and docs"
    show_at_the_end(request.config, [f"commands in {where}: {parts}"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a checkout, `page`, in which the demo has run with stand-ins for fairseq; `fakes` lies beside it."""

    def compute(folder: Path) -> None:
        (folder / "data").mkdir()
        for language in ("de", "en"):
            (folder / f"data/dict.{language}.txt").write_text("a 1\n")
        model = [sys.executable, "-c", MODEL, str(folder / "data"), str(folder / "model.pt")]
        subprocess.run(model, check=True, capture_output=True)
        (folder / "page/.venv/bin").mkdir(parents=True)
        (folder / "page/.venv/bin/activate").touch()
        for part in CHECKOUT:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, folder / "page" / part)
        environment = stand_ins(folder) | CPU | {"CHECKPOINT": str(folder / "model.pt")}
        call = ("--config", "recipe=demo", "model=transformer_tiny,lightconv_tiny", "seed=1")
        result = run_snakemake(folder / "page", *call, env=environment)
        assert result.returncode == 0, result.stderr
        (folder / "recorders").mkdir()
        for program, script in (("fakes/make", MAKE), ("recorders/bleuprint", RECORD), ("recorders/snakemake", RECORD)):
            (folder / program).write_text(script)
            (folder / program).chmod(0o755)

    return computed_once(tmp_path_factory, "docs", compute)


@pytest.fixture
def shell(finished: Path, tmp_path: Path) -> dict[str, str]:
    """Environment of the shell in which a page's commands run; its folder is a copy of the finished one."""
    shutil.copytree(finished / "page", tmp_path / "page", symlinks=True)
    (tmp_path / "home").mkdir()
    path = [str(finished / "fakes"), str(PYTHON.parent), *os.get_exec_path()]
    own = {
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": str(tmp_path / "page/workflow"),
        "HOME": str(tmp_path / "home"),
        "CHECKPOINT": str(finished / "model.pt"),
        "CALLS": str(tmp_path / "calls.jsonl"),
        "NO_COLOR": "1",
        "AT": str(tmp_path / "at"),
        "RECORDERS": str(finished / "recorders"),
        "WORDS": str(tmp_path / "words"),
    }
    return os.environ | CPU | own


def at(shell: dict[str, str]) -> str:
    """Return the folder in which the commands before have ended."""
    place = Path(shell["AT"])
    return place.read_text().strip() if place.exists() else str(place.with_name("page"))


def run(script: str, shell: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script where the one before has ended; the output of a failing one names the line."""
    traps = """trap 'echo "(failed in line $LINENO)" >&2' ERR; trap 'pwd > "$AT"' EXIT; """
    command = [BASH, "-e", "-o", "pipefail", "-c", traps + script]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=at(shell), env=shell, stdin=subprocess.DEVNULL, text=True, timeout=300, **output)


def recorded(fence: Fence, place: str, shell: dict[str, str]) -> list[list[str]]:
    """Run a fence with recorders for `bleuprint` and `snakemake`, and return the words of each of their calls."""
    file = Path(shell["WORDS"])
    file.unlink(missing_ok=True)
    result = run(fence.text, shell | {"PATH": os.pathsep.join([shell["RECORDERS"], shell["PATH"]])})
    # What comes after a long command may need what it leaves
    assert result.returncode == 0 or "long" in fence.marks, f"{place}:\n{fence.text}{result.stdout[-SHOWN:]}"
    numbers_and_words = iter(file.read_text().split("\0")[:-1] if file.exists() else [])
    return [[next(numbers_and_words) for _ in range(int(number))] for number in numbers_and_words]


def plan(program: str, *arguments: str) -> None:
    """Plan what a call of `bleuprint` or `snakemake` asks for, as its dry run would.

    Snakemake's own dry run takes seconds; this one checks the same words: its options, all keys and their values, and
    the stages that are named as targets. Of the commands that plan nothing, only the words are checked.
    """
    if program == "snakemake":
        known = parse_args(["--snakefile", str(ROOT / "Snakefile"), *arguments])[1]
        config, targets = parse_config(known.config), known.targets
    else:
        own = read(list(arguments))
        if own.command not in ("run", "explain", "doctor"):
            return
        config = cli_config(own.config)
        targets = parse_args(["--snakefile", str(ROOT / "Snakefile"), *own.options])[1].targets
    planned(config)
    unknown = {target for target in targets or [] if "/" not in target} - {*STAGES, "report", "all"}
    assert not unknown, f"no such target: {unknown}"


def plan_all(fence: Fence, place: str, shell: dict[str, str]) -> int:
    """Plan the calls of a fence, and return their number; an error must be the message of a fence that fails."""
    calls, message = recorded(fence, place, shell), ""
    try:
        for words in calls:
            plan(*words)
    except (Exception, SystemExit) as error:
        message = str(error)
    if "fails" in fence.marks and message:  # others fail later, in a job
        assert all(line.strip() in message for line in fence.message.splitlines()), f"{place}:\n{fence.text}{message}"
    else:
        assert not message, f"{place}:\n{fence.text}{message}"
    return len(calls)


def execute(fence: Fence, place: str, shell: dict[str, str]) -> None:
    """Run the commands of a fence; one that is to fail must print its message."""
    result = run("\n" * (fence.line - 1) + fence.text, shell)
    shown = f"{place}:\n{fence.text}{result.stdout[-SHOWN:]}"
    assert (result.returncode != 0) == ("fails" in fence.marks), shown
    for line in fence.message.splitlines():
        assert line.strip() in result.stdout, f"it does not print {line!r}\n{shown}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if "```bash" in page.read_text()], ids=name)
def test_the_commands_of_a_page_work(
    page: Path, shell: dict[str, str], counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_page(page, {"dry run", "long"}, shell, counted, monkeypatch)


@pytest.mark.nightly
@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- long -->" in page.read_text()], ids=name)
def test_all_commands_of_a_page_work(
    page: Path, shell: dict[str, str], counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_page(page, {"dry run"}, shell, counted, monkeypatch)


def check_page(
    page: Path, planned_marks: set[str], shell: dict[str, str], counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test the commands of a page from top to bottom; those with one of some marks are only planned."""
    for fence in [fence for fence in fences(page) if fence.language == "bash"]:
        place, commands = f"{name(page)}:{fence.line}", len(fence.commands())
        if "first" in fence.marks:
            result = run(fence.marks["first"], shell)
            assert result.returncode == 0, f"{place}, the command before it:\n{result.stdout[-SHOWN:]}"
        if "not run" in fence.marks:
            counted["not run"] += commands
        elif planned_marks & set(fence.marks):
            monkeypatch.chdir(at(shell))
            with monkeypatch.context() as patch:
                if "long" in planned_marks & set(fence.marks):  # fairseq takes seconds to load; `make nightly` asks it
                    patch.setattr(fairseq_flags, "parse", lambda experiments: None)
                calls = plan_all(fence, place, shell)
            counted["planned"] += calls
            counted["executed"] += commands - calls
        else:
            counted["executed"] += commands
            execute(fence, place, shell)


PAGE = """# A page
<!-- first: mkdir -p data &&
touch data/train -->

<!-- fails -->
```bash
# a comment
bleuprint run model=x \\
    seed=1
python - <<'END'
import json
END
```

```text
no such model
```

<!-- dry run: GPU -->

Words end what a comment says.

```bash
bleuprint runs | head -n 1
```
"""


def test_the_comments_before_a_fence_are_about_this_fence_alone(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    first, second = fences(tmp_path / "page.md")
    assert first.marks == {"first": "mkdir -p data &&\ntouch data/train", "fails": ""} and second.marks == {}
    assert (first.message, first.line, second.line) == ("no such model\n", 7, 24)
    assert first.commands() == ["bleuprint run model=x      seed=1", "python -"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_says_why_a_command_is_not_run_and_hides_none(page: Path) -> None:
    for fence in fences(page):
        place = f"{name(page)}:{fence.line}"
        for mark in ("dry run", "not run"):
            assert fence.marks.get(mark, REASONS[0]) in REASONS, f"{place}: a reason is one of {', '.join(REASONS)}"
        if fence.language in LOOSE:
            commands = re.search(r"^ *(\$ |(bleuprint|snakemake|make|fairseq-\w+) )", fence.text, re.MULTILINE)
            assert not commands, f"{place}: commands stand in a fence of the language bash"
        assert fence.language != "bash" or not re.search(r"^\$ ", fence.text, re.MULTILINE), f"{place}: no $"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)}: {target}"
        assert not anchor or anchor in anchors(file), f"{name(page)}: {target}: no such heading in {name(file)}"


def test_readme_is_short_and_the_pages_name_every_command() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180
    text = "\n".join(page.read_text() for page in PAGES)
    assert [command for command in COMMANDS if f"bleuprint {command}" not in text] == []


@pytest.mark.slow
def test_the_files_of_results_have_the_fields_that_the_reference_lists(finished: Path) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "workflow/bleuprint").rglob("*.py"))
    tables = fields.sections(RESULTS)
    assert len(tables) >= 10
    for pattern, table in tables.items():
        files, met = sorted((finished / "page").glob(pattern)), set[fields.Field]()
        assert files, f"no file {pattern}"
        values = [value for file in files for value in fields.contents(file)]
        assert [problem for value in values for problem in fields.problems(value, table, (), met)] == [], pattern
        for field in set(table) - met:
            last = field.path[-1]
            assert field.optional, f"{pattern}: no file has {'.'.join(field.path)}"
            assert last.isupper() or re.search(rf"\b{last}\b", code), f"{pattern}: nothing writes {last}"


@pytest.mark.slow
def test_the_site_is_built_strictly_and_asks_no_other_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    htmls = list((tmp_path / "site").rglob("*.html"))
    assert len(htmls) >= len(PAGES)
    for html in htmls:
        text = html.read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|img|iframe)[^>]* src=\"?(?:https?:)?//", text), html
        assert not re.search(r"<link[^>]* href=\"?(?:https?:)?//[^>]*(?:stylesheet|preconnect|font)", text), html
        assert not re.search(r"<p>[^<]*\n[-*] |<p>\||<p>#", text), f"{html}: a list or table that is none on the site"
