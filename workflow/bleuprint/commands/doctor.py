"""bleuprint doctor: whether what is planned can work here, and what it will cost, before anything is computed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import requests
from tabulate import tabulate
from tqdm import tqdm

from bleuprint.commands import installation
from bleuprint.commands.installation import Row
from bleuprint.config import published
from bleuprint.config.flags import argv
from bleuprint.machine.device import uses_bf16, uses_gpu
from bleuprint.machine.memory import ended, limit
from bleuprint.plan.costs import refusal, target_tokens, training_memory, update_tokens, weights
from bleuprint.plan.explain import to_compute
from bleuprint.plan.fairseq_flags import user_dir_now
from bleuprint.plan.graph import Plan, Stage
from bleuprint.training import kept
from bleuprint.widths import columns, shorten

PAIR = 250  # bytes of a raw pair, about; a text stage holds it about six times
STATE = 12  # bytes of a weight in a checkpoint: itself and Adam's two moments, in float32
COPY = 4  # more with fp16: the optimizer's float32 copy (fairseq_plugin/half.py)
ANSWER = 10  # seconds for a server to answer

Missing = set[tuple[str, str]]  # (stage, key) of what is to be computed


def room(plan: Plan, missing: Missing) -> list[Row]:
    """Memory for the largest training, and disk space for all that is to be computed."""
    needed = dict.fromkeys(plan.stages, 0.0)
    for name, key in missing:
        found = [path.stat() for path in Path("results", name, key).glob("**/*") if path.is_file()]
        there = {one.st_ino: one.st_size for one in found}  # a checkpoint may have several names
        needed[name] += max(0.0, size(name, plan.stages[name][key]) - sum(there.values()))
    folder = Path("results").resolve()  # often a link to a larger disk
    free, total = shutil.disk_usage(folder if folder.exists() else ".").free, sum(needed.values())
    parts = ", ".join(f"{stage} {_bytes(value)}" for stage, value in needed.items() if value)
    said = None
    if total > free:
        said = (
            f"about {_bytes(total)} of disk space are needed ({parts}) and {_bytes(free)} are free in {folder}; "
            "make room, use another folder (--directory), or average fewer epochs with training.average_last "
            "or training.average_epochs."
        )
    trainings = [plan.stages["training"][key] for name, key in missing if name == "training"]
    needs = max((training_memory(training.experiment) for training in trainings), default=0)
    has, short = limit(), None
    if needs > has:
        short = (
            f"a training needs about {_bytes(needs)} of memory, its loaders included, and this machine has "
            f"{_bytes(has)}; choose a smaller model, or lower training.max_tokens or +training.num_workers."
        )
    return [
        (
            "memory",
            f"{_bytes(psutil.virtual_memory().available)} of {_bytes(has)} available, {_bytes(needs)} needed at least",
            short,
        ),
        ("disk", f"{_bytes(free)} free, about {_bytes(total)} needed" + (f": {parts}" if parts else ""), said),
    ]


def size(name: str, stage: Stage) -> float:
    """About how many bytes a stage's folder will take."""
    experiment = stage.experiment
    if name == "training":
        # The epochs kept, an averaged one; the best, the last, the one before, and one being written
        averaged = experiment.training.checkpoint.startswith("average")
        return (kept(experiment.training) + averaged + 4) * STATE * weights(experiment)
    return {"corpus": 2.0, "text": 6.0}.get(name, 0.0) * PAIR * experiment.corpus.training_pairs()


def sources(plan: Plan, missing: Missing) -> list[Row]:
    """Return for each file of a corpus or a published test set whether it is there, in the mirror or on a server."""
    files: dict[Path, tuple[str, list[str]]] = {}  # where it is kept → its name, and the addresses to try
    for name, key in sorted(missing):
        experiment = plan.stages[name][key].experiment
        if name == "corpus":
            for file, addresses in experiment.corpus.downloads().items():
                files[Path("results", name, key, "downloads", file)] = file, addresses
        if name == "testset":
            where = experiment.corpus.tests[str(experiment.test)]
            for url, kept in published.archives(where, (experiment.source, experiment.target)).items():
                files[kept] = Path(urlsplit(url).path).name, [url]
    return [
        (file, str(kept), None) if kept.exists() else _source(file, plan.runtime.mirror, addresses)
        for kept, (file, addresses) in files.items()
    ]


def _source(file: str, mirror: str | None, tried: list[str]) -> Row:
    if mirror and Path(mirror, file).is_file():
        return file, f"in {mirror}", None
    for source in tried:
        if "://" not in source or source.startswith("file:"):
            if Path(source.removeprefix("file://").removeprefix("file:")).is_file():
                return file, source, None
            continue
        try:
            with requests.get(source, timeout=ANSWER, stream=True) as answer:
                if answer.ok:
                    return file, source, None
        except requests.RequestException:
            continue
    said = (
        f'{file}: neither a mirror nor a server has it; put it into a folder and set overrides="runtime.mirror=FOLDER".'
    )
    return file, "not found", said


def costs(plan: Plan, missing: Missing, threads: int) -> tuple[list[list[str]], list[str]]:
    """Return what each training that is to be computed costs, by timed steps.

    Returns:
        Rows of its folder, updates, target tokens/s, time and a checkpoint's size; and what went wrong, in sentences.
    """
    rows, wrong, timed = [], [], {}
    for key, stage in plan.stages["training"].items():
        if ("training", key) not in missing:
            continue
        experiment = stage.experiment
        tokens = target_tokens(experiment, plan.continued(key))
        flags = argv(experiment.model.flags() | experiment.training.flags())
        words = (*flags, str(experiment.text.subwords), *(experiment.model.plugin or ()))
        if words not in timed:
            timed[words] = steps(stage, threads)
        found = timed[words]
        if isinstance(found, str):
            wrong.append(f"{key} could not be timed: {found}")
            continue
        updates = tokens / update_tokens(experiment.training)
        at_most = "at most " if experiment.training.patience else ""
        side_by_side = experiment.training.gpus if uses_gpu(experiment.runtime) else 1  # a CPU's cores are divided
        time = at_most + tqdm.format_interval(tokens / found["tokens_per_second"] / side_by_side)
        half = experiment.training.fp16 and uses_gpu(experiment.runtime)
        size = (STATE + COPY if half else STATE) * found["parameters"]
        speed, checkpoint = f"{found['tokens_per_second']:,.0f}", _bytes(size)
        rows.append([key, f"{at_most}{updates:,.0f}", speed, time, checkpoint])
    return rows, wrong


def steps(stage: Stage, threads: int) -> dict[str, float] | str:
    """`tokens_per_second` (target tokens) and `parameters` by a few updates on made-up batches, or why there are none.

    Args:
        stage: the training.
        threads: CPU threads.
    """
    experiment = stage.experiment
    order: dict[str, Any] = {"types": experiment.text.subwords, "max_tokens": experiment.training.max_tokens}
    order |= {"gpu": uses_gpu(experiment.runtime)}
    order |= {"fp16": experiment.training.fp16, "bf16": uses_bf16(experiment.training, experiment.runtime)}
    with user_dir_now(experiment.model.plugin) as user_dir:
        order["words"] = argv(experiment.model.flags() | experiment.training.flags() | {"user_dir": user_dir})
        result = subprocess.run(
            [sys.executable, "-m", "bleuprint.machine.timed"],
            input=json.dumps(order),
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
        )
    if result.returncode != 0:
        return (result.stderr.strip().splitlines() or [f"it {ended(result.returncode)}"])[-1]
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def refuse(plan: Plan, missing: Missing, threads: int, elsewhere: bool = False, submitted: bool = False) -> None:
    """Check, before the first job of a call, what doctor can check without downloading or computing anything.

    Args:
        plan: what the call is asked for.
        missing: what of it is to be computed.
        threads: CPU threads that a job may have.
        elsewhere: whether the commands run in environments of their own (conda), of which this one says nothing.
        submitted: whether a scheduler starts them on other machines, whose memory and GPUs nothing here tells.

    Raises:
        SystemExit: something cannot work; with a sentence for each.
    """
    stages = {name for name, _ in missing}
    rows = [row for row in room(plan, missing) if not submitted or row[0] != "memory"]
    if not elsewhere and stages & {"text", "training", "decoding"}:
        rows += [installation.compiled(), installation.programs()]
    if not elsewhere and stages & {"training", "decoding"}:
        rows.append(installation.gpu(plan))
    rows += installation.models(plan, _scorings(missing), gpu=not elsewhere)
    trainings = [] if submitted else refusals(plan, missing, threads)
    if wrong := dict.fromkeys([said for _, _, said in rows if said] + trainings):
        sys.exit("\n".join(f"bleuprint: {said}" for said in wrong))


def _scorings(missing: Missing) -> list[str]:
    return [key for name, key in sorted(missing) if name == "scoring"]


def refusals(plan: Plan, missing: Missing, threads: int) -> list[str]:
    """Why trainings should not start here, each sentence once."""
    trainings = [key for name, key in sorted(missing) if name == "training"]
    found = [refusal(plan.stages["training"][key].experiment, threads, plan.continued(key)) for key in trainings]
    return list(dict.fromkeys(said for said in found if said))


def doctor(plan: Plan) -> int:
    """Print what is found and what the planned runs cost.

    Returns:
        The exit status: 0 if all can work.
    """
    threads = plan.runtime.threads or len(os.sched_getaffinity(0))
    missing = to_compute(plan)
    rows = [
        *installation.checks(plan),
        *installation.models(plan, _scorings(missing)),
        *room(plan, missing),
        *sources(plan, missing),
    ]
    table = [[what, found, "PROBLEM" if said else "ok"] for what, found, said in rows]
    terminal = columns(sys.stdout)
    names = max(len(what) for what, _, _ in rows)
    widths = [None, max(20, terminal - names - len("  PROBLEM  ")), None] if terminal else None
    print(tabulate(table, headers=["check", "found", ""], disable_numparse=True, maxcolwidths=widths), flush=True)
    wrong = [said for _, _, said in rows if said] + refusals(plan, missing, threads)
    headers = ["training", "updates", "tokens/s", "time", "a checkpoint"]
    no_gpu = any(what == "GPU" and said for what, _, said in rows)
    cost, failed = ([], []) if no_gpu else costs(plan, missing, threads)
    wrong += failed
    if cost:
        if terminal:
            others = 68 if any("at most" in time for _, _, _, time, _ in cost) else 52
            cost = [[shorten(name, max(20, terminal - others)), *figures] for name, *figures in cost]
        print(f"\n{tabulate(cost, headers=headers, disable_numparse=True)}")
        print(f"\nWithout validation; timed just now on {'a GPU' if uses_gpu(plan.runtime) else f'{threads} threads'}.")
    elif no_gpu:
        print("\nTrainings are not timed without a GPU that torch can use.")
    else:
        print("\nNothing is to be trained." if not failed else "")
    for said in dict.fromkeys(wrong):
        print(f"bleuprint: {said}", file=sys.stderr)
    return int(bool(wrong))


def _bytes(value: float) -> str:
    return f"{value / 1e9:,.1f} GB" if value >= 1e8 else f"{value / 1e6:,.0f} MB"
