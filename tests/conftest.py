"""What several test files share: the project's folder, real data, Snakemake in a folder of its own, fake fairseq."""

import fcntl
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from shares import check, in_a_worker, longest_first

ROOT = Path(__file__).resolve().parents[1]

# A test that asks for one of these starts Snakemake, fairseq or a browser, and is no unit test
SLOW_FIXTURES = {
    "snakemake",
    "fake_fairseq",
    "fairseq",
    "sample_text",
    "demo",
    "ask",
    "nothing_known",
    "driver",
    "copy",
    "tiny_text",
    "tiny_run",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shares", action="store_true", help="fail if a test file takes more than its share of time")
    parser.addoption("--nightly", action="store_true", help="run only the tests of `make nightly`")


def pytest_configure() -> None:
    """Collect no garbage while test files are imported: it would take half the time of the imports."""
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark `slow` what is no unit test; a test or a file can also bear the mark itself."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", [])):
            item.add_marker("slow")
    nightly = config.getoption("--nightly")
    others = [item for item in items if bool(item.get_closest_marker("nightly")) != nightly]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    if in_a_worker(config):
        longest_first(items)


def pytest_collection_finish() -> None:
    """Collect garbage again, but leave out the modules that stay: tests compose configs of many small objects."""
    gc.freeze()
    gc.set_threshold(5000, 20, 20)
    gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--shares") and not in_a_worker(session.config):
        check(session)


SUMMARY: list[str] = []


def show_at_the_end(config: pytest.Config, lines: list[str]) -> None:
    """Print lines after all tests; a worker hands them to the process that prints."""
    if in_a_worker(config):
        config.workeroutput["lines"] = config.workeroutput.get("lines", []) + lines
    else:
        SUMMARY.extend(lines)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    SUMMARY.extend(getattr(node, "workeroutput", {}).get("lines", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in SUMMARY:
        terminalreporter.write_line(line)


Snakemake = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def data() -> Path:
    """Real corpora beside the checkout; they are not part of the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there")
    return folder


CPU = {"CUDA_VISIBLE_DEVICES": ""}
ONE_THREAD = "overrides=runtime.threads=1"
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2"]


def run_snakemake(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Call Snakemake as a user does, with `folder` as working directory."""
    return subprocess.run(
        [*SNAKEMAKE, *arguments], cwd=folder, env=os.environ | (env or {}), capture_output=True, text=True
    )


@pytest.fixture
def snakemake(tmp_path: Path) -> Snakemake:
    """`snakemake(*arguments)` in a fresh folder."""

    def call(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return run_snakemake(tmp_path, *arguments, env=env)

    return call


def computed_once(factory: pytest.TempPathFactory, name: str, compute: Callable[[Path], None]) -> Path:
    """Return this worker's own copy of a folder that the first worker to ask for it computes; the others wait."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    shared = factory.getbasetemp() if alone else factory.getbasetemp().parent
    whole, begun = shared / f"{name}-whole", shared / f"{name}-begun"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir()
            compute(begun)
            begun.rename(whole)
    return shutil.copytree(whole, factory.mktemp(name), symlinks=True, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def sample_text(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory in which the text stage has run on the IWSLT14 sample archive."""

    def compute(folder: Path) -> None:
        result = run_snakemake(folder, "text", "--config", sample_overrides(data))
        assert result.returncode == 0, result.stderr

    return computed_once(tmp_path_factory, "sample", compute)


TINY = "corpus.pairs=100 corpus.valid_pairs=5 corpus.test_pairs=5 text.merges=50"


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory in which the text stage of the demo with TINY has run, fairseq being a stand-in."""

    def compute(folder: Path) -> None:
        environment = stand_ins(tmp_path_factory.mktemp("stand-ins"))
        result = run_snakemake(folder, "text", "--config", "recipe=demo", f"overrides={TINY}", env=environment)
        assert result.returncode == 0, result.stderr

    return computed_once(tmp_path_factory, "tiny", compute)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory in which the demo with TINY has run, fairseq being a stand-in; calls.jsonl is $CALLS."""

    def compute(folder: Path) -> None:
        result = run_snakemake(folder, "--config", "recipe=demo", f"overrides={TINY}", env=stand_ins(folder) | CPU)
        assert result.returncode == 0, result.stderr

    return computed_once(tmp_path_factory, "tiny-run", compute)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of `make demo`, and of a LightConv of three epochs on the same text.

    Trainings with one thread: threads that wait for one another are slow beside another test file.
    """

    def compute(folder: Path) -> None:
        result = run_snakemake(folder, "--config", "recipe=demo", ONE_THREAD, env=CPU)
        assert result.returncode == 0, result.stderr
        assert "results/report/index.html" in result.stdout
        assert " tok_lc " in result.stdout and "bleu_tok_lc" in result.stderr  # a long heading stands in two lines
        assert "left" in result.stderr and "epoch 8.0/8" in result.stderr  # progress on the terminal
        short = [f"{ONE_THREAD} training.max_epoch=3", "model=lightconv_tiny"]
        result = run_snakemake(folder, "--config", "recipe=demo", *short, env=CPU)
        assert result.returncode == 0, result.stderr

    return computed_once(tmp_path_factory, "demo", compute)


def sample_overrides(data: Path) -> str:
    archive = data / "iwslt14_sample" / "de-en.tgz"
    return f"overrides=corpus.sources=[{archive}] corpus.bytes={archive.stat().st_size} corpus.expected=null"


def jobs(result: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return the job counts that Snakemake printed."""
    assert result.returncode == 0, result.stderr
    counts = {}
    lines = (result.stdout + result.stderr).splitlines()
    for line in lines[lines.index("Job stats:") + 3 :] if "Job stats:" in lines else []:
        if not line.strip():
            break
        name, count = line.split()
        counts[name] = int(count)
    counts.pop("total", None)
    return counts


# Stand-ins for the heavy commands: each appends its arguments to $CALLS and writes what its rule needs.
FAKES = {
    "fairseq-preprocess": """
for language in (flag("--source-lang"), flag("--target-lang")):
    (Path(flag("--destdir")) / f"dict.{language}.txt").parent.mkdir(exist_ok=True)
    (Path(flag("--destdir")) / f"dict.{language}.txt").write_text("a 1\\n")
""",
    "fairseq-train": """
folder = Path(flag("--save-dir"))
folder.mkdir(parents=True, exist_ok=True)
with zipfile.ZipFile(folder / "checkpoint_best.pt", "w") as archive:
    archive.writestr(zipfile.ZipInfo("archive/data.pkl"), pickle.dumps({"model": {}}, protocol=2))
    archive.writestr(zipfile.ZipInfo("archive/version"), "3")
if "CHECKPOINT" in os.environ and "transformer" in flag("--arch"):  # a model that can be converted
    shutil.copy(os.environ["CHECKPOINT"], folder / "checkpoint_best.pt")
if "FAIL" in os.environ and os.environ["FAIL"] in " ".join(["1", *sys.argv]):
    sys.exit(1)
if "HANG" in os.environ:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(3)  # as fairseq, which takes its time to end
        raise
print('x | INFO | valid | {"epoch": 1, "valid_loss": "1.0", "valid_num_updates": "5"}')
""",
    "fairseq-generate": """
subset = flag("--gen-subset") if "--gen-subset" in sys.argv else "test"
lines = (Path(sys.argv[1]).parent / "tokenized" / f"{subset}.en").read_text().splitlines()
if "WORSE" in os.environ:  # with every beam and length penalty but one
    lines = lines if os.environ["WORSE"] in " ".join(sys.argv) else [line.replace("a", "x") for line in lines]
folder = Path(flag("--results-path"))
folder.mkdir(parents=True, exist_ok=True)
(folder / f"generate-{subset}.txt").write_text("".join(f"H-{n}\\t-0.1\\t{line}\\n" for n, line in enumerate(lines)))
""",
}


@pytest.fixture
def fake_fairseq(tmp_path: Path) -> dict[str, str]:
    """Environment in which fairseq's commands are stand-ins; $CALLS names the file of their command lines."""
    return stand_ins(tmp_path)


def stand_ins(parent: Path) -> dict[str, str]:
    """Write the stand-ins into a folder below `parent`; the environment that finds them."""
    folder = parent / "fakes"
    folder.mkdir()
    for name, body in FAKES.items():
        # $TIMES: when and on what each ran, for tests of jobs side by side
        script = f"""#!{sys.executable}
import json, os, pickle, shutil, sys, time, zipfile
from pathlib import Path
flag = lambda name: sys.argv[sys.argv.index(name) + 1]
began = time.monotonic()
time.sleep(float(os.environ.get("SLEEP", 0)))
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
if "TIMES" in os.environ:
    row = {{"program": {name!r}, "began": began, "ended": time.monotonic()}}
    row |= {{"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "threads": os.environ.get("OMP_NUM_THREADS")}}
    with open(os.environ["TIMES"], "a") as times:
        times.write(json.dumps(row) + "\\n")
{body}"""
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "CALLS": str(parent / "calls.jsonl")}


# Processes that begin with fairseq loaded, which takes seconds: each is forked from one that has done nothing else.
# fairseq's commands are not loaded, as bleuprint's plugin asks which one it is in.
WITH_FAIRSEQ = get_context("forkserver")
WITH_FAIRSEQ.set_forkserver_preload(["fairseq.models", "fairseq.tasks", "fairseq.trainer", "torch._dynamo"])


def fairseq_pool() -> ProcessPoolExecutor:
    """Return a pool of one process that has loaded fairseq, and computes with one thread, as another file may run."""
    return ProcessPoolExecutor(1, mp_context=WITH_FAIRSEQ, initializer=one_thread)


def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def fairseq() -> Iterator[Callable[..., Any]]:
    """`fairseq(function, *arguments)`: a function's answer from another process: fairseq changes Hydra's state."""
    with fairseq_pool() as pool:
        yield lambda function, *arguments, **options: pool.submit(function, *arguments, **options).result()
