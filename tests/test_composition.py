"""Composing the files once and setting the keys on a copy gives what Hydra composes in one go."""

import random
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bleuprint.config import messages
from bleuprint.config.compose import CONFIG_DIR, SUITED, ConfigError, _compose, _set_or_add
from bleuprint.config.words import parsed

FILES = [
    *("recipe=demo", "recipe=assignment", "recipe=fine_tuning", "model=lightconv", "model=dynamicconv"),
    *("text=small", "training=cpu_bf16", "corpus=multi30k_de_en", "corpus=local"),
]
KEYS = [
    # Set, added, with and without a plus
    *("seed=7", "seed=[1,2]", "source=en", "target=${source}", "source=${target}", "source=null", "expected={low:3}"),
    *("training.lr=1e-3", "++training.lr=[0.1,0.2]", "+training.update_freq=[2]", "training.new=1", "+training.new=1"),
    *("model.dropout=0.2", "+model.dropout=0.3", "modle.dropout=1", "++modle.dropout=1", "training.lr.inner=3"),
    *("decoding.beam=8", "decoding.beam='8'", "decoding.tune={beam:[4,5]}", "decoding.tune.beam=[4]"),
    *("+decoding.tune.beam=[4]", "corpus.tests={mine:data/mine}", "corpus.pairs=9", "corpus.train=mine"),
    *("corpus.expected.lines.new=3", "+corpus.expected.lines.new=3", "corpus.kind=local", "corpus.kind=x"),
    *("text.merges=500", "text.merges=abc", "text.languages=x", "runtime.threads=2"),
    *("scoring.metrics={bleu:null}", "scoring.metrics.mine=null", "report.baseline=x", "training.max_epoch=???"),
    # Removed
    *(
        "~training.lr",
        "~training.lr=1",
        "~training.none",
        "~seed",
        "~expected",
        "~corpus.languages",
        "~model.none.more",
    ),
    # Interpolations
    *("training.lr=${model.dropout}", "training.lr=${lr}", "model.dropout=${training.lr}", "corpus.name=${source}_x"),
    *("+training.save_dir=${oc.env:HOME}", "training.lr=${}", "corpus.languages=[${source},${target}]"),
]


def one_go(words: list[str]) -> DictConfig:
    """Compose all words with Hydra's public interface, and once more with the files that suit own text."""
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = compose("config", [_set_or_add(override) for override in parsed(words)], return_hydra_config=True)
    suited = SUITED.get(OmegaConf.select(config, "corpus.kind"), {})
    named = {word.partition("=")[0] for word in words}
    if missing := [f"{group}={file}" for group, file in suited.items() if group not in named]:
        return one_go([*missing, *words])
    return OmegaConf.create({key: config[key] for key in config if key != "hydra"})


def outcome(words: list[str], composed: Any) -> Any:
    """Return the resolved values, or the message of the error."""
    try:
        return OmegaConf.to_container(composed(words), resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        return messages.composing(error)
    except ConfigError as error:
        return str(error)


def in_two_steps(words: list[str]) -> DictConfig:
    return _compose(parsed(words))[0]


def compare(words: list[str]) -> None:
    assert outcome(words, in_two_steps) == outcome(words, one_go), words


@pytest.mark.parametrize("number", range(12))
def test_two_steps_give_what_one_gives(number: int) -> None:
    choose = random.Random(number)
    words = choose.sample(FILES, choose.choice((0, 1, 2))) + choose.sample(KEYS, choose.choice((1, 2, 3, 5)))
    choose.shuffle(words)
    groups = [word.partition("=")[0] for word in words if word in FILES]
    if len(set(groups)) == len(groups):
        compare(words)


@pytest.mark.nightly
@pytest.mark.parametrize("word", KEYS)
@pytest.mark.parametrize("files", [[], ["recipe=demo"], ["corpus=local"]], ids=str)
def test_two_steps_give_what_one_gives_for_each_key(files: list[str], word: str) -> None:
    compare([*files, word])
    compare([word, *files, "+training.update_freq=[2]", "seed=3"])
