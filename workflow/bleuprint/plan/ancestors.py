"""Find the experiments that an experiment builds on: the model it starts from, and the model that made its text.

A run's name, or a list of overrides, becomes a choice like any other, and so stages of the same plan: what is missing
is computed, and what is there is reused.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bleuprint.config.compose import Choice, ConfigError, experiments
from bleuprint.config.schema import Experiment, Model, Text, Translated
from bleuprint.config.stages import member, on_text_of_start
from bleuprint.config.vocabulary import INHERITED, beside
from bleuprint.config.words import as_hydra, as_item
from bleuprint.files import DataError
from bleuprint.record import own
from bleuprint.record.plugins import recorded
from bleuprint.record.provenance import base, find, read

DEEPEST = 10  # ancestors in a row; a recipe that starts from itself would have no end
START, BY = "training.start_from", "corpus.translated.by"
DRAWN = ("alpha", "nbest_size")  # keys of `text.sentencepiece` for segmentations at random, each training's own


def with_parents(choice: Choice, depth: int = 0) -> Choice:
    """Return a choice with its parents, and with the text of the model that it starts from.

    Args:
        choice: as it was asked for.
        depth: how many choices build on it.

    Raises:
        ConfigError: a parent is no single run, builds on itself, or does not fit.
        DataError: a file or a run's record is missing or damaged.
    """
    translated, start_from = choice.experiment.corpus.translated, choice.experiment.training.start_from
    if choice.parents or (translated is None and start_from is None):
        return choice
    if depth == DEEPEST:
        key, value = (START, start_from) if translated is None else (BY, translated.by)
        raise ConfigError(f"{key}={as_hydra(value)}: builds on itself; name another run")
    heir = choice
    if start_from is not None:
        heir = _with_start(heir, start_from, depth)
    if translated is not None:
        heir = _with_translator(heir, translated, depth)
    return replace(heir, parents={**heir.parents, **_members(choice, depth)}) if heir.parents else heir


def _members(choice: Choice, depth: int) -> dict[str, Choice]:
    """Return the choices of the other seeds of an ensemble, each with its own parents, which may go by its seed."""
    words = [word for word in choice.overrides if not word.startswith("seed=")]
    members = {}
    for seed in choice.experiment.decoding.ensemble:
        (other,) = experiments({"overrides": [*words, f"seed={seed}", "decoding.ensemble=[]"]}, choice.config_dir)
        members[member(seed)] = with_parents(_running_as(other, choice), depth)
    return members


def _with_start(choice: Choice, start_from: str | list[str], depth: int) -> Choice:
    """Return a choice with the one whose model it starts from, and with that one's text."""
    training = choice.experiment.training
    if (path := training.start_file) is not None:
        if (vocabulary := beside(path) if path.is_file() else None) is None:
            return choice
        heir = _with_text(choice, vocabulary.text, str(path))
        _check_languages(heir.experiment, vocabulary.languages, str(path))
        return heir
    name, words = _asked(START, start_from)
    start = parent(START, words, choice, depth)
    heir = _with_text(choice, start.experiment.text.identity(), name)
    _check_start(heir.experiment, start.experiment, name)
    if (known := start.experiment.vocabulary) is not None:
        heir = replace(heir, experiment=heir.experiment.with_vocabulary(known))
    heir = replace(heir, parents={"start": start})
    if not training.reset and not on_text_of_start(heir):
        raise ConfigError(
            f"training.reset: the counts of epochs and updates are those of {name}'s text, and this is another; "
            "leave training.reset out"
        )
    return heir


def _with_translator(choice: Choice, translated: Translated, depth: int) -> Choice:
    """Return a choice with the one whose model makes a part of its text."""
    name, words = _asked(BY, translated.by)
    translator = parent(BY, words, choice, depth)
    experiment = choice.experiment
    languages = (experiment.source, experiment.target)
    wanted = languages if translated.side == "source" else languages[::-1]
    if (translator.experiment.source, translator.experiment.target) != wanted:
        raise ConfigError(
            f"{BY}: {name} translates {translator.experiment.source} to {translator.experiment.target}, and "
            f"corpus.translated.side={translated.side} needs {wanted[0]} to {wanted[1]}; add source={wanted[0]} and "
            f"target={wanted[1]} to it, or choose the other side"
        )
    start = choice.parents.get("start")
    known = start.experiment.corpus.translated if start else translated
    for key in ("tag", "noise"):
        if getattr(translated, key) and not (known and getattr(known, key)):
            raise ConfigError(
                f"corpus.translated.{key}: the model that the training starts from has no subword for its words; leave "
                "it out, or use it in that model's training, too"
            )
    genuine = {} if translated.text else {"genuine": replace(choice, parents={})}
    on_text = translator.experiment.translating(translated)
    translator = replace(translator, experiment=on_text, parents={**translator.parents, **genuine})
    return replace(choice, parents={**choice.parents, "translator": translator})


def parent(key: str, words: Sequence[str], heir: Choice, depth: int = 0) -> Choice:
    """Return the one choice that `words` ask for, with its own parents; it runs as its heir does.

    Raises:
        ConfigError: the words are wrong, or ask for several runs; the message names `key`.
    """
    try:
        choices = experiments({"overrides": list(words)}, heir.config_dir)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None
    if len(choices) != 1:
        raise ConfigError(f"{key}={as_hydra(list(words))}: asks for {len(choices)} runs; name one")
    return with_parents(_running_as(choices[0], heir), depth + 1)


def _running_as(choice: Choice, other: Choice) -> Choice:
    """Return a choice that runs as another does; its further test sets are not translated then, and so do not count."""
    same = {section: getattr(other.experiment, section) for section in ("runtime", "report")}
    corpus = choice.experiment.corpus.model_copy(update={"tests": {}})
    return replace(choice, experiment=choice.experiment.model_copy(update=same | {"corpus": corpus}))


def lineage(choice: Choice) -> list[Choice]:
    """Return a choice and all that it builds on."""
    return [choice, *(one for other in choice.parents.values() for one in lineage(other))]


def _asked(key: str, value: str | list[str]) -> tuple[str, list[str]]:
    """Return what a message calls the other run, and the words that ask for it.

    Raises:
        DataError: there is no such run, or its record cannot be read.
    """
    if isinstance(value, list):
        return " ".join(value), value
    try:
        known = read(find(value))
    except DataError as error:
        raise ConfigError(f"{key}={value}: {str(error).rstrip('.')}") from None
    words: list[str] = [*known["asked"]["words"], *own.words(known, find(value))]
    if copies := recorded(known, base(find(value))):  # the user's own plugins may have been edited since
        words.append(f"model.plugin={as_hydra([os.path.relpath(copy) for copy in copies])}")
    return value, words


def _with_text(choice: Choice, identity: Mapping[str, Any], name: str) -> Choice:
    """Return a choice whose text is tokenised and segmented as that of the model that it starts from.

    Args:
        choice: without its parents.
        identity: keys of that model's `text`; one that is missing has its default, or is not used.
        name: of that model, for messages.

    Raises:
        ConfigError: an override asks for something else.
    """
    named = {word.partition("=")[0].lstrip("+~") for word in choice.overrides}
    own = choice.experiment.text.model_dump(mode="json")
    defaults = {key: field.default for key, field in Text.model_fields.items() if not field.is_required()}
    text = {key: value for key, value in {**defaults, **identity}.items() if key in INHERITED}
    if text["sentencepiece"] is None:
        del text["sentencepiece"]
    else:
        drawn = {key: value for key, value in (own["sentencepiece"] or {}).items() if key in DRAWN}
        text["sentencepiece"] = {key: text["sentencepiece"][key] for key in text["sentencepiece"] if key not in DRAWN}
        text["sentencepiece"] |= drawn
        named -= {f"text.sentencepiece.{key}" for key in DRAWN}
    unlike = [key for key in text if own.get(key) != text[key]]
    for key in unlike:
        if "text" in named or any(f"{word}.".startswith(f"text.{key}.") for word in named):
            raise ConfigError(
                f"text.{key}={as_hydra(own.get(key))}: {name}, which the training starts from, has "
                f"{as_hydra(text[key])}; leave it out"
            )
    if not unlike:
        return choice
    words = [f"++text.{key}={as_item(text[key])}" for key in unlike]
    (again,) = experiments({"overrides": [*words, *choice.overrides]}, choice.config_dir)
    return replace(again, overrides=choice.overrides)


def _check_languages(own: Experiment, languages: tuple[str, str], name: str) -> None:
    """Check that a training has a dictionary for each side in those of the model that it starts from.

    Raises:
        ConfigError: it has not.
    """
    sides = (own.source, own.target)
    if sides != languages and not (own.text.joined_dictionary and set(sides) == set(languages)):
        raise ConfigError(
            f"source={own.source} target={own.target}: {name}, which the training starts from, translates "
            f"{languages[0]} to {languages[1]}, and their dictionaries differ; start from a model of the same languages"
        )


def _check_start(own: Experiment, start: Experiment, name: str) -> None:
    """Check that a training can start from another's model, which fairseq would find out late or not at all.

    Raises:
        ConfigError: it cannot.
    """
    _check_languages(own, (start.source, start.target), name)
    for key in (key for key in Model.model_fields if not key.endswith("dropout") and key != "plugin"):
        values = [getattr(one.model, key) for one in (own, start)]
        if values[0] != values[1]:
            raise ConfigError(
                f"model.{key}={as_hydra(values[0])}: {name}, which the training starts from, has "
                f"{as_hydra(values[1])}; choose the same model"
            )
    if own.training.reset:
        return
    for key in ("max_epoch", "max_update"):
        most, reached = (getattr(one.training, key) for one in (own, start))
        if most and reached and most <= reached:
            raise ConfigError(
                f"training.{key}={most}: {name}, which the training continues, may end at {reached}; set it higher, or "
                "to null"
            )
    for key in ("optimizer", "criterion", "lr_scheduler", "checkpoint", "best_checkpoint_metric"):
        values = [getattr(one.training, key) for one in (own, start)]
        if values[0] != values[1]:
            raise ConfigError(
                f"training.{key}={values[0]}: {name} was trained with {values[1]}, and training.reset keeps its "
                "state; choose the same one, or leave training.reset out"
            )
    if start.training.checkpoint.startswith("average"):
        raise ConfigError(
            f"training.reset: {name} is an average of checkpoints, which no training can continue; leave "
            "training.reset out"
        )
