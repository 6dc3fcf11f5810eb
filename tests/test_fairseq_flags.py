"""Rendering flags, and fairseq's own parser asked about them."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.flags import argv, shell
from bleuprint.config.schema import Experiment
from bleuprint.plan import fairseq_flags


def one(**cli: Any) -> Experiment:
    (choice,) = experiments(cli)
    return choice.experiment


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"max_tokens": 4096}, ["--max-tokens", "4096"]),
        ({"share_all_embeddings": True, "cpu": False, "patience": None}, ["--share-all-embeddings"]),
        ({"lr": 5e-4}, ["--lr", "0.0005"]),
        ({"warmup_init_lr": 1e-7}, ["--warmup-init-lr", "1e-07"]),
        ({"adam_betas": "(0.9, 0.98)"}, ["--adam-betas", "(0.9, 0.98)"]),
        ({"encoder_kernel_size_list": [3, 7]}, ["--encoder-kernel-size-list", "[3, 7]"]),
        ({"adam_betas": (0.9, 0.98)}, ["--adam-betas", "(0.9, 0.98)"]),
        ({"eval_bleu_args": {"beam": 5}}, ["--eval-bleu-args", '{"beam": 5}']),
        ({"lenpen": -0.5}, ["--lenpen=-0.5"]),
        ({"empty": ""}, ["--empty", ""]),
    ],
)
def test_argv(flags: dict[str, Any], words: list[str]) -> None:
    assert argv(flags) == words


@pytest.mark.parametrize("value", ["two words", "a'b\"c", "$(touch x)", "a;b", "line\nline", "*", "ä"])
def test_the_shell_sees_values_literally(value: str) -> None:
    assert shlex.split(shell({"note": value})) == ["--note", value]


def test_the_train_command_of_the_default_recipe() -> None:
    """fairseq's README, word for word where it is a flag; the budget and the batch rebuilding are bleuprint's."""
    words = shlex.split(fairseq_flags.train(one()))
    readme = """--arch transformer_iwslt_de_en --share-decoder-input-output-embed --optimizer adam
        --adam-betas '(0.9, 0.98)' --clip-norm 0.0 --lr 0.0005 --lr-scheduler inverse_sqrt --warmup-updates 4000
        --dropout 0.3 --weight-decay 0.0001 --criterion label_smoothed_cross_entropy --label-smoothing 0.1
        --max-tokens 4096 --eval-bleu --eval-bleu-args '{"beam": 5, "max_len_a": 1.2, "max_len_b": 10}'
        --eval-bleu-detok moses --eval-bleu-remove-bpe --best-checkpoint-metric bleu
        --maximize-best-checkpoint-metric"""
    ours = "--max-epoch 50 --update-epoch-batch-itr True --keep-last-epochs 1 --seed 1"
    assert sorted(words) == sorted(shlex.split(readme) + shlex.split(ours))


def test_device_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = one(overrides="training.fp16=true")
    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ())
    assert fairseq_flags.device_flags(experiment, experiment.runtime) == {"cpu": True}
    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ("0",))
    assert fairseq_flags.device_flags(experiment, experiment.runtime) == {"distributed_world_size": 1, "fp16": True}
    forced = one(overrides="runtime.device=cpu training.fp16=true")
    assert fairseq_flags.device_flags(forced, forced.runtime) == {"cpu": True}
    assert "fp16" not in fairseq_flags.train(experiment)


def test_a_cpu_decodes_smaller_batches_that_hold_the_longest_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def how(overrides: str) -> str:
        experiment = one(overrides=overrides)
        return fairseq_flags.generate_how(experiment, experiment.runtime)

    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ())
    assert how("decoding.beam=4").endswith("--cpu --num-workers 0 --max-tokens 2000")
    assert "--max-tokens" not in how("decoding.max_tokens=1500")
    assert how("+model.max_source_positions=3000").endswith("--max-tokens 3000")
    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ("0",))
    assert "--max-tokens" not in how("decoding.beam=4")


def test_on_a_cpu_batches_are_loaded_by_a_thread_unless_processes_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def how(overrides: str) -> str:
        experiment = one(overrides=overrides)
        trained = fairseq_flags.train_how(experiment, experiment.runtime, "folder")
        return f"{trained} {fairseq_flags.generate_how(experiment, experiment.runtime)}"

    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ())
    assert how("decoding.beam=4").count("--num-workers 0") == 2
    asked = how("+training.num_workers=2 +decoding.num_workers=1")
    assert "--num-workers" not in asked  # it stands among the flags that the user gives
    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ("0",))
    assert "--num-workers" not in how("decoding.beam=4")


@pytest.fixture
def nothing_known(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairseq_flags, "KNOWN", tmp_path / "known")


@pytest.mark.slow
def test_wrong_flags_are_refused_in_fairseqs_own_words() -> None:
    wrong = {
        "+training.label_smoothin=0.2": "unrecognized arguments: --label-smoothin 0.2",
        "training.optimizer=adamm": "argument --optimizer: invalid choice: 'adamm' (did you mean adam",
        "+decoding.beem=3": "unrecognized arguments: --beem 3",
        "model.arch=transformer_iwslt": "argument --arch/-a: invalid choice: 'transformer_iwslt' (did you mean",
        "model.encoder_conv_type=dynamic": "unrecognized arguments: --encoder-conv-type dynamic",
        "+training.keep_best_checkpoints=soon": "argument --keep-best-checkpoints: invalid int value: 'soon'",
    }
    right = fairseq_flags.commands(one())
    commands = [command for override in wrong for command in fairseq_flags.commands(one(overrides=override))]
    found = dict(zip(commands, fairseq_flags.complaints(commands), strict=True))
    assert [found[command] for command in right if command in found] == [None] * len(found.keys() & set(right))
    said = [complaint for command, complaint in found.items() if command not in right]
    assert len(said) == len(wrong)
    for complaint, expected in zip(said, wrong.values(), strict=True):
        assert complaint is not None and complaint.startswith(expected)


def test_a_wrong_flag_ends_planning(nothing_known: None) -> None:
    with pytest.raises(ConfigError) as error:
        fairseq_flags.check([one(overrides="+training.label_smoothin=0.2")])
    assert str(error.value) == (
        "fairseq-train: unrecognized arguments: --label-smoothin 0.2; see fairseq-train --help for its flags"
    )


def test_what_the_parser_took_is_not_asked_again(nothing_known: None, monkeypatch: pytest.MonkeyPatch) -> None:
    added = one(overrides="+training.keep_best_checkpoints=3 +model.attention_dropout=0.1")
    fairseq_flags.check([added])
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("asked again"))
    fairseq_flags.check([added])


PARSE = """
import json, sys
from fairseq import options
for words in json.load(sys.stdin):
    parsed = options.parse_args_and_arch(options.get_training_parser(), ["data", *words])
    print(json.dumps(vars(parsed), default=str))
"""


@pytest.mark.slow
def test_fairseq_reads_each_shipped_flag_as_the_config_means_it() -> None:
    """Every recipe goes through fairseq's parser, and comes out with the config's values."""
    shipped = [one(recipe=recipe) for recipe in ("readme", "assignment", "dynamicconv", "demo")]
    trainings = [fairseq_flags.commands(experiment)[0][1] for experiment in shipped]
    # In a process of its own: fairseq changes Hydra's state
    result = subprocess.run([sys.executable, "-c", PARSE], input=json.dumps(trainings), capture_output=True, text=True)
    for experiment, line in zip(shipped, result.stdout.splitlines(), strict=True):
        parsed = json.loads(line)
        for key, value in (experiment.model.flags() | experiment.training.flags()).items():
            found = json.loads(parsed[key]) if isinstance(value, dict) else parsed[key]
            # fairseq evaluates lr to a list, and a bare --eval-bleu-remove-bpe to its marker
            meant = {"lr": [value], "eval_bleu_remove_bpe": "@@ "}.get(key, value)
            assert found == meant, key


@pytest.mark.slow
def test_the_set_up_asks_about_all_that_config_offers(tmp_path: Path) -> None:
    """`make env` ends with this, so that a first dry run need not load fairseq."""
    code = (
        "import pathlib, sys; from bleuprint.plan import fairseq_flags as flags;"
        " flags.KNOWN = pathlib.Path(sys.argv[1]); sys.argv = ['x']; flags.main()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "known")], check=True)
    known = {path.name for path in (tmp_path / "known").iterdir()}
    for recipe in ("readme", "assignment", "cpu_small"):
        for model in ("transformer", "lightconv_tiny"):
            commands = fairseq_flags.commands(one(recipe=recipe, model=model))
            assert {fairseq_flags._mark(command).name for command in commands} <= known
