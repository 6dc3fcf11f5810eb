"""Say how long the lines of an experiment's text may be, and check those of a text that is there already."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bleuprint.config.compose import ConfigError
from bleuprint.config.schema import Experiment
from bleuprint.decoding.engine import engine
from bleuprint.files import DataError
from bleuprint.training.lengths import Limits, as_text, from_text, too_long

POSITIONS = 1024  # fairseq's max_source_positions and max_target_positions, of the task and of each model here


def limits(experiment: Experiment) -> list[Limits]:
    """Return the limits of each part of the text: what the training reads, and what the decoding translates."""
    training = experiment.training.flags()
    trained = experiment.model.flags() | training
    batch = {"training.max_tokens": experiment.training.max_tokens}
    model = _model(trained, "training" if "max_source_positions" in training else "model")
    parts = [Limits("train", batch, model, leaves_out=True)]
    if not trained.get("disable_validation"):
        tokens = trained.get("max_tokens_valid")
        valid = {"+training.max_tokens_valid": tokens} if isinstance(tokens, int) else batch
        parts.append(Limits("valid", valid, model, bool(trained.get("skip_invalid_size_inputs_valid_test"))))
    decoding = experiment.decoding.flags()
    # fairseq-generate has limits of its own, and reads the references, too
    own = _model(decoding, "decoding")
    source = {} if decoding.get("truncate_source") else model[0] | own[0]
    if engine(experiment) == "ctranslate2":
        return [*parts, Limits("test", {}, (source, {}))]
    size = {"decoding.max_tokens": experiment.decoding.max_tokens}
    subsets = ("test", "valid") if experiment.decoding.tune else ("test",)
    return [*parts, *(Limits(subset, size, (source, model[1] | own[1])) for subset in subsets)]


def check_lengths(texts: Iterable[tuple[str, Experiment]]) -> None:
    """Check the validation and test lines of texts that have been binarised; a training checks all at its start.

    Args:
        texts: folders of the text stage, each with an experiment on that text.

    Raises:
        ConfigError: a line is too long for a training or a decoding.
    """
    for folder, text in dict.fromkeys((folder, as_text(limits(experiment))) for folder, experiment in texts):
        parts, binarised, sentence = from_text(text), Path(folder) / "bin", None
        with suppress(DataError):  # who builds on a damaged text finds that
            # The training set may be large: it is read only for values that suffice for all
            if too_long(binarised, [part for part in parts if part.part != "train"]):
                sentence = too_long(binarised, parts)
        if sentence:
            raise ConfigError(sentence)


def _model(flags: dict[str, Any], section: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the limits of the source and of the target side, each under its key in that section."""
    values = [flags.get(f"max_{side}_positions") or POSITIONS for side in ("source", "target")]
    source, target = [value if isinstance(value, int) else POSITIONS for value in values]
    return {f"+{section}.max_source_positions": source}, {f"+{section}.max_target_positions": target}
