"""Early stopping and frozen parameters: the same bits however a training was killed; where they are refused; told."""

import io
import random
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sessions import run_sessions

from bleuprint.commands import milestones, watch
from bleuprint.config.compose import ConfigError, experiments
from bleuprint.plan import costs
from bleuprint.plan.keys import plan
from bleuprint.record import provenance
from bleuprint.training import progress_flags, resume_flags
from bleuprint.training.checkpoints import load
from bleuprint.training.progress import Display
from bleuprint.training.save_dir import Options, write_options
from bleuprint.training.stopped import frozen, frozen_line, sentence, stopped_early

Kill = tuple[str, int, int]
Session = tuple[str, dict[str, Any], Kill | None, bool]

# The learning rate falls when the loss gets no better, and later the training stops; that takes frozen parameters
PLATEAU = {"lr_scheduler": "reduce_lr_on_plateau", "lr_patience": 1, "lr_shrink": 0.5}
EARLY = PLATEAU | {"patience": 4, "share_decoder_input_output_embed": True}
WITHIN = {"patience": 4, "validate_interval_updates": 5, "lr": 0.003}
ACCURACY = {
    "report_accuracy": True,
    "best_checkpoint_metric": "accuracy",
    "maximize_best_checkpoint_metric": True,
    "patience": 3,
    "save_interval": 2,
}
MOMENTS = ("updating", "validated", "saved")
FROZEN = ["encoder.layers.*", "*.output_projection.*"]  # the latter also has the name decoder.embed_tokens.weight


def train(folder: Path, *sessions: Session) -> list[int]:
    """Run sessions of fairseq-train on made-up text, and return their exit statuses."""
    return run_sessions("killed_process.py", folder, sessions)


def counts(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return updates and the state of the schedule, without the epochs that torch counts there and does not use."""
    history = checkpoint["optimizer_history"][-1]
    state = {name: value for name, value in history["lr_scheduler_state"].items() if name != "last_epoch"}
    return {"updates": history["num_updates"]} | state


def same(folder: Path, first: str, second: str) -> None:
    """Check that two trainings have the same checkpoints, to the bit, and saw the same validations."""
    names = [
        {path.name for path in (folder / name).glob("*.pt")} - {"checkpoint_before.pt"} for name in (first, second)
    ]
    assert names[0] == names[1]
    for name in names[0]:
        one, other = (load(folder / save_dir / name) for save_dir in (first, second))
        assert one["extra_state"]["bleuprint"] == other["extra_state"]["bleuprint"]
        assert counts(one) == counts(other)
        assert all(torch.equal(tensor, other["model"][key]) for key, tensor in one["model"].items()), name


def logged(folder: Path, name: str) -> str:
    return (folder / f"{name}.log").read_text()


@pytest.mark.slow
def test_killed_and_resumed_it_stops_after_the_same_update(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        write_options(tmp_path / name, Options(freeze=FROZEN))
    write_options(tmp_path / "nothing", Options(freeze=["encoder.*", "encoder.layer.*"]))
    write_options(tmp_path / "all", Options(freeze=["*"]))
    kill, end = signal.SIGKILL, signal.SIGTERM
    plain = EARLY | {"user_dir": None, "no_save": True, "reset_optimizer": True, "max_epoch": 12}
    statuses = train(
        tmp_path,
        ("whole", EARLY, None, False),
        ("killed", EARLY, ("saved", 78, kill), False),  # between an epoch's checkpoint and the next epoch
        ("killed", EARLY, ("updating", 85, end), False),
        ("killed", EARLY, ("validated", 100, kill), True),  # after a validation that no checkpoint knows
        ("killed", EARLY, ("writing", 110, kill), False),  # with a checkpoint half written
        ("killed", EARLY, None, False),
        ("killed", EARLY, None, False),  # finished, so that it computes no update
        ("killed", plain, None, False),  # fairseq without the plugin reads it, and would train on
        ("nothing", EARLY, None, False),
        ("all", EARLY, None, False),
    )
    assert statuses == [0, -kill, 128 + end, -kill, -kill, 0, 0, 0, 1, 1]
    same(tmp_path, "whole", "killed")
    whole, killed = (logged(tmp_path, name) for name in ("whole", "killed"))
    (line,) = [line for line in whole.splitlines() if "stopped early" in line]
    assert "bleuprint: training stopped by SIGTERM" in killed
    assert "no better loss than" in line and "for 4 validations" in line
    assert killed.count(line) == 2 and "training.freeze=encoder.layers.*,*.output_projection.*" in killed
    last, best = (load(tmp_path / f"whole/checkpoint_{name}.pt") for name in ("last", "best"))
    assert last["optimizer_history"][-1]["num_updates"] < 30 * 13  # of the latest end
    assert f"(epoch {last['extra_state']['train_iterator']['epoch']} @" in killed.rpartition("Loaded checkpoint")[2]
    equal = {name for name, tensor in last["model"].items() if torch.equal(tensor, best["model"][name])}
    matched = {name for name in last["model"] if name.startswith("encoder.layers.")}
    assert equal - {"encoder.version", "decoder.version"} == matched | {
        "decoder.embed_tokens.weight",
        "decoder.output_projection.weight",
    }
    assert len(last["last_optimizer_state"]["state"]) == len(last["model"].keys() - equal)
    missing = "bleuprint: training.freeze: encoder.layer.* matches no parameter of the model, which has encoder."
    assert missing in logged(tmp_path, "nothing")
    assert "bleuprint: training.freeze: * freezes all parameters of the model" in logged(tmp_path, "all")


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("flags", [EARLY, WITHIN, ACCURACY], ids=["plateau", "within an epoch", "accuracy"])
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_it_stops_after_the_same_update(
    tmp_path: Path, flags: dict[str, Any], seed: int
) -> None:
    draw, update = random.Random(seed), 0
    sessions: list[Session] = [("whole", flags, None, False)]
    for _ in range(8):
        update += draw.randint(5, 20)
        moment, number = draw.choice([("updating", signal.SIGTERM), *((word, signal.SIGKILL) for word in MOMENTS)])
        sessions.append(("killed", flags, (moment, update, number), draw.random() < 0.6))
    part = flags is EARLY  # is trained
    for name in ("whole", "killed"):
        write_options(tmp_path / name, Options(freeze=FROZEN if part else []))
    # fairseq without the plugin reads the checkpoints, and would train on
    plain = flags | {"user_dir": None, "no_save": True, "reset_optimizer": part, "max_epoch": 12}
    statuses = train(tmp_path, *sessions, *[("killed", flags, None, False)] * 2, ("killed", plain, None, False))
    assert statuses[0] == 0 and statuses[-3:] == [0, 0, 0] and -signal.SIGKILL in statuses
    same(tmp_path, "whole", "killed")
    assert all("stopped early" in logged(tmp_path, name) for name in ("whole", "killed"))


LINE = "2026 | INFO | fairseq_plugin.early_stopping | " + sentence(1750, 7, "loss", 3, 2.111)
WHEN = "after update 1,750 (epoch 7): no better loss than 2.111 for 3 validations"
WITH = "2026 | INFO | fairseq_plugin.freezing | " + frozen_line(1200, 5000, 3, ["encoder.*"])


def test_the_log_tells_the_terminal_and_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stopped_early(f"x\n{LINE}\ny") == WHEN and frozen(f"{WITH}\n{LINE}") == 1200
    assert stopped_early(WITH) is None and frozen("stopped early after update 3") is None
    assert "for 1 validation" in sentence(3, 1, "bleu", 1, 20.0)
    key = "transformer-seed1-0a1b2c3d"
    folder = tmp_path / "results/training" / key
    folder.mkdir(parents=True)
    (folder / "session.log").write_text(f"{WITH}\n{LINE}\nlast: checkpoint_last.pt\n")
    (folder / "train.log").write_text(f"{WITH}\n{LINE}\n")
    (folder / "metrics.jsonl").write_text('{"split": "valid", "epoch": 7, "loss": 2.5, "updates": 1750}\n')
    monkeypatch.chdir(tmp_path)
    facts = milestones.training(SimpleNamespace(), key)  # type: ignore[arg-type]
    assert milestones.line("training", key, facts).splitlines() == [
        "training  transformer-seed1-0a1b2c3d: last epoch 7, validation loss 2.500",
        f"          stopped early {WHEN}",
    ]
    noted = provenance.job(folder / "train.log")
    assert (noted["frozen"], noted["stopped"]) == (1200, WHEN)


def one(words: str, **more: Any) -> Any:
    (choice,) = experiments({"recipe": "demo", "overrides": words} | more)
    return choice


def test_both_are_part_of_the_identity_only_where_they_are_given() -> None:
    words = ["", "training.patience=null training.freeze=null", "training.freeze=[]", "training.patience=3"]
    words += ["training.freeze=[encoder.*,decoder.embed*]", "training.freeze=[decoder.embed*,encoder.*]"]
    keys = [plan([one(each)]).runs[0].keys["training"] for each in words]
    assert keys[0] == keys[1] == keys[2] == "transformer_tiny-seed1-afe8aad5"  # as it was before there were these keys
    assert len({*keys}) == 3 and keys[4] == keys[5]
    training = one("training.patience=3 training.freeze=encoder.*").experiment.training
    assert training.flags()["patience"] == 3 and "freeze" not in training.flags()
    assert "--freeze '[\"encoder.*\"]'" in resume_flags(training, False, False)
    assert progress_flags(training).endswith("--at-most") and "--at-most" not in progress_flags(
        one("").experiment.training
    )


WRONG = {
    "training.patience=0": "training.patience=0: input should be greater than 0",
    "training.patience=2 training.max_epoch=null": "needs an end: set training.max_epoch or training.max_update, as "
    "training.patience only ends it earlier",
    "training.patience=2 +training.disable_validation=true training.checkpoint=last": "disable_validation: "
    "training.patience would find no validation",
    "training.patience=2 training.checkpoint=last +training.report_accuracy=true "
    "training.best_checkpoint_metric=accuracy training.maximize_best_checkpoint_metric=false": "the worst model would "
    "be taken for the best",
    "training.freeze=[1]": "training.freeze.0=1: input should be a valid string",
}


@pytest.mark.parametrize(("words", "message"), WRONG.items())
def test_what_cannot_end_well_is_refused(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        one(words)
    assert message in str(error.value)


def test_a_training_that_may_end_earlier_takes_at_most_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ())
    sentences = [costs.refusal(one(words, recipe="assignment").experiment, 2) for words in ("", "training.patience=3")]
    rows = [{"epoch": epoch, "updates": 9, "wall_seconds": 60.0 * epoch} for epoch in (1, 2)]
    limits = {"max_epoch": 10, "max_update": None}
    assert [watch._left(rows, limits | more) for more in ({}, {"at_most": True})] == ["08:00", "≤ 08:00"]
    stream = io.StringIO()
    display = Display(4, None, "run", stream, at_most=True)
    for epoch in (1, 2):
        display.show({"split": "valid", "epoch": epoch, "updates": 9, "loss": 1.0})
    assert "left" in stream.getvalue() and stream.getvalue().count("at most") == stream.getvalue().count("left")
    assert "would train about" in str(sentences[0]) and "would train at most about" in str(sentences[1])
