"""Trainings that start from another model: their place in the plan, what they take over, and what is refused."""

import json
import shutil
import signal
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drill
import pytest
import torch
import yaml
from conftest import ROOT
from made_up import make_run
from test_early_stopping import Session
from test_early_stopping import train as run_sessions

from bleuprint.commands import watch
from bleuprint.commands.alone import CURRENT, remember
from bleuprint.commands.needed import needed
from bleuprint.commands.pack import pack
from bleuprint.commands.replay import again, gather, offline, today
from bleuprint.commands.runs import runs
from bleuprint.commands.verify import problems
from bleuprint.config import compose, groups, vocabulary
from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.segmenters import SEGMENTERS, of_text
from bleuprint.files import DataError, write_json
from bleuprint.plan.costs import target_tokens
from bleuprint.plan.explain import explain
from bleuprint.plan.graph import Plan, Run
from bleuprint.plan.how import binarise, learn, train
from bleuprint.plan.keys import plan
from bleuprint.plan.portable import portable
from bleuprint.record.provenance import find, read
from bleuprint.record.seal import seal
from bleuprint.report.facts import costs
from bleuprint.report.gather import read_run
from bleuprint.report.write import write
from bleuprint.training.checkpoints import load
from bleuprint.training.resume import main as prepare_training
from bleuprint.training.start import check_vocabulary, prepare_continuing

DEMO = "training.start_from=[recipe=demo]"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    vocabulary._beside.cache_clear()
    for name in ("mine.de", "mine.en"):
        Path(name).write_text("".join(f"{n}\n" for n in range(9)))
    yield


def planned(overrides: str | list[str], **cli: Any) -> Plan:
    return plan(experiments({"recipe": "demo", "overrides": overrides, **cli}))


def run_of(overrides: str | list[str], **cli: Any) -> Run:
    (run,) = planned(overrides, **cli).runs
    return run


def recorded(run: Run) -> str:
    """Write the part of a run's record that the plan reads; its name."""
    training = {"folder": run.folder("training"), "slice": {"model": {}}}
    record = {"format": 1, "run": run.name, "asked": json.loads(run.asked), "stages": {"training": training}}
    write_json(Path("results/runs", run.name, "provenance.json"), record)
    return run.name


def refused(overrides: str | list[str], **cli: Any) -> str:
    with pytest.raises(DataError) as error:
        planned(overrides, **cli)
    return str(error.value)


# Who is meant


def test_a_runs_name_and_the_same_overrides_are_the_same_folders() -> None:
    parent = run_of("seed=7")
    by_words, by_name = (
        run_of("training.start_from=[recipe=demo,seed=7]"),
        run_of(f"training.start_from={recorded(parent)}"),
    )
    assert by_words.keys == by_name.keys
    assert by_words.ancestors == by_name.ancestors == [("training", parent.keys["training"])]
    assert by_name.keys["text"] == parent.keys["text"]
    # Its decoding is another matter; its training is not
    assert run_of("training.start_from=[recipe=demo,seed=7,decoding.beam=2,text.merges=500]").keys == by_words.keys
    others = [run_of(f"training.start_from=[recipe=demo,seed={seed}]").keys["training"] for seed in (7, 8)]
    assert len({*others, run_of("").keys["training"]}) == 3 and others[0] == by_words.keys["training"]
    part = run_of("training.start_from=seed7")
    assert part.keys == by_words.keys
    # Its record needs no runs beside it
    assert json.loads(part.asked)["words"][-1] == "training.start_from=['recipe=demo','seed=7']"
    assert run_of(json.loads(part.asked)["words"]).name == part.name


def test_the_list_may_be_written_with_quotes_or_without() -> None:
    ways = ("[recipe=demo,seed=${seed}]", '[recipe=demo,"seed=${seed}"]', "['recipe=demo','seed=${seed}']")
    runs = {run_of([f"training.start_from={way}"]).name for way in ways}
    assert len(runs) == 1


def test_parents_of_parents_are_one_plan() -> None:
    words = "recipe=demo,training.start_from=['recipe=demo','seed=3'],seed=2"
    made = planned([f"training.start_from=[{words}]"])
    (run,) = made.runs
    start = made.stages["training"][run.keys["training"]].others["start"][0]
    assert made.stages["training"][start].experiment.seed == 2
    assert run.ancestors[-1] == ("training", start) and len(run.ancestors) == 2
    (parent,) = run.family
    assert parent["role"] == parent["family"][0]["role"] == "starts from"
    assert parent["family"][0]["words"] == "recipe=demo seed=3"
    again = plan(experiments({"overrides": portable(run.choice, Path.cwd())}))
    assert again.runs[0].name == run.name


def test_what_is_no_single_run_is_refused() -> None:
    sentences = {
        "training.start_from=[recipe=demo,seed=range(1,3)]": "asks for 2 runs; name one",
        "training.start_from=[recipe=dem]": "training.start_from: recipe=dem: no such recipe",
        "training.start_from=nothing": "training.start_from=nothing: nothing names no run; there is no results/runs",
        "training.start_from=3": "name a run, a checkpoint file, or a list of overrides as [recipe=demo,seed=1]",
        "training.start_from=[]": "name a run, a checkpoint file, or a list of overrides as [recipe=demo,seed=1]",
        "training.start_from=no.pt": "training.start_from=no.pt: no such file; correct the path",
        "training.reset=false": "has no effect without training.start_from",
    }
    for overrides, sentence in sentences.items():
        assert sentence in refused(overrides)
    names = [recorded(run_of(f"seed={seed}")) for seed in (1, 2)]
    assert f"tiny names 2 runs; results/runs has: {', '.join(names)}" in refused("training.start_from=tiny")
    assert f"is a folder; name the run, training.start_from={names[0]}" in refused(
        f"training.start_from=results/runs/{names[0]}"
    )


# Which text


def test_text_that_is_the_parents_is_shared_and_any_other_takes_its_subwords() -> None:
    for text in ("text=small", "text=own text.sentencepiece.vocab_size=200", "text=joined"):
        words = text.replace(" ", ",")
        shared = run_of(f"{text} training.start_from=[recipe=demo,{words}]")
        assert shared.ancestors == [("training", dict(shared.ancestors)["training"])]  # and no text but its own
        made = planned(f"training.start_from=[recipe=demo,{words}]", corpus="local", **{"corpus.train": "mine"})
        (run,) = made.runs
        parents_text = dict(run.ancestors)["text"]
        assert made.stages["text"][run.keys["text"]].others == {"segmenter": (parents_text,)}
        own, parents = (made.stages["text"][key].experiment.text for key in (run.keys["text"], parents_text))
        for key in vocabulary.INHERITED:
            assert getattr(own, key) == getattr(parents, key), key
        model = "sentencepiece.model" if "own" in text else "codes"
        assert learn(made, run.keys["text"])["given"] == f"--given results/text/{parents_text}/{model}"
        dictionaries = binarise(made, run.keys["text"])["dictionaries"]
        folder = f"results/text/{parents_text}/bin"
        one = "" if parents.joined_dictionary else f" --tgtdict {folder}/dict.en.txt"
        assert dictionaries == f"--srcdict {folder}/dict.de.txt{one}"


def test_cleaning_and_drawn_segmentations_are_each_trainings_own() -> None:
    run = run_of(f"text.max_ratio=9 text.segmentations=2 text.bpe_dropout=0.1 {DEMO}")
    text = run.choice.experiment.text
    assert (text.max_ratio, text.segmentations, text.bpe_dropout) == (9, 2, 0.1)
    assert [stage for stage, _ in run.ancestors] == ["text", "training"]
    pieces = "text=own,text.sentencepiece.vocab_size=200,text.segmentations=2,text.sentencepiece.alpha=0.3"
    once = run_of(f"training.start_from=[recipe=demo,{pieces}]").choice.experiment.text
    assert once.sentencepiece and (once.sentencepiece.vocab_size, once.sentencepiece.alpha) == (200, None)
    drawn = f"{pieces.replace('0.3', '0.2').replace(',', ' ')} training.start_from=[recipe=demo,{pieces}]"
    assert run_of(drawn).choice.experiment.text.sentencepiece.alpha == 0.2  # type: ignore[union-attr]


def test_an_override_that_contradicts_the_parents_text_is_refused() -> None:
    said = refused(f"text.merges=50 {DEMO}")
    assert said == "text.merges=50: recipe=demo, which the training starts from, has 500; leave it out"
    assert run_of(f"text.merges=500 {DEMO}").keys["text"] == run_of("").keys["text"]
    assert "leave it out" in refused(f"text=own {DEMO}")
    pieces = "text=own text.sentencepiece.alpha=0.2 text.segmentations=2 text.sentencepiece.vocab_size=300"
    said = refused(f"{pieces} training.start_from=[recipe=demo,text=own,text.sentencepiece.vocab_size=200]")
    assert "which the training starts from, has" in said


def test_other_languages_and_shapes_are_refused() -> None:
    sentences = {
        "training.start_from=[recipe=demo,source=en,target=de]": "translates en to de, and their dictionaries differ",
        f"model=lightconv_tiny {DEMO}": "model.arch=lightconv_iwslt_de_en: recipe=demo",
        f"model.encoder_layers=3 {DEMO}": "model.encoder_layers=3: recipe=demo, which the training starts from, has 2",
    }
    for overrides, sentence in sentences.items():
        assert sentence in refused(overrides)
    turned = run_of("training.start_from=[recipe=demo,source=en,target=de,text=joined]")  # one dictionary for both
    assert turned.choice.experiment.text.joined_dictionary
    assert run_of(f"model.dropout=0.2 {DEMO}").family  # changes no shape


# What is reset


def test_a_training_that_continues_needs_the_same_text_state_and_a_later_end() -> None:
    more = "training.reset=false training.max_epoch=20"
    made = planned(f"{more} {DEMO}")
    pieces = train(made, made.runs[0].keys["training"])
    start = dict(made.runs[0].ancestors)["training"]
    assert f"--start results/training/{start}/checkpoint.pt --continued --max-epoch 20" in pieces["resume"]
    assert "--finetune-from-model" not in pieces["fairseq"]
    made = planned(DEMO)
    pieces = train(made, made.runs[0].keys["training"])
    assert "--continued" not in pieces["resume"]
    assert f"--finetune-from-model results/training/{start}/checkpoint.pt" in pieces["fairseq"]
    sentences = {
        f"training.reset=false {DEMO}": "training.max_epoch=8: recipe=demo, which the training continues, may end at 8",
        f"{more} corpus.pairs=500 {DEMO}": "the counts of epochs and updates are those of recipe=demo's text",
        f"{more} training.optimizer=nag {DEMO}": "training.optimizer=nag: recipe=demo was trained with adam",
        f"{more} training.checkpoint=last {DEMO}": "training.checkpoint=last: recipe=demo was trained with best",
        f"{more} training.checkpoint=average "
        "training.start_from=[recipe=demo,training.checkpoint=average]": "is an average of checkpoints",
    }
    for overrides, sentence in sentences.items():
        assert sentence in refused(overrides)


# Seeds


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """`recipe(name, text)` adds one to a copy of the config folder."""
    copy = shutil.copytree(ROOT / "config", tmp_path / "config")
    caches = (groups.shipped, compose._files)

    def forget() -> None:
        for cached in caches:
            cached.cache_clear()

    def add(name: str, text: str) -> None:
        (copy / f"recipe/{name}.yaml").write_text(f"# @package _global_\ndefaults: [demo]\n{text}")
        forget()

    monkeypatch.setattr(groups, "CONFIG_DIR", copy)
    forget()
    yield add
    monkeypatch.undo()
    forget()


def test_each_seed_of_a_recipe_starts_from_the_model_of_its_seed(recipe: Callable[[str, str], None]) -> None:
    recipe("tuned", 'training:\n  start_from: [recipe=demo, "seed=${seed}"]\n  lr: 0.001\n')
    made = plan(experiments({"recipe": "tuned", "seed": "1,2"}))
    parents = {seed: run_of("", seed=seed).keys["training"] for seed in (1, 2)}
    assert [dict(run.ancestors)["training"] for run in made.runs] == list(parents.values())
    assert len({run.group for run in made.runs}) == 1 and len(made.stages["text"]) == 1
    # The models of an ensemble are those of runs of their seeds
    ensemble = plan(experiments({"recipe": "tuned", "overrides": "decoding.ensemble=[2]"}))
    (run,) = ensemble.runs
    assert [run.keys["training"], *run.ensemble] == [one.keys["training"] for one in made.runs]
    assert {key for stage, key in run.ancestors if stage == "training"} == set(parents.values())
    assert [member["role"] for member in run.family] == ["starts from", "seed 2 starts from"]
    again = plan(experiments({"overrides": portable(run.choice, Path.cwd())}))
    assert again.runs[0].name == run.name
    # A parent that does not go by the seed stays the same
    recipe("fixed", "training:\n  start_from: [recipe=demo]\n")
    (run,) = plan(experiments({"recipe": "fixed", "overrides": "decoding.ensemble=[2]"})).runs
    assert len(run.ancestors) == 1 and len(run.family) == 1


def test_parents_on_local_text_go_by_their_seed_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = "recipe=demo,corpus=local,corpus.train=mine,seed=${seed}"
    overrides = ["corpus=local", "corpus.train=mine", f"training.start_from=[{parent}]", "decoding.ensemble=[2]"]
    run = run_of(overrides)
    words = portable(run.choice, tmp_path)
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    assert plan(experiments({"overrides": words})).runs[0].name == run.name


def test_the_report_takes_runs_that_build_on_other_models_for_other_systems() -> None:
    """Runs of one group are averaged over their seeds, so that they may differ in nothing else."""

    def group(*overrides: str, **cli: Any) -> str:
        (one,) = {run.group for run in plan(experiments({"recipe": "demo", "overrides": list(overrides), **cli})).runs}
        return one

    back = ["corpus.translated.side=target", "corpus.translated.by=[recipe=demo,source=en,target=de]"]
    groups = [
        group(),
        group("training.start_from=[recipe=demo,seed=8]"),
        group("training.start_from=[recipe=demo,seed=9]"),
        group("training.start_from=[recipe=demo,corpus.pairs=100]"),
        group("training.start_from=[recipe=demo,training.start_from=[recipe=demo,seed=9]]"),
        group(*back),
        group(*back, "corpus.translated.share=[0,0.5]"),
        group(back[0], back[1].replace("de]", "de,decoding.beam=2]")),
        group(back[0], back[1].replace("de]", "de,training.lr=1]")),
    ]
    assert len(set(groups)) == len(groups)
    # All seeds are one group, whether their parents have the same seed or each one its own
    for parent in ("[recipe=demo,seed=9]", "[recipe=demo,seed=2]", "[recipe=demo,seed=${seed}]"):
        assert group(f"training.start_from={parent}", seed="1,2,3")
    assert group("training.start_from=[recipe=demo,seed=${seed}]", seed="2") != group(
        "training.start_from=[recipe=demo,seed=2]", seed="2"
    )
    # What comes after the parent's training makes no difference
    assert group("training.start_from=[recipe=demo,seed=9,decoding.beam=2]") == groups[2]


def test_an_ensemble_of_texts_is_refused() -> None:
    by = "[recipe=demo,source=en,target=de,seed=${seed}]"
    overrides = [f"corpus.translated.by={by}", "corpus.translated.side=target", "decoding.ensemble=[2]"]
    assert "decoding.ensemble=[2]: each seed has a text of its own" in refused(overrides)


def test_a_recipe_that_starts_from_itself_is_refused(recipe: Callable[[str, str], None]) -> None:
    recipe("circle", "training:\n  start_from: [recipe=circle]\ndecoding:\n  ensemble: [2, 3]\n")
    with pytest.raises(ConfigError, match=r"training\.start_from=.*recipe=circle.*: builds on itself; name another"):
        plan(experiments({"recipe": "circle"}))


# Files


def unpacked(folder: Path, text: dict[str, Any], words: int = 2, **config: Any) -> Path:
    """Write what lies beside a model in an archive of `bleuprint pack --checkpoint`; the checkpoint's path."""
    folder.mkdir(parents=True)
    save(folder / "checkpoint.pt", words + 4)
    for language in ("de", "en"):
        (folder / f"dict.{language}.txt").write_text("".join(f"w{n} 1\n" for n in range(words)))
    (folder / "codes").write_text("#version: 0.2\n")
    (folder / "config.yaml").write_text(yaml.safe_dump({"source": "de", "target": "en", "text": text} | config))
    return folder / "checkpoint.pt"


def save(path: Path, rows: int, **state: Any) -> None:
    vectors = {f"{side}.embed_tokens.weight": torch.zeros(rows, 2) for side in ("encoder", "decoder")}
    torch.save({"model": vectors} | state, path)


SMALL = {"tokenizer": "moses", "lowercase": True, "merges": 3, "joined_dictionary": False}


def test_a_checkpoint_file_counts_by_its_content_and_brings_its_vocabulary() -> None:
    unpacked(Path("one"), SMALL)
    shutil.copytree("one", "other")
    made = planned("training.start_from=one/checkpoint.pt")
    (run,) = made.runs
    assert run.keys == run_of("training.start_from=other/checkpoint.pt").keys
    assert run.family == [{"role": "starts from", "file": "one/checkpoint.pt"}] and not run.ancestors
    assert run.choice.experiment.text.merges == 3
    one = Path("one").resolve()
    assert learn(made, run.keys["text"])["given"] == f"--given {one}/codes"
    dictionaries = binarise(made, run.keys["text"])["dictionaries"]
    assert dictionaries == f"--srcdict {one}/dict.de.txt --tgtdict {one}/dict.en.txt"
    assert "text.merges=4: one/checkpoint.pt" in refused("text.merges=4 training.start_from=one/checkpoint.pt")
    shutil.copytree("one", "larger")  # files are read once in a process
    save(Path("larger/checkpoint.pt"), 7)
    assert run.keys["training"] != run_of("training.start_from=larger/checkpoint.pt").keys["training"]
    shutil.copytree("one", "odd")
    Path("odd/dict.de.txt").write_text("x 1\n")
    assert run.keys["text"] != run_of("training.start_from=odd/checkpoint.pt").keys["text"]


def test_what_starts_from_a_model_of_a_file_has_its_vocabulary_too() -> None:
    unpacked(Path("one"), SMALL)
    parent = "recipe=demo,training.start_from=one/checkpoint.pt"
    made = planned(f"training.reset=false training.max_epoch=20 training.start_from=[{parent}]")
    (run,) = made.runs
    assert [stage for stage, _ in run.ancestors] == ["training"]  # on the very same text
    codes = Path("one").resolve() / "codes"
    assert learn(made, run.keys["text"])["given"] == f"--given {codes}"
    other = planned(f"corpus.pairs=300 training.start_from=[{parent}]")
    assert learn(other, other.runs[0].keys["text"])["given"] == f"--given {codes}"


def test_keys_that_an_archive_leaves_out_have_their_defaults() -> None:
    unpacked(Path("one"), SMALL)
    overrides = "corpus.train=mine training.start_from=one/checkpoint.pt"
    text = run_of(overrides, corpus="local", source="de", target="en").choice.experiment.text
    assert (text.segmenter, text.unicode_normalization, text.tokenizer) == ("subword_nmt", None, "moses")


def test_a_model_of_results_has_the_vocabulary_of_its_text() -> None:
    parent = run_of("seed=7")
    for stage in ("text", "training"):
        folder = Path(parent.folder(stage))
        folder.mkdir(parents=True)
        slice_ = planned("seed=7").stages[stage][parent.keys[stage]].slice
        (folder / "config.yaml").write_text(yaml.safe_dump(slice_))
    text = Path(parent.folder("text"))
    (text / "codes").touch()
    (text / "bin").mkdir()
    for language in ("de", "en"):
        (text / f"bin/dict.{language}.txt").touch()
    save(Path(parent.folder("training"), "checkpoint.pt"), 6)
    named = Path("results/runs", recorded(parent), "checkpoint.pt")
    named.symlink_to(Path(parent.folder("training"), "checkpoint.pt").resolve())
    for path in (Path(parent.folder("training"), "checkpoint.pt"), named):
        made = planned(f"training.start_from={path}")
        given = learn(made, made.runs[0].keys["text"])["given"].split()[-1]
        assert Path(given).samefile(text / "codes")


@pytest.mark.parametrize("text", ["text=small", "text=own text.sentencepiece.vocab_size=200"])
def test_a_text_with_anothers_subwords_still_says_which_segmenter_it_has(text: str) -> None:
    """In its keys `segmenter` is that other text."""
    parent = f"[recipe=demo,{text.replace(' ', ',')}]"
    made = planned(f"corpus.pairs=300 training.start_from={parent}")
    (run,) = made.runs
    for stage in ("text", "training"):
        folder = Path(run.folder(stage))
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(made.stages[stage][run.keys[stage]].slice))
    slice_ = made.stages["text"][run.keys["text"]].slice
    name = run.choice.experiment.text.segmenter
    assert slice_["segmenter"].keys() == {"of"} and of_text(slice_) == name
    (Path(run.folder("text")) / SEGMENTERS[name].model).touch()
    (Path(run.folder("text")) / "bin").mkdir()
    for language in ("de", "en"):
        (Path(run.folder("text")) / f"bin/dict.{language}.txt").touch()
    checkpoint = Path(run.folder("training"), "checkpoint.pt")
    save(checkpoint, 6)
    again = run_of(f"training.start_from={checkpoint}").choice.experiment.text
    assert [getattr(again, key) for key in vocabulary.INHERITED] == [
        getattr(run.choice.experiment.text, key) for key in vocabulary.INHERITED
    ]


def test_a_file_with_no_vocabulary_a_part_of_one_or_of_other_languages() -> None:
    save(Path("bare.pt"), 6)
    bare = run_of("training.start_from=bare.pt")
    assert bare.keys["text"] == run_of("").keys["text"]
    path = unpacked(Path("one"), SMALL)
    (path.parent / "codes").unlink()
    assert "has dictionaries, but no codes or sentencepiece.model and config.yaml" in refused(
        f"training.start_from={path}"
    )
    turned = unpacked(Path("turned"), SMALL, source="en", target="de")
    assert "translates en to de, and their dictionaries differ" in refused(f"training.start_from={turned}")
    joined = unpacked(Path("joined"), SMALL | {"joined_dictionary": True}, source="en", target="de")
    assert run_of(f"training.start_from={joined}").family
    for language in ("de", "en"):
        (turned.parent / f"dict.{language}.txt").rename(turned.parent / f"dict.{language}x.txt")
    config = turned.parent / "config.yaml"
    config.write_text(config.read_text().replace("source: en", "source: enx").replace("target: de", "target: dex"))
    vocabulary._beside.cache_clear()
    assert "translates enx to dex, and their dictionaries differ" in refused(f"training.start_from={turned}")


def test_a_file_that_does_not_fit_ends_the_job_in_a_sentence() -> None:
    data = Path("bin")
    data.mkdir()
    (data / "train.de-en.de.idx").touch()
    for language in ("de", "en"):
        (data / f"dict.{language}.txt").write_text("a 1\nb 1\n")
    save(Path("fits.pt"), 6)
    check_vocabulary(Path("fits.pt"), data)
    save(Path("larger.pt"), 7)
    with pytest.raises(DataError, match=r"larger\.pt: the model knows 7 subwords of its encoder, and .* has 6; put"):
        check_vocabulary(Path("larger.pt"), data)
    whole = Path("fits.pt").read_bytes()
    place = whole.index(bytes(48))  # in a tensor
    flipped = whole[:place] + b"x" + whole[place + 1 :]
    for damaged in (b"", b"text", whole[: len(whole) // 2], flipped):
        Path("damaged.pt").write_bytes(damaged)
        with pytest.raises(DataError, match=r"damaged\.pt: is no checkpoint of fairseq, or damaged; name another"):
            check_vocabulary(Path("damaged.pt"), data)
    torch.save({"model": {}}, "old.pt", _use_new_zipfile_serialization=False)  # as published models of 2019
    check_vocabulary(Path("old.pt"), data)
    torch.save({"state_dict": {}}, "other.pt")
    with pytest.raises(DataError, match=r"other\.pt: is no checkpoint of fairseq"):
        check_vocabulary(Path("other.pt"), data)


def test_only_a_checkpoint_with_its_optimizer_is_continued_and_only_at_the_beginning() -> None:
    save_dir = Path("checkpoints")
    save_dir.mkdir()
    save(Path("bare.pt"), 6)
    with pytest.raises(DataError, match=r"bare\.pt: has no state of its optimizer, .*; leave training\.reset out"):
        prepare_continuing(Path("bare.pt"), save_dir, "last", {})
    extra = {"best": 2.0, "val_loss": 3.0, "train_iterator": {"epoch": 9}}
    counts = {"optimizer_history": [{"num_updates": 70}]}
    save(Path("full.pt"), 6, last_optimizer_state={"state": 1}, extra_state=extra, **counts)
    for end in ({"max_epoch": 8, "max_update": 90}, {"max_epoch": None, "max_update": 70}):
        with pytest.raises(
            DataError, match=r"full\.pt: has reached training\.max_(epoch=8|update=70) already; set it h"
        ):
            prepare_continuing(Path("full.pt"), save_dir, "last", end)
    with pytest.raises(DataError, match=r"is not the best checkpoint of its training; set training\.checkpoint=last"):
        prepare_continuing(Path("full.pt"), save_dir, "best", {})
    prepare_continuing(Path("full.pt"), save_dir, "last", {"max_epoch": 9, "max_update": None})
    assert (save_dir / "checkpoint_last.pt").samefile("full.pt")
    save(save_dir / "own.pt", 6)
    (save_dir / "own.pt").replace(save_dir / "checkpoint_last.pt")  # as fairseq replaces it
    prepare_continuing(Path("full.pt"), save_dir, "last", {"max_epoch": 9, "max_update": None})
    assert not (save_dir / "checkpoint_last.pt").samefile("full.pt")


def test_a_continued_training_without_a_whole_checkpoint_begins_again_where_the_other_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not from random weights, whatever the kill left."""
    save(Path("full.pt"), 6, last_optimizer_state={"state": 1}, extra_state={"best": 2.0, "val_loss": 2.0})
    words = [
        "resume",
        "--save-dir",
        "checkpoints",
        "--choose",
        "last",
        "--start",
        "full.pt",
        "--data",
        ".",
        "--continued",
    ]
    monkeypatch.setattr("sys.argv", words)
    Path("checkpoints").mkdir()
    Path("checkpoints/checkpoint_last.pt").write_bytes(Path("full.pt").read_bytes()[:900])
    prepare_training()
    assert Path("checkpoints/checkpoint_last.pt").samefile("full.pt")
    assert "The training starts from full.pt." in capsys.readouterr().err


# Kills


@pytest.mark.nightly
@pytest.mark.slow
def test_killed_and_resumed_it_ends_in_the_same_bits_and_continued_in_those_of_one_training(tmp_path: Path) -> None:
    kill, last = signal.SIGKILL, "checkpoint_last.pt"
    tuned, longer = {"finetune_from_model": str(tmp_path / "parent" / last), "max_epoch": 2}, {"max_epoch": 4}
    sessions: list[Session] = [
        ("whole", longer, None, False),
        ("parent", {"max_epoch": 2}, ("updating", 5, kill), False),
        ("parent", {"max_epoch": 2}, None, False),
        ("tuned", tuned, None, False),
        ("killed", tuned, ("updating", 5, kill), False),  # before its first checkpoint
        ("killed", tuned, None, False),
    ]
    assert run_sessions(tmp_path, *sessions) == [0, -kill, 0, 0, -kill, 0]
    assert (tmp_path / "killed.log").read_text().count(f"parent/{last} (epoch") == 2
    shutil.rmtree(tmp_path / "bin")  # the next sessions write it again
    (tmp_path / "continued").mkdir()
    prepare_continuing(tmp_path / "parent" / last, tmp_path / "continued", "last", longer)
    begun = load(tmp_path / "parent" / last)["optimizer_history"][-1]["num_updates"]
    sessions = [
        ("continued", longer, ("updating", begun + 3, kill), False),
        ("continued", longer, None, False),
    ]
    assert run_sessions(tmp_path, *sessions) == [-kill, 0]
    for one, other in (("tuned", "killed"), ("whole", "continued")):
        states = [load(tmp_path / name / last) for name in (one, other)]
        assert states[0]["optimizer_history"][-1] == states[1]["optimizer_history"][-1]
        for name, tensor in states[0]["model"].items():
            assert torch.equal(tensor, states[1]["model"][name]), (one, name)


SMALL_DEMO = ("corpus.pairs=1500", "corpus.valid_pairs=20", "corpus.test_pairs=11", "text.merges=200")


def _heir(folder: Path) -> bool:
    """While the training that starts from another makes updates."""
    logs = [path.read_text(errors="replace") for path in folder.glob("results/training/*/train.log")]
    return any("--start" in log and "Start iterating over samples" in log for log in logs)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("further", ["training.reset=false training.max_epoch=3", "training.max_epoch=2"])
def test_a_plan_of_two_trainings_killed_and_resumed_ends_in_the_same_bits(tmp_path: Path, further: str) -> None:
    same = (*SMALL_DEMO, "training.checkpoint=last", "training.max_tokens=500")
    start = ",".join(("recipe=demo", *same, "training.max_epoch=1"))
    words = " ".join((*same, "runtime.threads=1", further, f"training.start_from=[{start}]"))
    kills = [
        drill.Kill(drill.updating, drill.everything, 1.0),  # while the other model trains
        drill.Kill(_heir, drill.everything, 0.2),
        drill.Kill(_heir, drill.everything, 4.0),
        drill.Kill(drill.writing, drill.everything),
        drill.Kill(drill.updating, drill.terminated, 1.0),
    ]
    rows = drill.drill(tmp_path, ["recipe=demo", f"overrides={words}"], kills, seed=3)
    assert sum(hit for _, hit, _ in rows) >= 3, rows


# Records


def test_a_replay_finds_what_several_corpora_have_downloaded(tmp_path: Path) -> None:
    """The folder of links is a mirror of all, and nothing else is taken from the network."""
    parent = "[recipe=demo,corpus=multi30k_de_en]"
    words = ["corpus=iwslt14_de_en", f"training.start_from={parent}", "model=transformer_tiny"]
    stages = {"corpus": {"folder": "results/corpus/a"}, "training": {"environment": {}}}
    record: dict[str, Any] = {"run": "r", "asked": {"words": words}, "stages": stages}
    others = [{"stage": "corpus", "folder": "results/corpus/b"}, {"stage": "text", "folder": "results/text/b"}]
    for name in ("a/downloads/de-en.tgz", "b/downloads/training.tar.gz", "b/downloads/de-en.tgz"):
        path = Path("results/corpus", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert again(record, tmp_path)[-1] == f'runtime.mirror="{tmp_path}/results/corpus/a/downloads"'
    record["ancestors"] = others
    mirrors = offline(record, tmp_path, today(record, tmp_path))
    assert mirrors == [tmp_path / f"results/corpus/{corpus}/downloads" for corpus in "ab"]
    for _ in range(2):  # a replay that was stopped resumes
        gather(mirrors, Path("mirror"))
    assert {path.name: path.read_text() for path in Path("mirror").iterdir()} == {
        "de-en.tgz": "a/downloads/de-en.tgz",
        "training.tar.gz": "b/downloads/training.tar.gz",
    }
    shutil.rmtree("results/corpus/b/downloads")
    record["asked"]["words"] = [*words, "runtime.mirror=mine"]
    assert offline(record, tmp_path, today(record, tmp_path))[1:] == [tmp_path / "mine"]


def family_of_three() -> tuple[dict[str, Any], dict[str, Any]]:
    """Make up a run, and another one that continues its model, which in turn starts from a file; return both."""
    start = make_run(seed=7)
    for folder in start["stages"].values():
        Path(folder, "config.yaml").write_text("seed: 7\n")
    training = start["stages"]["training"]
    file = {"role": "starts from", "file": "models/<b>.pt"}
    words = "recipe=demo seed=7 training.start_from=models/<b>.pt"
    member = {"role": "continues", "folder": training, "words": words, "family": [file]}
    log = "num. shared model params: 1,234\n| Loaded checkpoint a.pt (epoch 2 @ 100 updates)\n"
    heir: dict[str, Any] = {
        "family": [member],
        "ancestors": [training],
        "overrides": ["training.reset=false"],
        "group": "heir",
    }
    run = make_run(seed=1, **heir)
    Path(run["stages"]["training"], "train.log").write_text(log)
    for folder in run["stages"].values():
        Path(folder, "config.yaml").write_text("seed: 1\n")
    make_run(seed=1, **heir)  # gathers it again
    Path(run["stages"]["training"], "train.log").write_text(log)
    return start, run


@pytest.mark.slow
def test_the_report_shows_the_family_tree_and_counts_what_was_trained_here(capsys: pytest.CaptureFixture[str]) -> None:
    start, run = family_of_three()
    scores = [Path("results/runs", one["run"], "scores.json") for one in (run, start)]
    write(Path("results/report"), scores[:1], None, 1, [])
    name = Path(start["stages"]["training"]).name
    line = f"continues {name} (recipe=demo seed=7, which starts from models/<b>.pt)."
    assert line in Path("results/report/scores.txt").read_text()
    page = Path("results/report/index.html").read_text()
    tree = page[page.index('<section id="family">') :]
    tree = tree[: tree.index("</section>")].replace("<wbr>", "")
    assert f"continues <code>{name}</code> <bdi>(recipe=demo seed=7)</bdi>" in tree
    assert "starts from <code>models/&lt;b&gt;.pt</code>" in tree and 'href="#family"' in page
    write(Path("results/report"), scores, None, 1, [])  # with its run beside it
    assert f"continues {name} (transformer, seed 7, which " in Path("results/report/scores.txt").read_text()
    write(Path("results/report"), scores[1:], None, 1, [])
    assert 'id="family"' not in Path("results/report/index.html").read_text()
    # Of 200 updates with 500 tokens each, 100 were the other training's
    found = costs(read_run(scores[0]))
    assert (found["updates"], found["tokens"]) == (200, 50_000)
    assert costs(read_run(scores[1]))["tokens"] == 100_000


def test_ancestors_are_recorded_verified_kept_listed_and_packed(capsys: pytest.CaptureFixture[str]) -> None:
    start, run = family_of_three()
    training = Path(start["stages"]["training"])
    (ancestor,) = read(find(run["run"]))["ancestors"]
    assert (ancestor["stage"], ancestor["folder"]) == ("training", str(training))
    commands = Path("results/runs", run["run"], "commands.sh").read_text()
    assert commands.index(f"# {training}/train.log") < commands.index(f"# {run['stages']['training']}/train.log")
    shutil.rmtree(Path("results/runs", start["run"]))
    assert training in needed()
    folder = Path(run["stages"]["text"])
    (folder / "bin").mkdir()
    for name in ("codes", "bin/dict.de.txt", "bin/dict.en.txt"):
        (folder / name).write_text("x\n")
    seal(folder)
    Path(run["stages"]["training"], "checkpoint.pt").write_text("model")
    seal(Path(run["stages"]["training"]))
    make_run(seed=1, family=run["family"], ancestors=run["ancestors"])
    with tarfile.open(pack(run["run"], None, checkpoint=True)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        readme = archive.extractfile(f"{run['run']}/README.txt")
        assert readme and "dictionaries and its segmenter: codes, dict.de.txt, dict.en.txt" in readme.read().decode()
    assert {"checkpoint.pt", "codes", "dict.de.txt", "dict.en.txt", f"ancestors/training/{training.name}.yaml"} <= names
    metrics = training / "metrics.jsonl"
    metrics.write_text("{}\n")
    assert any(line.startswith(f"changed  {metrics}") for line in problems(find(run["run"]), read(find(run["run"]))))
    shutil.rmtree(training)
    assert runs([], "run", as_json=True) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["missing"] == ["ancestors"]


def test_watch_and_explain_show_ancestors_and_doctor_counts_what_is_left() -> None:
    words = "'training.start_from=[recipe=demo,seed=3,training.max_epoch=4,training.start_from=[recipe=demo]]'"
    made = planned(f"training.reset=false training.max_epoch=6 {words}")
    (run,) = made.runs
    rows = [line.split("  ")[0] for line in explain(made).splitlines()]
    first, second = (key for _, key in reversed(run.ancestors))
    assert rows[3:5] == [f"└ continues {first}", f"└── starts from {second}"]
    remember(made)
    (current,) = json.loads(CURRENT.read_text())["runs"]
    for stage in ("corpus", "text"):
        write_json(Path(run.folder(stage), "seal.json"), {"stage": "", "files": {}, "parents": {}})
    log = Path("results/training", second, "train.log")
    log.parent.mkdir(parents=True)
    lines = (
        '"epoch": 1, "update": 0.5, "wall": "20", "num_updates": "5"',
        '"epoch": 3, "wall": "40", "num_updates": "9"',
    )
    log.write_text("".join(f'| INFO | train_inner | {{{line}, "loss": "4.1"}}\n' for line in lines))
    state = watch.state(current, running=True)
    assert (state.stage, state.state, state.epoch) == ("ancestor's training", "running", "3.0/8")
    assert state.left.startswith("> 00:")
    for key in (second, first):
        write_json(Path("results/training", key, "seal.json"), {"stage": "", "files": {}, "parents": {}})
    assert watch.state(current, running=True).stage == "training"
    tokens = [target_tokens(made.stages["training"][key].experiment) for key in (run.keys["training"], first)]
    own = made.stages["training"][run.keys["training"]].experiment
    assert target_tokens(own, made.continued(run.keys["training"])) == tokens[0] - tokens[1]
    assert made.continued(first) is None
