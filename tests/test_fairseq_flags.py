"""Rendering flags, the table of all of them, and fairseq's own parser asked about them."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bleuprint.config import known_flags
from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.flags import argv, shell
from bleuprint.config.schema import Experiment
from bleuprint.files import DataError
from bleuprint.plan import fairseq_flags
from bleuprint.plan.keys import plan
from bleuprint.plan.lengths import check_lengths, limits
from bleuprint.training import resume
from bleuprint.training.lengths import as_text, from_text, too_long


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
    assert [asked.count(f"--num-workers {number}") for number in range(3)] == [0, 1, 1]
    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ("0",))
    assert "--num-workers" not in how("decoding.beam=4")


@pytest.fixture
def nothing_known(fairseq: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for flags that fairseq knows, still empty; a process that has loaded fairseq is asked."""

    def complaints(commands: list[fairseq_flags.Command], folders: fairseq_flags.Plugins) -> Any:
        order = {"commands": commands, "user_dir": str(fairseq_flags.PLUGIN), "plugins": folders}
        return fairseq(fairseq_flags._answer, order)

    monkeypatch.setattr(fairseq_flags, "KNOWN", tmp_path / "known")
    monkeypatch.setattr(fairseq_flags, "complaints", complaints)
    return tmp_path / "known"


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


def test_a_wrong_flag_ends_planning(nothing_known: Path) -> None:
    with pytest.raises(ConfigError) as error:
        fairseq_flags.check([one(overrides="+training.label_smoothin=0.2")])
    assert str(error.value) == (
        "fairseq-train: unrecognized arguments: --label-smoothin 0.2; see fairseq-train --help for its flags"
    )


def test_what_the_parser_took_is_not_asked_again(nothing_known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = one(overrides="+training.keep_best_checkpoints=3 +model.attention_dropout=0.1")
    fairseq_flags.check([added])
    monkeypatch.setattr(fairseq_flags, "complaints", lambda *_, **__: pytest.fail("asked again"))
    fairseq_flags.check([added])


def parsed(trainings: list[list[str]]) -> list[dict[str, Any]]:
    """Return what fairseq's parser makes of fairseq-train's words. Loads fairseq."""
    from fairseq import options

    found = [options.parse_args_and_arch(options.get_training_parser(), ["data", *words]) for words in trainings]
    return [json.loads(json.dumps(vars(namespace), default=str)) for namespace in found]


def test_fairseq_reads_each_shipped_flag_as_the_config_means_it(fairseq: Callable[..., Any]) -> None:
    """Every recipe goes through fairseq's parser, and comes out with the config's values."""
    shipped = [one(recipe=recipe) for recipe in ("readme", "assignment", "dynamicconv", "demo")]
    trainings = [list(fairseq_flags.commands(experiment)[0][1]) for experiment in shipped]
    for experiment, read in zip(shipped, fairseq(parsed, trainings), strict=True):
        for key, value in (experiment.model.flags() | experiment.training.flags()).items():
            found = json.loads(read[key]) if isinstance(value, dict) else read[key]
            # fairseq evaluates lr to a list, and a bare --eval-bleu-remove-bpe to its marker
            meant = {"lr": [value], "eval_bleu_remove_bpe": "@@ "}.get(key, value)
            assert found == meant, key


def test_the_set_up_asks_about_all_that_config_offers(nothing_known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make env` ends with this, so that a first dry run need not load fairseq."""
    monkeypatch.setattr(sys, "argv", ["fairseq_flags"])
    fairseq_flags.main()
    known = {path.name for path in nothing_known.iterdir()}
    for recipe in ("readme", "assignment", "cpu_small"):
        for model in ("transformer", "lightconv_tiny"):
            commands = fairseq_flags.commands(one(recipe=recipe, model=model))
            assert {fairseq_flags._mark(command).name for command in commands} <= known


def parsers() -> dict[str, Any]:
    """Return all that fairseq's parsers know for a translation, as known_flags.tsv sorts it. Loads fairseq."""
    import argparse
    import inspect

    from fairseq import options, utils
    from fairseq.dataclass.utils import gen_parser_from_dataclass
    from fairseq.models import ARCH_MODEL_REGISTRY, FairseqEncoderDecoderModel
    from fairseq.optim.bmuf import FairseqBMUF
    from fairseq.registry import REGISTRIES
    from fairseq.tasks import TASK_REGISTRY

    from bleuprint.config.known_flags import complaint

    utils.import_user_module(argparse.Namespace(user_dir=str(fairseq_flags.PLUGIN)))
    registries = {name: registry["registry"] for name, registry in REGISTRIES.items()}
    registries |= {"arch": ARCH_MODEL_REGISTRY, "task": TASK_REGISTRY}
    usable = {"bpe", "tokenizer", "scoring", "optimizer", "lr_scheduler"}  # in fairseq's eyes, whatever the table says
    known: dict[str, dict[str, set[str]]] = {}  # flag → names, commands

    def add(parser: argparse.ArgumentParser, *commands: str) -> None:
        for action in parser._actions:
            names = {word.lstrip("-").replace("-", "_") for word in action.option_strings if word.startswith("--")}
            if names:
                flag = known.setdefault(action.dest, {"names": set(), "commands": set()})
                flag["names"] |= names - {action.dest}
                flag["commands"] |= set(commands)

    def add_component(component: Any, *commands: str) -> None:
        parser = argparse.ArgumentParser(allow_abbrev=False, conflict_handler="resolve", add_help=False)
        if hasattr(component, "add_args"):
            component.add_args(parser)
        elif hasattr(component, "__dataclass"):
            gen_parser_from_dataclass(parser, getattr(component, "__dataclass")())
        add(parser, *commands)

    add(options.get_training_parser(), "training")
    add(options.get_generation_parser(), "decoding")
    add_component(FairseqBMUF, "training")
    for name, registry in registries.items():
        for word, component in registry.items():
            if name in usable or complaint("training", name, word) is None:
                add_component(component, "training", *([] if name == "arch" else ["decoding"]))
    translates = {
        word
        for word, model in ARCH_MODEL_REGISTRY.items()
        if issubclass(model, FairseqEncoderDecoderModel)
        and not any(part in inspect.getmodule(model).__name__ for part in ("speech", "hubert", "wav2vec", "roberta"))
    }
    return {"flags": known, "arch": set(ARCH_MODEL_REGISTRY), "translates": translates}


def test_the_table_has_every_flag_of_fairseqs_parsers_and_no_other(fairseq: Callable[..., Any]) -> None:
    known = fairseq(parsers)
    table = {name: lines[-1] for name, lines in known_flags.flags().items()}
    flags = {"remove_bpe" if name == "post_process" else name: flag for name, flag in known["flags"].items()}
    assert set(flags) - set(table) == set(), "flags that the table lacks"
    assert set(table) - set(flags) == set(), "flags that no parser knows"
    for name, flag in flags.items():
        line = table[name]
        assert {command for command, kind in line.kinds.items() if kind != "-"} == flag["commands"], name
        assert (set(line.others) | {name}) - {"post_process"} == (flag["names"] | {name}) - {"post_process"}, name
    accepted = {arch for arch in known["arch"] if known_flags.complaint("training", "arch", arch) is None}
    # Those that need other data, and those for telling stories
    assert known["translates"] - accepted == {"transformer_from_pretrained_xlm", "fconv_self_att", "fconv_self_att_wp"}
    assert accepted - known["translates"] == set()


def test_every_line_of_the_table_says_enough() -> None:
    for line in (line for lines in known_flags.flags().values() for line in lines):
        kinds = set(line.kinds.values())
        assert kinds <= {"identity", "how", "content", "set", "refused", "ignored", "-"}, line
        assert bool(line.reason) == bool(kinds & {"set", "refused"}), line
        # The way out: what to set or add, or to leave it out
        assert not line.reason or any(way in line.reason for way in ("set ", "add ", "leave ", "raise ", "run ")), line


EPOCHS = "training.max_update=null training.max_epoch=50"
REFUSED = {
    "+decoding.score_reference=true": "decoding.score_reference: the decoder would see the reference; leave it out",
    "decoding.prefix_size=1": "decoding.prefix_size=1: the decoder would see the reference",
    "+decoding.post_process=sentencepiece": "decoding.post_process: this is another name of remove_bpe; set decod",
    "training.wd=0.3": "training.wd: this is another name of weight_decay; set training.weight_decay instead",
    "+training.reset_optimizer=true": "would end elsewhere; to start from another model set training.start_from",
    "+training.amp=true": "training.amp: fairseq divides the gradients by the loss scale twice; set training.fp16=true",
    "+model.bf16=true": "model.bf16: bleuprint sets this flag itself; set training.bf16=true",
    "training.user_dir=x": "training.user_dir=x: bleuprint sets this flag itself; set model.plugin to your own folder",
    "+training.user_dir=x": "training.user_dir=x: bleuprint sets this flag itself; set model.plugin to your own folder",
    "+training.save-dir=x": "training.save_dir=x: bleuprint sets this flag itself",
    "+training.valid_subset=test": "training.valid_subset=test: a model must be chosen by the validation set",
    "+decoding.best_checkpoint_metric=loss": "does nothing with it; set +training.best_checkpoint_metric instead",
    "+training.dataset_impl=raw": "training.dataset_impl=raw: bleuprint binarises the text in the format mmap",
    "model.arch=lightconv_lm": "model.arch=lightconv_lm: it is no model for the translation of text",
    "training.best_checkpoint_metric=bleu": "nothing computes it on the validation set; set training.eval_bleu=true",
    "training.best_checkpoint_metric=bleu training.eval_bleu=true": "worst model would be taken for the best; set",
    "training.maximize_best_checkpoint_metric=true": "loss: the worst model would be taken for the best",
    "+training.disable_validation=true": "training.checkpoint=best would find no best checkpoint; leave it out",
    f"{EPOCHS} +training.save_interval=9": "no checkpoint is saved at the end of epoch 50, the last one; set",
    f"{EPOCHS} +training.validate_interval=60": "no saved epoch of 50 is validated, as training.checkpoint=best needs",
    "training.max_update=9 +training.validate_after_updates=10": "the training ends before, at training.max_update=9",
    "+training.left_pad_target=true": "the model is trained with another value; set +decoding.left_pad_target=true",
    "training.eval_bleu_args={score_reference:true}": "training.eval_bleu_args.score_reference: the decoder would see",
    "model.arch=cmlm_transformer": "training.criterion=nat_loss and +training.task=translation_lev need each other",
    "+model.share_all_embeddings=true +model.encoder_embed_dim=8 +model.decoder_embed_dim=4": "must be equal",
    "training.start_from=no/such.pt": "training.start_from=no/such.pt: no such file; correct the path",
    "+training.finetune_from_model=a.pt": "bleuprint sets this flag itself; set training.start_from instead",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_what_cannot_end_well_is_refused_with_the_way_out(overrides: str) -> None:
    with pytest.raises(DataError) as refused:
        plan(experiments({"recipe": "assignment", "overrides": overrides}))
    assert REFUSED[overrides] in str(refused.value)


def test_shared_embeddings_need_a_joined_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairseq_flags, "parse", lambda experiments: None)
    fairseq_flags.check([one(text="joined", model="transformer_shared")])
    for words in ({"model": "transformer_shared"}, {"overrides": "model.arch=bart_base"}):
        with pytest.raises(ConfigError, match=r"share_all_embeddings: .* one dictionary; set text\.joined_dictionary"):
            fairseq_flags.check([one(**words)])


def keys(*overrides: str) -> dict[str, str]:
    (run,) = plan(experiments({"overrides": list(overrides)})).runs
    return run.keys


def test_what_moves_no_result_is_no_part_of_identity() -> None:
    how = [
        "+training.wandb_project=x",
        "+training.num_workers=3",
        "+decoding.num_workers=2",
        "+decoding.sacrebleu=true",
    ]
    assert keys(*how, "decoding.engine=auto") == keys("decoding.engine=auto")
    experiment = one(overrides=how)
    assert "wandb" not in fairseq_flags.train(experiment)
    assert "--wandb-project x" in fairseq_flags.train_how(experiment, experiment.runtime, "folder")
    assert keys("+training.max_sentences=32") == keys("+training.batch_size=32")
    assert keys("+decoding.post_process=true") == keys()


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    for name, content in {"a": b"1", "b": b"1", "c": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    for key in ("training.start_from", "+model.encoder_embed_path"):
        folders = [keys(f"{key}={tmp_path}/{name}")["training"] for name in "abc"]
        assert folders[0] == folders[1] != folders[2]
    experiment = one(overrides=f"+model.encoder_embed_path={tmp_path}/a")
    assert "embed-path" not in fairseq_flags.train(experiment)
    assert f"--encoder-embed-path {tmp_path}/a" in fairseq_flags.train_how(experiment, experiment.runtime, "folder")


def test_what_is_drawn_at_random_is_decoded_in_the_same_batches_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bleuprint.machine.device.gpus", lambda: ())
    experiment = one(overrides="+decoding.sampling=true")
    assert "--max-tokens" not in fairseq_flags.generate_how(experiment, experiment.runtime)


def binarise(folder: str, parts: dict[str, list[tuple[int, int]]]) -> None:
    """Write what fairseq-preprocess makes of lines with so many subwords, the end of the sentence among them."""
    import torch
    from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

    for part, lines in parts.items():
        for side, language in enumerate(("de", "en")):
            path = f"{folder}/{part}.de-en.{language}"
            builder = MMapIndexedDatasetBuilder(f"{path}.bin")
            for pair in lines:
                builder.add_item(torch.ones(pair[side]))
            builder.finalize(f"{path}.idx")


def test_lines_that_are_too_long_end_before_the_training(
    fairseq: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("bin", "bpe"):
        (tmp_path / folder).mkdir()
    lines = {
        "train": [(9, 9), (2000, 3), (5, 90)],
        "valid": [(7, 80), (101, 5)],
        "test": [(1025, 6), (1200, 5), (3, 3)],
    }
    fairseq(binarise, str(tmp_path / "bin"), lines)

    def problem(*overrides: str, parts: tuple[str, ...] = ("train", "valid", "test")) -> str | None:
        wanted = [part for part in limits(one(overrides=[*overrides])) if part.part in parts]
        assert from_text(as_text(wanted)) == wanted
        return too_long(tmp_path / "bin", wanted)

    assert problem("training.max_tokens=89", parts=("train",)) == (
        f"{tmp_path}/bpe/train.en, line 3: it has 90 subwords with the end of the sentence, and training.max_tokens "
        'allows 89; shorten it in the corpus, or set overrides="training.max_tokens=90"'
    )
    assert problem("training.max_tokens=90", parts=("train",)) is None  # a line that the model cannot read is left out
    assert "max_tokens=101" in (problem("training.max_tokens=89", parts=("train", "valid")) or "")  # enough for both
    found = problem("training.max_tokens=100", parts=("valid",))
    assert found and "bpe/valid.de, line 2: it has 101 subwords" in found and '"training.max_tokens=101"' in found
    assert problem("training.max_tokens=99", "+training.max_tokens_valid=101", parts=("valid",)) is None
    assert problem("training.max_tokens=101", parts=("train", "valid")) is None
    found = problem()
    assert found and "bpe/test.de, line 2: it has 1,200 subwords" in found
    ways = ["+model.max_source_positions=1200", "+decoding.max_source_positions=1200"]
    assert " ".join(ways) in found and problem(*ways) is None
    assert problem("decoding.engine=ctranslate2") and problem("+decoding.truncate_source=true") is None
    with pytest.raises(ConfigError, match=r"test\.de, line 2"):
        check_lengths([(str(tmp_path), one())])
    check_lengths([(str(tmp_path / "not there"), one())])
    words = ["--save-dir", f"{tmp_path}/new", "--choose", "best", "--data", f"{tmp_path}/bin"]
    monkeypatch.setattr(sys, "argv", ["", *words, "--limits", as_text(limits(one()))])
    with pytest.raises(SystemExit, match=r"^bleuprint: .*test\.de, line 2"):
        resume.main()
    assert not (tmp_path / "new").exists()
