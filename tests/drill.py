"""make drill: a pipeline killed again and again, over all its stages, must end in what an undisturbed one makes.

Each kill waits for a moment (a stage at work, a validation, a checkpoint half written, …), then a random while; it hits
all processes at once, or Snakemake alone, so that its jobs are left behind, or the job's command alone.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from conftest import SNAKEMAKE

from bleuprint.training.checkpoints import load

CPU = {"CUDA_VISIBLE_DEVICES": ""}
LIMIT = 900.0  # seconds for one call


def stage(name: str) -> Callable[[Path], bool]:
    """While a folder of a stage has been begun and not finished."""

    def at_work(folder: Path) -> bool:
        folders = [path.parent for path in folder.glob(f"results/{name}/*/config.yaml")]
        return any(not (path / "seal.json").exists() for path in folders)

    at_work.__name__ = name
    return at_work


def updating(folder: Path) -> bool:
    """While updates are made."""
    return _log_ends(folder, "Start iterating over samples", "train_inner |", "Finished saving", "Saved checkpoint")


def validating(folder: Path) -> bool:
    """While the validation set is gone through at an epoch's end."""
    return _log_ends(folder, "begin validation on", "can_reuse_epoch_itr = True")


def writing(folder: Path) -> bool:
    """While a checkpoint is half written."""
    return any(folder.glob("results/training/*/checkpoints/*.tmp"))


def trained(folder: Path) -> bool:
    """Just after the training's last output, when Snakemake may not have noted it."""
    return any(folder.glob("results/training/*/checkpoint.pt"))


def reporting(folder: Path) -> bool:
    """While the run is gathered and the report written."""
    return any(folder.glob("results/scoring/*/scores.json"))


def _log_ends(folder: Path, *words: str) -> bool:
    logs = [path.read_text(errors="replace").splitlines() for path in folder.glob("results/training/*/train.log")]
    return any(lines and word in lines[-1] for lines in logs for word in words)


def everything(call: psutil.Popen) -> None:
    """SIGKILL to Snakemake and all its jobs."""
    for process in [call, *call.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def snakemake_alone(call: psutil.Popen) -> None:
    """SIGKILL to Snakemake; its jobs are left at work."""
    call.kill()


def command(call: psutil.Popen) -> None:
    """SIGKILL to fairseq-train alone."""
    for process in call.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(word.endswith("fairseq-train") for word in process.cmdline()):
                process.kill()


def terminated(call: psutil.Popen) -> None:
    """SIGTERM to Snakemake."""
    call.terminate()


def interrupted(call: psutil.Popen) -> None:
    """SIGINT to the whole process group, as Ctrl-C on a terminal."""
    os.killpg(call.pid, signal.SIGINT)


@dataclass(frozen=True)
class Kill:
    """When, and whom."""

    moment: Callable[[Path], bool]
    whom: Callable[[psutil.Popen], None]
    longest: float = 0.0  # seconds that it may come later

    def __str__(self) -> str:
        return f"{self.whom.__name__} while {self.moment.__name__}"


def call(
    folder: Path, config: list[str], kill: Kill | None = None, later: float = 0.0, target: str = "all"
) -> tuple[int, bool, float]:
    """One call of Snakemake; its exit status, whether it was killed, and the seconds that it took to end after that."""
    with open(folder / "calls.log", "a") as log:
        process = psutil.Popen(
            [*SNAKEMAKE, target, "--config", *config],
            cwd=folder,
            env=os.environ | CPU,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline, hit, began = time.monotonic() + LIMIT, False, 0.0
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{folder}: a call did not end"
            if kill is not None and not hit and kill.moment(folder):
                time.sleep(later)
                with contextlib.suppress(psutil.NoSuchProcess):
                    began = time.monotonic()
                    kill.whom(process)
                    hit = True
            time.sleep(0.0005 if kill and kill.moment is writing else 0.02)
    return process.returncode, hit, time.monotonic() - began


def difference(one: Path, other: Path) -> str | None:
    """What differs between the results of two folders: tensors, hypotheses or scores; None if they are the same."""
    for pattern in ("results/decoding/*/hypotheses.tok", "results/scoring/*/scores.json", "results/text/*/bin/*.bin"):
        for path in one.glob(pattern):
            if path.read_bytes() != (other / path.relative_to(one)).read_bytes():
                return str(path.relative_to(one))
    for path in one.glob("results/training/*/checkpoint.pt"):
        models = [load(file)["model"] for file in (path, other / path.relative_to(one))]
        if models[0].keys() != models[1].keys():
            return "names of tensors"
        for name, tensor in models[0].items():
            if not torch.equal(tensor, models[1][name]):
                return f"tensor {name}"
        if _losses(path) != _losses(other / path.relative_to(one)):
            return "the losses in metrics.jsonl"
    return None


def _losses(checkpoint: Path) -> list[tuple[int, float]]:
    rows = map(json.loads, (checkpoint.parent / "metrics.jsonl").read_text().splitlines())
    return [(row["updates"], row["loss"]) for row in rows if row["split"] == "valid"]


def drill(
    folder: Path, config: list[str], kills: list[Kill], seed: int, target: str = "all", shared: tuple[str, ...] = ()
) -> list[tuple[str, bool, float]]:
    """Run undisturbed in `folder/undisturbed`, killed in `folder/killed`, and compare; both have the `shared` stages.

    Returns:
        For each kill what it was, whether it came to it, and the seconds until that call had ended.

    Raises:
        AssertionError: a call fails that nobody killed, or the results differ.
    """
    draw, rows = random.Random(seed), []
    whole, killed = folder / "undisturbed", folder / "killed"
    for place in (whole, killed):
        place.mkdir(exist_ok=True)
    status, _, _ = call(whole, config, target=target)
    assert status == 0, (whole / "calls.log").read_text()[-3000:]
    for name in shared:
        shutil.copytree(whole / "results" / name, killed / "results" / name)
    for kill in kills:
        status, hit, seconds = call(killed, config, kill, draw.uniform(0, kill.longest), target)
        assert hit or status == 0, (killed / "calls.log").read_text()[-3000:]
        rows.append((str(kill), hit and status != 0, seconds))
    status, _, _ = call(killed, config, target=target)
    assert status == 0, (killed / "calls.log").read_text()[-3000:]
    assert len(list(killed.glob("results/scoring/*/scores.json"))) == len(
        list(whole.glob("results/scoring/*/scores.json"))
    )
    found = difference(whole, killed)
    assert found is None, f"{found} differs; see {folder}"
    return rows


ALL = [
    Kill(stage("corpus"), everything),
    Kill(stage("text"), everything, 3.0),
    Kill(stage("text"), snakemake_alone, 3.0),
    Kill(updating, everything, 3.0),
    Kill(writing, everything),
    Kill(validating, everything),
    Kill(updating, snakemake_alone, 3.0),
    Kill(updating, terminated, 3.0),
    Kill(updating, interrupted, 3.0),
    Kill(writing, command),  # after those that need updates to come: a write may be over before it is seen
    Kill(trained, everything),
    Kill(stage("decoding"), everything, 1.0),
    Kill(stage("scoring"), everything),
    Kill(reporting, everything, 1.0),
]


def main() -> None:
    """Entry point of make drill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the random moments; a new one by default"
    )
    parser.add_argument("config", nargs="*", default=["recipe=demo"], help="as after snakemake's --config")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {' '.join(arguments.config)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        rows = drill(Path(folder), arguments.config, ALL, arguments.seed)
    for what, hit, seconds in rows:
        print(f"{what}: " + (f"ended after {seconds:.1f} s" if hit else "came too late, the call had ended"))
    print(json.dumps({"kills": sum(hit for _, hit, _ in rows), "same": True}))


if __name__ == "__main__":
    sys.exit(main())
