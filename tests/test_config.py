"""The Hydra tree, its schema and its documentation; wrong input in one clear line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bleuprint.commands.document import PAGES, TABLE, all_tables, descriptions, documented
from bleuprint.commands.run import cli_config
from bleuprint.config import schema
from bleuprint.config.compose import CONFIG_DIR, ConfigError, experiments
from bleuprint.config.groups import shipped
from bleuprint.config.schema.section import Section

YAMLS = sorted(CONFIG_DIR.rglob("*.yaml"))
GROUP_FILES = [(group, file) for group, files in shipped().items() for file in files]
SECTIONS = {"iwslt14": schema.Iwslt14, "files": schema.Files, "demo": schema.Demo, "local": schema.Local} | {
    "text": schema.Text,
    "model": schema.Model,
    "training": schema.Training,
    "decoding": schema.Decoding,
    "scoring": schema.Scoring,
    "runtime": schema.Runtime,
    "report": schema.Report,
    "expected": schema.Published,
}


def one(**cli: Any) -> schema.Experiment:
    (choice,) = experiments(cli)
    return choice.experiment


@pytest.fixture
def local_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language in ("de", "en"):
        Path(f"mine.{language}").write_text("a\n" * 100)


@pytest.mark.parametrize(("group", "file"), GROUP_FILES)
def test_every_file_of_every_group_composes(group: str, file: str, local_text: None) -> None:
    needs = {"overrides": "corpus.train=mine"} if (group, file) == ("corpus", "local") else {}
    (choice,) = experiments({group: file, **needs})
    assert choice.groups[group] == file


def test_recipes_are_those_promised() -> None:
    assert {"readme", "assignment", "lightconv", "dynamicconv", "demo", "cpu_small"} <= set(shipped()["recipe"])
    assert experiments({})[0].groups["recipe"] == "readme"
    assignment = one(recipe="assignment")
    assert (assignment.training.max_epoch, assignment.model.dropout, assignment.training.label_smoothing) == (
        15,
        0.1,
        0,
    )
    paper = one(recipe="dynamicconv")
    assert (paper.model.encoder_conv_type, paper.model.decoder_glu, paper.training.max_update) == ("dynamic", 0, 50000)
    assert (paper.training.checkpoint, paper.training.average_last, paper.decoding.beam) == ("average", 10, 4)


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: str(path.relative_to(CONFIG_DIR)))
def test_every_file_says_what_it_is_for(path: Path) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith("#") and "@package" not in line]
    assert head and len(head[0]) > 20
    assert path.name == "config.yaml" or any("Source" in line or "snakemake " in line for line in head)


def leaves(value: Any) -> set[str]:
    if not isinstance(value, dict):
        return set()
    return set(value).union(*map(leaves, value.values())) - {"defaults"}


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: str(path.relative_to(CONFIG_DIR)))
def test_every_key_is_documented(path: Path) -> None:
    documented = set(re.findall(r"`([\w.]+)", (CONFIG_DIR / "README.md").read_text()))
    documented |= {key.rpartition(".")[2] for key in documented}
    keys = leaves(yaml.safe_load(path.read_text()))
    names = {key for key in keys if re.fullmatch(r"[a-z][a-z0-9_]*", key)} - {"de", "en"}
    assert names - documented == set()


def sections(base: type[Section] = Section) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


@pytest.mark.parametrize("section", sorted(set(sections()), key=lambda section: section.__name__))
def test_every_field_has_a_description(section: type[Section]) -> None:
    assert section.model_fields.keys() <= descriptions(section).keys()


def test_the_tables_of_the_documentation_are_those_of_the_code() -> None:
    names = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert documented(text) == text, f"{page}: run `make docs`"
        names |= {match["name"] for match in TABLE.finditer(text)}
    assert names == set(all_tables())


def test_schema_and_files_name_the_same_keys() -> None:
    named: dict[str, set[str]] = {}
    for path in YAMLS:
        values = yaml.safe_load(path.read_text())
        if path.parent.name in shipped() and path.parent.name != "recipe":
            named.setdefault(values.get("kind", path.parent.name), set()).update(set(values) - {"defaults"})
        elif path.parent.name == "recipe":
            for section in set(values) - {"defaults"}:
                named.setdefault(section, set()).update(values[section])
    for section, model in SECTIONS.items():
        assert named[section] == set(model.model_fields), section


@pytest.mark.parametrize(
    ("cli", "words"),
    [
        ({"model": "lightcnv"}, ["model=lightcnv", "lightconv, lightconv_tiny, transformer"]),
        ({"modle": "lightconv"}, ["modle", "did you mean model?"]),
        ({"overrides": "training.lrr=1"}, ["training.lrr", "did you mean lr?", "+training.lrr"]),
        ({"overrides": "training.lr=fast"}, ["training.lr=fast", "number"]),
        ({"overrides": "training.checkpoint=bets"}, ["training.checkpoint=bets", "'best', 'last', 'average'"]),
        ({"overrides": "text.merges=0"}, ["text.merges=0", "greater than 0"]),
        ({"overrides": "text.tokenizer=mose"}, ["text.tokenizer=mose: input should be 'moses' or 'none'"]),
        ({"overrides": "text.tokenizer={source:moses}"}, ["text.tokenizer.target: is missing"]),
        ({"overrides": "text.tokenizer={source:moses,target:mose}"}, ["text.tokenizer.target=mose: input should be"]),
        (
            {"overrides": "scoring.metrics.chrf.metric=bleurt"},
            ["scoring.metrics.chrf.metric=bleurt: input should be 'chrf', 'chrf++', 'bleu', 'ter' or 'comet'"],
        ),
        ({"overrides": "corpus.kind=x"}, ["corpus.kind=x: no such kind", "corpus=demo or corpus=iwslt14_de_en or"]),
        ({"overrides": "corpus.bytes=many"}, ["corpus.bytes=many", "integer"]),
        ({"overrides": "text.merges=many"}, ["text.merges=many", "integer"]),
        ({"overrides": "+text.stemming=true"}, ["text.stemming", "no such key; text has bidirectional, bpe_dropout, "]),
        (
            {"overrides": "corpus.translated.sid=target corpus.translated.by=[seed=1]"},
            ["corpus.translated.sid: no such key (did you mean side?); corpus.translated has by, "],
        ),
        ({"overrides": "corpus.translated={by:[recipe],side:target,noise:{dorp:0.1}}"}, ["did you mean drop?"]),
        ({"overrides": "tetx.merges=1"}, ["tetx.merges", "no such group"]),
        ({"overrides": "training.max_epoch=null"}, ["max_epoch or training.max_update"]),
        ({"overrides": "decoding.required_batch_size_multiple=8"}, ["decoding.required_batch_size_multiple=8", "1"]),
        ({"overrides": "training.lr=[1"}, ["training.lr=[1"]),
        ({"overrides": "runtime.threads=1,2"}, ["runtime", "swept"]),
        ({"source": "fr"}, ["source=fr", "de and en"]),
        ({"source": "en"}, ["source=en target=en"]),
        ({"seed": "one"}, ["seed=one", "integer"]),
        ({"recipe": "redme"}, ["recipe=redme", "readme"]),
        ({"corpus": "local"}, ["corpus.train", "needs a value"]),
        ({"overrides": {"a": "b"}}, ["overrides", "colon"]),
        ({"overrides": "training.optimizer='adam"}, ["overrides", "quotation", "give a list"]),
        ({"overrides": 5}, ["5", "quotes"]),
        ({"overrides": "training.adam_betas=(0.9,0.9)"}, ["training.adam_betas", "quotes"]),
        ({"overrides": "+training.save_dir=x"}, ["save_dir", "bleuprint sets this flag itself"]),
        ({"overrides": "+decoding.gen_subset=valid"}, ["gen_subset", "bleuprint sets this flag itself"]),
        ({"overrides": "+training.dropout=0.1"}, ["dropout", "in model and in training"]),
        ({"overrides": "decoding.ensemble=[2,1]"}, ["decoding.ensemble=[2,1]: seed 1 would take part twice", "own, 1"]),
        ({"overrides": "decoding.ensemble=[2,3,2]"}, ["seed 2 would take part twice"]),
        ({"overrides": "decoding.tune={beam:[]}"}, ["decoding.tune.beam", "at least 1 item"]),
        ({"overrides": "decoding.tune={}"}, ["decoding.tune", "beam or lenpen"]),
        (
            {"overrides": "training.checkpoint=average_best +training.disable_validation=true"},
            ["disable_validation", "nothing to average"],
        ),
        ({"overrides": "training.checkpoint=average +training.no_epoch_checkpoints=true"}, ["no_epoch_checkpoints"]),
        # What people write who know Hydra, or guess
        ({"seed": "1-3"}, ["seed=1-3", '"seed=range(1,4)"']),
        ({"overrides": "decoding.beam=4..6"}, ['"decoding.beam=range(4,7)"']),
        ({"seed": [1, 2, 3]}, ["seed=[1,2,3]", "without brackets, seed=1,2,3"]),
        ({"model": ["transformer", "lightconv"]}, ["without brackets, model=transformer,lightconv"]),
        ({"model": "glob(*_huge)"}, ["glob(*_huge)", "lightconv_tiny, transformer"]),
        ({"overrides": "training.lr=glob(*)"}, ["glob", "training.lr=VALUE,VALUE"]),
        ({"overrides": "training.lr=interval(1e-4,1e-3)"}, ["training.lr=VALUE,VALUE", "training.lr=range("]),
        ({"seed": "shuffle(1,2)"}, ["seed=shuffle(1,2)", "leave shuffle out"]),
        ({"seed": "range(3,3)"}, ["seed=range(3,3)", "ends before STOP"]),
        ({"overrides": "decoding.ensemble=[range(2,4)]"}, ["decoding.ensemble=[range(2,4)]", "write the values out"]),
        ({"overrides": "decoding.ensemble=2"}, ["a list, as in decoding.ensemble=[2]"]),
        ({"overrides": "training={lr:1}"}, ["training.KEY=VALUE"]),
        ({"overrides": "training.adam_betas=[0.9,0.98]"}, ["training.adam_betas=[0.9,0.98]", "quotes of its own"]),
        ({"overrides": "--multirun"}, ["--multirun", "KEY=VALUE,VALUE for a sweep"]),
        ({"overrides": "=5"}, ["=5: no such key"]),
        ({"overrides": "model@decoder=lightconv"}, ["write model=lightconv"]),
        ({"overrides": "+model=lightconv"}, ["without a plus, model=lightconv"]),
        ({"overrides": "++model=lightconv"}, ["without a plus, model=lightconv"]),
        ({"overrides": "~model"}, ["cannot be removed", "lightconv, lightconv_tiny"]),
        ({"overrides": "~training.lr=1"}, ["is 0.0005", "write ~training.lr"]),
        ({"overrides": "~training.update_freq"}, ["~training.update_freq", "nothing can be removed"]),
        ({"overrides": "~seed"}, ["seed: is missing", "needs a value"]),
        ({"overrides": "+a.b=1"}, ["a: no such key", "seed, overrides"]),
        ({"overrides": "hydra.sweep.dir=x"}, ["hydra.sweep.dir=x", "leave it out"]),
        ({"overrides": "hydra/launcher=basic"}, ["hydra/launcher=basic", "leave it out"]),
        ({"overrides": "training.lr=${lr}"}, ["training.lr", "'lr' not found"]),
        ({"overrides": "training.lr=${oc.env:NO_SUCH}"}, ["training.lr: \"Environment variable 'NO_SUCH' not found"]),
        ({"overrides": "corpus.train=data/train"}, ["corpus.train", "it belongs to corpus=local"]),
        ({"overrides": "scoring.metrics.new={metric:chrf}"}, ["plus: +scoring.metrics.new"]),
        # What a config file hands over
        ({"overrides": ["decoding.beam=4", {"training.lr": 1}]}, ["{training.lr:1}", "mapping", "KEY=VALUE"]),
        ({"training": {"lrr": 1}}, ["training.lrr", "did you mean lr?"]),
        ({"model": None}, ["model=null", "lightconv, lightconv_tiny"]),
        ({"seed": None}, ["seed=null", "integer"]),
    ],
)
def test_wrong_input_is_one_clear_line(cli: dict[str, Any], words: list[str]) -> None:
    from bleuprint.plan.keys import plan

    with pytest.raises(ConfigError) as error:
        plan(experiments(cli))
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("word", ["training.lr=1e-3", "+training.update_freq=[8]", "~model.dropout=0.3", "=1"])
def test_what_snakemake_would_not_take_bleuprint_puts_into_overrides(word: str) -> None:
    assert cli_config(["seed=1", word]) == {"seed": 1, "overrides": word}


def test_values_from_the_command_line_reach_hydra_as_typed() -> None:
    assert one(overrides="training.lr=1e-3 decoding.beam=8").decoding.beam == 8
    added = one(overrides=["decoding.beam=8", "+training.keep_best_checkpoints=3"])
    assert added.training.flags()["keep_best_checkpoints"] == 3
    assert one(overrides="~model.dropout").model.dropout is None
    assert one(overrides="+training.label_smoothing=0.2").training.label_smoothing == 0.2  # a file has it
    assert one(overrides="training.max_update=9").training.max_update == 9  # the schema has it, the file not
    assert one(overrides="training.update_epoch_batch_itr=false").training.update_epoch_batch_itr == "False"
    assert one(overrides=None) == one()
    assert one(seed=7).seed == 7
    assert one(overrides="model.dropout=0.25").model.dropout == 0.25
    assert one(overrides="'+training.note=two words'").training.flags()["note"] == "two words"
    assert one(overrides='+training.eval_bleu_args={"beam":4}').training.eval_bleu_args is not None


def test_a_sweep_is_the_product_of_its_values() -> None:
    choices = experiments({"model": "transformer,lightconv", "seed": "1,2,3"})
    found = [(choice.groups["model"], choice.experiment.seed) for choice in choices]
    assert found == [(model, seed) for model in ("transformer", "lightconv") for seed in (1, 2, 3)]
    assert [choice.experiment.seed for choice in experiments({"seed": "range(1,101)"})] == list(range(1, 101))


def test_a_seed_stays_with_its_point() -> None:
    for _ in range(2):
        assert [choice.experiment.seed for choice in experiments({"seed": "2,3"})] == [2, 3]
        assert experiments({})[0].experiment.seed == 1


def test_hydras_own_sweeps_name_their_values() -> None:
    files = [choice.groups["model"] for choice in experiments({"model": "glob(*_tiny,exclude=light*)"})]
    assert files == [file for file in shipped()["model"] if file.endswith("_tiny") and file[:5] != "light"]
    for words in ("choice(1,3)", "range(1,4,step=2)", "sort(3,1)", "tag(mine,choice(1,3))", "int(1,3)"):
        assert [choice.experiment.seed for choice in experiments({"seed": words})] == [1, 3]


def test_a_config_file_may_nest_the_keys_of_a_group() -> None:
    """As YAML reads them, and with what `--config` adds to them."""
    nested = yaml.safe_load("""
        recipe: demo
        training: {lr: 1e-3, max_epoch: 3, eval_bleu_args: {beam: 2}, adam_betas: "'(0.9, 0.9)'"}
        corpus: {pairs: 200}
        scoring: {metrics: {chrf: {lowercase: false}}}
        decoding.beam: 2
        +training.update_freq: [8]
        +model.activation_fn: gelu
        overrides: [decoding.lenpen=0.5, ~training.label_smoothing]
        expected: null
    """)
    dotted = """recipe=demo training.lr=1e-3 training.max_epoch=3 training.eval_bleu_args={beam:2} corpus.pairs=200
        scoring.metrics.chrf.lowercase=false decoding.beam=2 +training.update_freq=[8] +model.activation_fn=gelu
        decoding.lenpen=0.5 ~training.label_smoothing expected=null"""
    betas = "training.adam_betas='(0.9, 0.9)'"
    assert one(**nested) == one(overrides=[*dotted.split(), betas])
    assert one(corpus={"sources": ["a, b", "it's"]}).corpus.model_dump()["sources"] == ["a, b", "it's"]


def test_reversing_the_direction_is_two_overrides() -> None:
    experiment = one(source="en", target="de")
    assert (experiment.source, experiment.target) == ("en", "de")


def test_an_archive_that_could_not_be_verified_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"corpus\.bytes or corpus\.sha256"):
        one(overrides="corpus.bytes=null")


def test_an_end_that_an_interruption_would_move_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"an interrupted training would end elsewhere; set training\.max_epoch"):
        one(overrides="+training.stop_time_hours=1")
