"""The stages, each declared once: what decides its result, what it is made from, its jobs, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from bleuprint.config.languages import rules
from bleuprint.config.segmenters import SEGMENTERS

if TYPE_CHECKING:  # each job's start reads this table, and none needs pydantic for it
    from bleuprint.config.compose import Choice
    from bleuprint.config.schema import Experiment

Groups = Mapping[str, str]  # the file of each config group: `model` → `transformer`


@dataclass(frozen=True)
class Others:
    """Stages of other experiments that a stage is made from as well."""

    stage: str
    of: Callable[[Choice], Mapping[str, Choice]]  # a word for each choice; none: nothing is added


@dataclass(frozen=True)
class Declared:
    """What the rest of bleuprint must know of a stage."""

    label: Callable[[Experiment, Groups], str]  # for people, in the folder's name
    slice: Callable[[Experiment], dict[str, Any]]  # what can change its result; `plan` adds the parents' hashes
    parents: tuple[str, ...]  # the stages of the same experiment whose folders it is made from
    jobs: tuple[str, ...]  # in their order; each writes JOB.log, and JOB.benchmark.tsv beside it
    files: tuple[str, ...]  # patterns of what is sealed: what it takes from outside, makes, and its keys
    recompute: tuple[str, ...]  # what to delete in the folder so that the next call computes it again; "": all
    others: Mapping[str, Others] = field(default_factory=dict)  # by their key in the slice
    optional: tuple[str, ...] = ()  # jobs that not every run has
    format: int = 1  # raised when the same keys give another result than before: all its folders get new names


def _model_label(experiment: Experiment, groups: Groups) -> str:
    return f"{groups['model']}-seed{experiment.seed}"


def _text(experiment: Experiment) -> dict[str, Any]:
    # `decontaminate` only where it is true: texts made before there was this key keep their names
    removed: dict[str, Any] = {"decontaminate": True} if experiment.corpus.decontaminate else {}
    if removed and (test_sets := experiment.held_out()):
        removed |= {"test_sets": test_sets}
    source, target, sides = experiment.source, experiment.target, experiment.text.tokenizers
    changed = rules(source, target, (sides.source, sides.target), experiment.text.lowercase)
    given = experiment.vocabulary
    vocabulary = {"vocabulary": given.identity()} if given else {}
    share = {"share": list(experiment.corpus.share)} if experiment.corpus.share else {}
    translated = {"translated": experiment.corpus.translated.identity()} if experiment.corpus.translated else {}
    further = removed | changed | vocabulary | share | translated
    return experiment.text.identity() | {"source": source, "target": target} | further


def _training(experiment: Experiment) -> dict[str, Any]:
    return {
        "model": experiment.model.identity(),
        "training": experiment.training.identity(),
        "seed": experiment.seed,
    }


def _decoding(experiment: Experiment) -> dict[str, Any]:
    """Return the keys that can change a translation, once `plan` has chosen the engine where the config says `auto`."""
    decoding, keys = experiment.decoding, experiment.decoding.identity()
    # Those of fairseq without an engine, as before engines existed
    by = {} if decoding.engine == "fairseq" else {"engine": decoding.engine, "compute_type": decoding.compute_type}
    return keys | by


SEGMENTING = ("learn_bpe", "learn_sentencepiece", "apply_bpe", "apply_sentencepiece")  # the jobs of all segmenters


def on_text_of_start(choice: Choice) -> bool:
    """Tell whether a choice is trained on the very text of the model that it starts from."""
    own, start = choice.experiment, choice.parents["start"].experiment
    slices = [[STAGES[stage].slice(one) for stage in ("corpus", "text")] for one in (own, start)]
    return slices[0] == slices[1] and own.corpus.translated == start.corpus.translated


def _segmented(choice: Choice) -> dict[str, Choice]:
    """Return the choice whose segmenter and dictionaries the text takes: that of the model that is trained further."""
    start = choice.parents.get("start")
    if start is None or choice.experiment.vocabulary is not None:
        return {}
    return _segmented(start) if on_text_of_start(choice) else {"of": start}


def _translated(choice: Choice) -> dict[str, Choice]:
    """Return the choice whose model makes a part of the training pairs, on the text that it translates."""
    return {"by": choice.parents["translator"]} if "translator" in choice.parents else {}


def _genuine(choice: Choice) -> dict[str, Choice]:
    """Return the choice whose corpus holds the text that is translated."""
    return {"of": choice.parents["genuine"]} if "genuine" in choice.parents else {}


def _start(choice: Choice) -> dict[str, Choice]:
    return {"model": choice.parents["start"]} if "start" in choice.parents else {}


def _test_set(choice: Choice) -> dict[str, Choice]:
    return {"set": choice} if choice.experiment.test else {}


def _tuned(choice: Choice) -> dict[str, Choice]:
    """Return the choice that tries the grid on the validation set for all further test sets, too."""
    experiment = choice.experiment
    return (
        {"own": replace(choice, experiment=experiment.on(None))} if experiment.test and experiment.decoding.tune else {}
    )


def member(seed: int) -> str:
    """Return the word by which a choice with parents knows the choice of another seed of its ensemble."""
    return f"seed {seed}"


def _ensemble(choice: Choice) -> dict[str, Choice]:
    experiment = choice.experiment
    seeds = sorted(experiment.decoding.ensemble)
    others = {seed: replace(choice, experiment=experiment.model_copy(update={"seed": seed})) for seed in seeds}
    return {str(seed): choice.parents.get(member(seed), other) for seed, other in others.items()}


# In the order in which a run goes through them
STAGES = {
    "corpus": Declared(
        label=lambda experiment, groups: groups["corpus"],
        slice=lambda experiment: experiment.corpus.identity(),
        parents=(),
        jobs=("corpus",),
        files=("config.yaml", "downloads/*", "raw/*"),
        recompute=("raw", "seal.json"),  # what was downloaded stays
    ),
    "text": Declared(
        label=lambda experiment, groups: f"{groups['corpus']}-{experiment.source}-{experiment.target}",
        slice=_text,
        parents=("corpus",),
        others={"segmenter": Others("text", _segmented), "translator": Others("decoding", _translated)},
        jobs=("tokenise", "check_text", *SEGMENTING, "binarise"),
        optional=SEGMENTING,
        files=(
            "config.yaml",
            "tokenized/*",
            "cleaning.json",
            *(file for name in SEGMENTERS.values() for file in (name.model, f"{name.folder}/*")),
            "bin/*",
            "bin[0-9]*/*",
            "fingerprint.json",
            "checks.json",
        ),
        recompute=("",),
    ),
    "training": Declared(
        label=_model_label,
        slice=_training,
        parents=("text",),
        others={"start": Others("training", _start)},
        jobs=("train",),
        files=("config.yaml", "checkpoint.pt", "metrics.jsonl", "plugin/**/*"),
        recompute=("seal.json",),  # the model is taken from checkpoints/, as long as they are there
    ),
    "decoding": Declared(
        label=_model_label,
        slice=_decoding,
        parents=("training",),
        others={
            "ensemble": Others("training", _ensemble),
            "test": Others("testset", _test_set),
            "tuned": Others("decoding", _tuned),
        },
        jobs=("convert", "tune", "translate"),
        files=("config.yaml", "tuned.*", "generate-test.txt", "hypotheses.tok", "hypotheses.txt"),
        recompute=("",),
        optional=("convert", "tune"),
    ),
    "scoring": Declared(
        label=_model_label,
        slice=lambda experiment: experiment.scoring.identity(),
        parents=("decoding",),
        jobs=("score",),
        files=("config.yaml", "scores.json", "sentences.json"),
        recompute=("",),
    ),
}
# A stage of each further test set that `corpus.tests` names; a run may have several of them, and of what follows
FURTHER = {
    "testset": Declared(
        label=lambda experiment, groups: f"{experiment.test}-{experiment.source}-{experiment.target}",
        slice=lambda experiment: experiment.test_identity(),
        parents=("text",),
        others={"genuine": Others("corpus", _genuine)},
        jobs=("fetch_test", "prepare_test"),
        files=("config.yaml", "raw/*", "tokenized/*", "segmented/*", "bin/*", "checks.json"),
        recompute=("",),
    ),
}
ALL = STAGES | FURTHER


@cache
def ancestors(stage: str) -> frozenset[str]:
    """Return all stages of the same experiment that `stage` is made from, directly or not."""
    return frozenset(name for parent in ALL[stage].parents for name in {parent, *ancestors(parent)})
