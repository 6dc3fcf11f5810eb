"""Following fairseq-train, picking and averaging checkpoints, refusing what would take days."""

import io
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from bleuprint.config.compose import experiments
from bleuprint.files import DataError, link
from bleuprint.machine import device
from bleuprint.plan import costs
from bleuprint.training import checkpoint as checkpoint_module
from bleuprint.training import resume
from bleuprint.training.checkpoint import average, pick
from bleuprint.training.epochs import chosen, epochs, needed, prune
from bleuprint.training.progress import Display, fraction, metrics_of, tidy
from bleuprint.training.resume import ready
from bleuprint.training.save_dir import Options, read_options

TRAIN = '2026 | INFO | train_inner | {"epoch": 2, "update": 1.5, "loss": "4.1", "nll_loss": "3", "wps": "900.5", "wpb": "3900", "num_updates": "%d", "lr": "0.001", "gnorm": "1.2", "train_wall": "3", "wall": "12"}'  # noqa: E501
VALID = '2026 | INFO | valid | {"epoch": 2, "valid_loss": "3.9", "valid_nll_loss": "2.5", "valid_bleu": "21.5", "valid_wps": "5000", "valid_num_updates": "%d"}'  # noqa: E501
EPOCH = '2026 | INFO | train | {"epoch": 2, "train_loss": "4.0", "train_num_updates": "%d", "train_wall": "60"}'


def test_metrics_of_each_kind_of_line() -> None:
    assert metrics_of(TRAIN % 50) == {
        "split": "train",
        "updates": 50,
        "epoch": 1.5,
        "loss": 4.1,
        "nll_loss": 3.0,
        "lr": 0.001,
        "gradient_norm": 1.2,
        "words_per_second": 900.5,
        "words_per_batch": 3900.0,
        "wall_seconds": 12.0,
    }
    valid = metrics_of(VALID % 80)
    assert valid is not None
    assert (valid["split"], valid["updates"], valid["epoch"], valid["bleu"]) == ("valid", 80, 2.0, 21.5)
    assert metrics_of("2026 | INFO | fairseq.trainer | begin training epoch 1") is None
    assert metrics_of('| train | {"epoch": 1, broken') is None
    assert metrics_of('| train | {"epoch": 1, broken}') is None
    assert metrics_of('| train | {"train_loss": "x", "epoch": 1}') is None


def test_what_a_resumed_training_did_again_counts_once() -> None:
    again = (TRAIN % 100).replace("4.1", "4.2")
    rows = tidy([TRAIN % 50, TRAIN % 100, "killed", again, EPOCH % 120, VALID % 120])
    assert [(row["split"], row["updates"]) for row in rows] == [
        ("train", 50),
        ("train", 100),
        ("train_epoch", 120),
        ("valid", 120),
    ]
    assert rows[1]["loss"] == 4.2


def test_the_clock_goes_on_over_all_sessions() -> None:
    """fairseq's starts from zero when a training is resumed."""
    session = [
        "+ python -m bleuprint.machine.lease --gpus 0 fairseq-train data",
        TRAIN % 50,
        (TRAIN % 100).replace("12", "30"),
    ]
    rows = tidy([*session, *session[:1], TRAIN % 100, (TRAIN % 150).replace("12", "20")])
    assert [row["wall_seconds"] for row in rows] == [12, 30 + 12, 30 + 20]


def test_progress_shows_and_keeps_everything(tmp_path: Path) -> None:
    lines = ["+ fairseq-train data", TRAIN % 50, VALID % 80, "a warning"]
    arguments = [
        "--name",
        "run",
        "--session",
        str(tmp_path / "session.log"),
        "--log",
        "train.log",
        "--metrics",
        "m.jsonl",
        "--max-epoch",
        "4",
    ]
    result = subprocess.run(
        [sys.executable, "-m", "bleuprint.training.progress", *arguments],
        cwd=tmp_path,
        input="\n".join(lines),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0
    assert "run: epoch 1.5/4, update 50, loss 4.100, 900 words/s" in result.stderr
    assert "run: epoch 2.0/4, update 80, validation loss 3.900, BLEU 21.5" in result.stderr
    assert "left" in result.stderr
    assert (tmp_path / "train.log").read_text() == "\n".join(lines)
    assert [json.loads(line)["updates"] for line in (tmp_path / "m.jsonl").read_text().splitlines()] == [50, 80]


def test_the_log_and_the_metrics_go_on_over_all_sessions(tmp_path: Path) -> None:
    """Snakemake empties a rule's log at each start; the first session here was killed in the midst of a line."""
    for session in ("+ fairseq-train data\n" + TRAIN % 50 + "\ncut sho", "+ fairseq-train data\n" + TRAIN % 100 + "\n"):
        words = ["--name", "run", "--session", "session.log", "--log", "train.log", "--metrics", "m.jsonl"]
        command = [sys.executable, "-m", "bleuprint.training.progress", *words]
        subprocess.run(command, cwd=tmp_path, input=session, capture_output=True, text=True, check=True)
        assert (tmp_path / "session.log").read_text() == session
    log = (tmp_path / "train.log").read_text().splitlines()
    assert [line[:10] for line in log] == ["+ fairseq-", "2026 | INF", "cut sho", "+ fairseq-", "2026 | INF"]
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [(row["updates"], row["wall_seconds"]) for row in rows] == [(50, 12.0), (100, 24.0)]


def test_a_word_to_the_user_is_shown(tmp_path: Path) -> None:
    words = ["--name", "run", "--session", "session.log", "--log", "train.log", "--metrics", "m.jsonl"]
    result = subprocess.run(
        [sys.executable, "-m", "bleuprint.training.progress", *words],
        cwd=tmp_path,
        input="bleuprint: WARNING: it is so.\nanother line\nGPUs 0 are taken (waiting for a free GPU)\n",
        capture_output=True,
        text=True,
    )
    assert result.stderr == "bleuprint: WARNING: it is so.\nGPUs 0 are taken (waiting for a free GPU)\n"


def test_a_damaged_epoch_among_the_last_is_not_averaged_over(tmp_path: Path) -> None:
    for name in ("2.pt", "4.pt", "6.pt", "8.pt", "9.pt", "3.pt.damaged", "7.pt.damaged"):
        (tmp_path / f"checkpoint{name}").touch()
    assert len(pick(tmp_path, "average", 2)) == 2
    with pytest.raises(
        DataError, match=r"checkpoint7\.pt, one of the last 3 epochs, is damaged; move that folder away"
    ):
        pick(tmp_path, "average", 3)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    display = Display(max_epoch=4, max_update=None, name="run", stream=stream)
    row = metrics_of(VALID % 80)
    assert row is not None
    display.show(row)
    display.close()
    assert "run  50%|" in stream.getvalue() and "BLEU 21.5" in stream.getvalue()
    assert fraction(row, max_epoch=4, max_update=100) == 0.8
    assert fraction(row, max_epoch=4, max_update=None) == 0.5


def checkpoint(path: Path, value: float) -> None:
    model = {"weight": torch.full((3,), value, dtype=torch.float32), "version": torch.tensor([2])}
    torch.save({"args": None, "cfg": None, "model": model, "epoch": value}, path)


def test_pick(tmp_path: Path) -> None:
    for name in ("checkpoint_best.pt", "checkpoint_last.pt", *(f"checkpoint{n}.pt" for n in (8, 9, 10, 11))):
        (tmp_path / name).touch()
    assert pick(tmp_path, "best", 1) == [tmp_path / "checkpoint_best.pt"]
    assert pick(tmp_path, "last", 1) == [tmp_path / "checkpoint_last.pt"]
    names = [path.name for path in pick(tmp_path, "average", 3)]
    assert names == ["checkpoint9.pt", "checkpoint10.pt", "checkpoint11.pt"]
    with pytest.raises(DataError, match=r"no checkpoint for training\.checkpoint=best"):
        pick(tmp_path / "..", "best", 1)


def test_average_is_the_mean_in_float64(tmp_path: Path) -> None:
    values = [1e8, 1.0, -1e8, 0.5]  # float32 sums lose the small ones
    paths = [tmp_path / f"checkpoint{n}.pt" for n in range(4)]
    for path, value in zip(paths, values, strict=True):
        checkpoint(path, value)
    state = average(paths)
    assert state["model"]["weight"].tolist() == [0.375] * 3
    assert state["model"]["weight"].dtype == torch.float32
    assert state["model"]["version"].tolist() == [2]
    assert state["epoch"] == 0.5


def trained(folder: Path, scores: list[float | None], until: int | None = None) -> None:
    """Write what fairseq leaves of the epochs: weights that differ, with the validation's score."""
    for epoch, score in enumerate(scores[:until], 1):
        draw = torch.Generator().manual_seed(epoch)
        model = {"weight": torch.randn(4, 3, generator=draw), "bias": torch.randn(3, generator=draw) * 1e4}
        state = {"model": model, "extra_state": {"val_loss": score, "train_iterator": {"epoch": epoch}}}
        torch.save(state, folder / f"checkpoint{epoch}.pt")


#                 1    2    3    4    5    6    7     8    9
LOSSES = [5.0, 4.0, 3.0, 2.5, 3.5, 2.5, None, 2.75, 4.0]
CHOSEN = [
    ("average", False, [7, 8, 9]),
    ("average_best", False, [4, 6, 8]),
    ("average_best", True, [1, 2, 9]),  # of the equal ones, epochs 2 and 9, both
    ("average_around_best", False, [5, 6, 7]),  # 6 is as good as 4, and later
    ("average_around_best", True, [1, 2, 3]),  # the best is the first epoch
]


@pytest.mark.parametrize(("choice", "maximise", "wanted"), CHOSEN)
def test_each_average_is_the_mean_over_its_epochs(
    choice: str,
    maximise: bool,
    wanted: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained(tmp_path, LOSSES)
    words = ["--save-dir", tmp_path, "--choose", choice, "--epochs", 3, "--output", tmp_path / "model.pt"]
    monkeypatch.setattr(sys, "argv", ["", *map(str, words), *(["--maximise"] if maximise else [])])
    checkpoint_module.main()
    assert capsys.readouterr().out == f"{choice}: {', '.join(f'checkpoint{epoch}.pt' for epoch in wanted)}\n"
    found = torch.load(tmp_path / "model.pt")["model"]
    for name in ("weight", "bias"):
        read = [torch.load(tmp_path / f"checkpoint{epoch}.pt")["model"][name].numpy() for epoch in wanted]
        direct = numpy.mean(numpy.stack(read).astype(numpy.float64), axis=0).astype(numpy.float32)
        assert numpy.array_equal(found[name].numpy(), direct)


def test_where_the_best_epoch_is_near_an_end_of_the_training() -> None:
    def around(best: int, count: int, last: int = 9) -> list[int]:
        found = {epoch: float(abs(epoch - best)) for epoch in range(1, last + 1)}
        return chosen("average_around_best", found, count, maximise=False)

    assert around(5, 3) == [4, 5, 6]
    assert around(5, 4) == [3, 4, 5, 6]
    assert around(9, 3) == around(8, 3) == [7, 8, 9]
    assert around(1, 3) == [1, 2, 3]
    assert around(2, 5, last=3) == [1, 2, 3]
    assert around(4, 1) == [4]


@pytest.mark.parametrize("choice", ["average_best", "average_around_best"])
@pytest.mark.parametrize("maximise", [True, False])
def test_what_is_removed_on_the_way_is_never_missed(choice: str, maximise: bool) -> None:
    """Whenever the training ends, and also where it was killed before it could remove anything."""
    draw = random.Random(1)
    for _ in range(300):
        count = draw.randint(1, 6)
        scores = [draw.choice([None, 1.0, 1.5, 2.0, 2.25]) for _ in range(draw.randint(1, 20))]
        kept: dict[int, float | None] = {}
        most = 2 * count if choice == "average_around_best" else count + 1
        for epoch, score in enumerate(scores, 1):
            kept[epoch] = score
            everything = dict(enumerate(scores[:epoch], 1))
            assert chosen(choice, kept, count, maximise) == chosen(choice, everything, count, maximise)
            if draw.random() < 0.8:
                keep = needed(choice, kept, count, maximise)
                kept = {one: value for one, value in kept.items() if one in keep}
                assert len(kept) <= most and epoch in kept


def test_epochs_are_removed_on_the_disk(tmp_path: Path) -> None:
    trained(tmp_path, LOSSES)
    (tmp_path / "checkpoint_last.pt").touch()
    prune(tmp_path, "average_best", 2, maximise=False)
    assert sorted(epochs(tmp_path)) == [4, 6, 9]
    assert (tmp_path / "checkpoint_last.pt").exists()


def test_the_plugin_is_told_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_options(tmp_path) == Options()  # where nobody wrote one
    for words, options in {
        "--choose average --bf16": Options(bf16=True),
        "--choose average_best --epochs 3 --deterministic": Options(False, True, "average_best", 3),
        "--choose best": Options(),  # and nothing of an earlier session is left
    }.items():
        monkeypatch.setattr(sys, "argv", ["", "--save-dir", str(tmp_path / "new"), *words.split()])
        resume.main()
        assert read_options(tmp_path / "new") == options


def test_without_any_score_there_is_nothing_to_average(tmp_path: Path) -> None:
    trained(tmp_path, [None, None])
    with pytest.raises(DataError, match=r"no checkpoint for training\.checkpoint=average_best"):
        pick(tmp_path, "average_best", 2)


def test_a_training_that_ends_within_its_first_epoch_gives_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path / "checkpoint_last.pt", 7.0)
    for choice in ("average", "average_best", "average_around_best"):
        assert pick(tmp_path, choice, 3) == [tmp_path / "checkpoint_last.pt"]
    words = ["--save-dir", str(tmp_path), "--choose", "average", "--last", "3", "--output", str(tmp_path / "model.pt")]
    monkeypatch.setattr(sys, "argv", ["", *words])
    checkpoint_module.main()
    assert "bleuprint: NOTE: no epoch was saved that could be averaged" in capsys.readouterr().out
    assert torch.load(tmp_path / "model.pt")["model"]["weight"].tolist() == [7.0] * 3
    (tmp_path / "checkpoint1.pt.damaged").touch()  # there was one
    with pytest.raises(DataError, match=r"no checkpoint for training\.checkpoint=average"):
        pick(tmp_path, "average", 3)


def test_a_damaged_epoch_chosen_by_its_score_is_an_error_but_for_the_last(tmp_path: Path) -> None:
    trained(tmp_path, [3.0, 2.0, 2.5])
    link(tmp_path / "checkpoint3.pt", tmp_path / "checkpoint_last.pt")
    (tmp_path / "checkpoint3.pt").write_bytes(b"x")  # one file, two names
    assert "renamed" in ready(tmp_path, "average_best")[0]
    assert (tmp_path / "checkpoint_last.pt").samefile(tmp_path / "checkpoint2.pt")
    trained(tmp_path, [3.0, 2.0, 2.5])
    (tmp_path / "checkpoint1.pt").write_bytes(b"x")
    for choice in ("average_best", "average_around_best"):
        with pytest.raises(DataError, match=r"checkpoint1\.pt is damaged, and further training would not recompute it"):
            ready(tmp_path, choice)
    assert (tmp_path / "checkpoint1.pt").exists()


def test_a_checkpoint_that_carries_code_does_not_run_it(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"model": {}, "extra": Evil()}, tmp_path / "checkpoint1.pt")
    with pytest.raises(pickle.UnpicklingError):
        average([tmp_path / "checkpoint1.pt"])
    assert not (tmp_path / "ran").exists()


def experiment(**cli: Any) -> Any:
    (choice,) = experiments(cli)
    return choice.experiment


def test_a_training_of_days_is_refused_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpus", lambda: ())
    reason = costs.refusal(experiment(), threads=2)
    assert reason is not None
    assert "days on 2 CPU cores" in reason and "runtime.device=cpu" in reason
    for recipe in ("assignment", "lightconv", "dynamicconv"):
        assert costs.refusal(experiment(recipe=recipe), threads=2) is not None
    for recipe in ("demo", "cpu_small"):
        assert costs.refusal(experiment(recipe=recipe), threads=2) is None
    assert costs.refusal(experiment(overrides="runtime.device=cpu"), threads=2) is None
    assert "no GPU is visible" in str(costs.refusal(experiment(overrides="runtime.device=cuda"), threads=2))
    monkeypatch.setattr(device, "gpus", lambda: ("0",))
    assert costs.refusal(experiment(), threads=2) is None


def test_the_estimate_agrees_with_what_was_measured() -> None:
    """550 target tokens/s with the IWSLT Transformer on two cores: one epoch of 4.0 M tokens in about two hours."""
    hours = costs.cpu_seconds(experiment(overrides="training.max_epoch=1"), threads=2) / 3600
    assert 1.5 < hours < 2.5
    short = experiment(overrides="training.max_epoch=null training.max_update=10")
    assert costs.cpu_seconds(short, threads=2) < 120


def test_visible_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "DEVICES", tmp_path)
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    names: dict[str | None, tuple[str, ...]] = {
        None: ("0", "1", "2"),
        "": (),
        "-1": (),
        "0": ("0",),
        "0,2": ("0", "2"),
        "GPU-8a, GPU-9b": ("GPU-8a", "GPU-9b"),
        "GPU-8a,1": ("GPU-8a",),
        "1,GPU-8a": ("1",),
        "3,0": (),
        "0,none,1": ("0",),
        "1gpu,+2": ("1", "2"),
        "0,1,0": (),
        ",0": (),
        "0,-1,2": ("0",),
        "0,1,2,3": ("0", "1", "2"),
        "MIG-1,MIG-2,MIG-3,MIG-4": ("MIG-1", "MIG-2", "MIG-3", "MIG-4"),
        **dict.fromkeys(("NoDevFiles", "none", "void", "all", "-2", "gpu-8a"), ()),
    }
    for visible, wanted in names.items():
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        device.gpus.cache_clear()
        assert device.gpus() == wanted
    monkeypatch.setattr(device, "DEVICES", tmp_path / "none")
    device.gpus.cache_clear()
    assert device.gpus() == ()
    device.gpus.cache_clear()
