"""The user's own code for fairseq (`model.plugin`): identity, checks before any job, the copy that a training keeps."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CPU, TINY, Snakemake, run_snakemake

from bleuprint.commands import pack, replay
from bleuprint.config import plugins
from bleuprint.config.compose import ConfigError, experiments
from bleuprint.files import DataError
from bleuprint.plan import fairseq_flags
from bleuprint.plan.explain import explain
from bleuprint.plan.graph import Plan
from bleuprint.plan.keys import plan
from bleuprint.record import seal
from bleuprint.record.provenance import RUNS, read
from bleuprint.training.plugins import FOLDER, LOADER, copy, keep

# The smallest plugin: a name for sizes
SIZES = """
from fairseq.models import register_model_architecture
from fairseq.models.transformer import base_architecture


@register_model_architecture("transformer", "two_narrow_layers")
def two_narrow_layers(args):
    args.encoder_layers = args.decoder_layers = 2
    args.encoder_embed_dim = args.decoder_embed_dim = 64
    base_architecture(args)
"""
# A loss with a flag of its own, in a module of its own
LOSS = """
from dataclasses import dataclass, field

from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)


@dataclass
class Config(LabelSmoothedCrossEntropyCriterionConfig):
    modesty: float = field(default=0.1, metadata={"help": "weight of the entropy"})


@register_criterion("modest", dataclass=Config)
class Modest(LabelSmoothedCrossEntropyCriterion):
    def __init__(self, task, sentence_avg, label_smoothing, modesty):
        super().__init__(task, sentence_avg, label_smoothing)
        self.modesty = modesty

    def compute_loss(self, model, net_output, sample, reduce=True):
        loss, nll_loss = super().compute_loss(model, net_output, sample, reduce)
        scores = model.get_normalized_probs(net_output, log_probs=True)
        entropy = -(scores.exp() * scores).sum(-1)
        return loss - self.modesty * entropy[sample["target"] != self.padding_idx].sum(), nll_loss
"""
# A learning rate schedule and a task, of fairseq's older and newer kind
OTHERS = """
from fairseq.optim.lr_scheduler import LegacyFairseqLRScheduler, register_lr_scheduler
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask


@register_lr_scheduler("steady")
class Steady(LegacyFairseqLRScheduler):
    @staticmethod
    def add_args(parser):
        parser.add_argument("--steady-rate", type=float, default=0.001)

    def step_update(self, num_updates):
        self.optimizer.set_lr(self.args.steady_rate)
        return self.optimizer.get_lr()


@register_task("careful_translation", dataclass=TranslationConfig)
class Careful(TranslationTask):
    pass
"""
ASKED = "model.arch=two_narrow_layers model.plugin=sizes"


def write(folder: Path | str, **modules: str) -> Path:
    """Write a package: `init` is its __init__.py."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        Path(folder, f"{'__init__' if name == 'init' else name}.py").write_text(text)
    return Path(folder)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the plugin `sizes`; its hash is computed again in each test."""
    monkeypatch.chdir(tmp_path)
    write("sizes", init=SIZES)
    plugins._digest.cache_clear()


def planned(overrides: str = "model.plugin=sizes") -> Plan:
    """Plan as if in a new process, without asking fairseq."""
    plugins._digest.cache_clear()
    return plan(experiments({"recipe": "demo", "model": "transformer_tiny", "overrides": overrides}))


def keys(overrides: str = "model.plugin=sizes") -> dict[str, str]:
    return planned(overrides).runs[0].keys


def test_content_and_name_are_identity_and_the_place_is_not() -> None:
    before, none = keys(), keys("runtime.threads=1")
    assert {stage for stage in before if before[stage] != none[stage]} == {"training", "decoding", "scoring"}
    shutil.copytree("sizes", "elsewhere/sizes")
    assert keys("model.plugin=elsewhere/sizes/") == before == keys("model.plugin=[sizes]")
    write("sizes/__pycache__", a="")
    for name in (".notes", "a.pyc", "__init__.py~", "notes.log"):
        Path("sizes", name).touch()
    assert keys() == before
    Path("sizes/table.json").write_text("{}")  # whatever the code may read counts
    assert keys() != before
    shutil.copytree("elsewhere/sizes", "other_name")
    assert keys("model.plugin=other_name") != before
    assert keys("model.plugin=[elsewhere/sizes,other_name]") == keys("model.plugin=[other_name,elsewhere/sizes]")


def test_neither_slice_nor_resolved_config_has_a_plugin_where_there_is_none() -> None:
    (run,) = planned("model.plugin=null").runs
    assert "plugin" not in planned("seed=1").stages["training"][run.keys["training"]].slice["model"]
    assert "plugin" not in run.choice.experiment.resolved()["model"]
    (run,) = planned().runs
    assert run.choice.experiment.resolved()["model"]["plugin"] == {"sizes": plugins.digest(Path("sizes"))}
    assert "plugin" not in run.choice.experiment.model.flags()


WRONG = {
    "none": "model.plugin=none: no such folder; name the folder that holds the plugin's __init__.py",
    "sizes/__init__.py": "model.plugin=sizes/__init__.py: is a file, and a plugin is a folder; name the folder",
    "empty": "model.plugin=empty: holds no __init__.py; name the folder of the plugin itself",
    "my-sizes": "model.plugin=my-sizes: my-sizes can be no name of a Python package here; rename the folder",
    "class": "model.plugin=class: class can be no name of a Python package here",
    LOADER: f"model.plugin={LOADER}: {LOADER} can be no name of a Python package here",
    "[sizes,elsewhere/sizes]": "model.plugin=elsewhere/sizes: sizes has the same name, sizes; rename one of the two",
    "large": "model.plugin: {here}/large has more than 1,000 files or 50 MB, and it is copied into each training's",
}


def test_a_folder_that_can_be_no_plugin_is_refused(tmp_path: Path) -> None:
    for name in ("my-sizes", "class", LOADER, "elsewhere/sizes", "large"):
        write(name, init=SIZES)
    Path("empty").mkdir()
    with open("large/model.pt", "wb") as file:
        file.truncate(50_000_001)
    for word, sentence in WRONG.items():
        with pytest.raises(DataError) as error:
            keys(f"model.plugin={word}")
        assert str(error.value).startswith(sentence.replace("{here}", str(tmp_path))), word
    for word in ('""', "3", "{a:b}"):
        with pytest.raises(ConfigError, match=r"^model.plugin"):
            keys(f"model.plugin={word}")


def test_names_that_resemble_fairseqs_are_left_to_its_registries() -> None:
    """`sentence_*` are losses of fairseq's that no translation can use; a plugin may have one of such a name."""
    with pytest.raises(ConfigError, match=r"training.criterion=sentence_rank: it is no loss for the translation"):
        keys("training.criterion=sentence_rank")
    keys("training.criterion=sentence_rank model.plugin=sizes")


# Of each plugin what is wrong: written as {its modules}, named by the folder
BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({"init": ""}, "nothing: registers nothing with fairseq, no model, architecture, criterion,"),
    "json": ({"init": SIZES}, "json: Python has a module of the name json, too; rename the folder"),
    "sacrebleu": ({"init": SIZES}, "sacrebleu: an installed package has a module of the name sacrebleu, too"),
    "syntax": ({"init": "\n\ndef f(:\n"}, "syntax: cannot be imported: in/syntax/__init__.py, line 3: invalid syntax"),
    "deep": (
        {"init": "from deep import layers", "layers": "x = 1\ny = x / 0\n"},
        "deep: cannot be imported: ZeroDivisionError: division by zero (in/deep/layers.py, line 2); correct it",
    ),
    "missing": ({"init": "import nowhere"}, "missing: cannot be imported: ModuleNotFoundError: No module named 'now"),
    "leaves": ({"init": "raise SystemExit(3)"}, "leaves: cannot be imported: SystemExit: 3 (in/leaves/__init__.py, li"),
    "silent_model": (
        {
            "init": "from fairseq.models import register_model, transformer\n"
            '@register_model("transformer")\nclass Mine(transformer.TransformerModel):\n    pass\n'
        },
        "silent_model: registers the model transformer, a name that fairseq has already; choose another name for it",
    ),
    "silent_task": (
        {"init": OTHERS.replace('"careful_translation"', '"translation"')},
        "silent_task: registers the task translation, a name that fairseq has already",
    ),
    "old_arch": (
        {"init": SIZES.replace("two_narrow_layers", "transformer_iwslt_de_en")},
        "old_arch: registers the model architecture transformer_iwslt_de_en, a name that fairseq has already",
    ),
    "our_loss": (
        {"init": LOSS.replace('"modest"', '"label_smoothed_cross_entropy_with_simcut"')},
        "our_loss: registers the criterion label_smoothed_cross_entropy_with_simcut, a name that bleuprint has",
    ),
    "zizes": (
        {"init": SIZES},
        "zizes: registers the model architecture two_narrow_layers, a name that the plugin sizes",
    ),
}
# What fairseq's parser says with the plugins `sizes`, `loss` and `others`
COMPLAINTS: dict[str, tuple[list[str], str | None]] = {
    "architecture": (["--arch", "two_narrow_layers"], None),
    "near": (
        ["--arch", "two_narow_layers"],
        "argument --arch/-a: invalid choice: 'two_narow_layers' (did you mean two_",
    ),
    "flag": (["--arch", "two_narrow_layers", "--criterion", "modest", "--modesty", "0.2"], None),
    "value": (
        ["--arch", "transformer", "--criterion", "modest", "--modesty", "x"],
        "argument --modesty: invalid float",
    ),
    "no flag": (["--arch", "transformer", "--modesty", "1"], "unrecognized arguments: --modesty 1"),
    "schedule": (["--arch", "transformer", "--lr-scheduler", "steady", "--steady-rate", "0.1"], None),
    "task": (["--arch", "transformer", "--task", "careful_translation"], None),
    "fairseq's task": (
        ["--arch", "transformer", "--task", "multilingual_translation"],
        "task=multilingual_translation: ",
    ),
    "fill": (
        ["--arch", "wrong_sizes"],
        "AttributeError: 'Namespace' object has no attribute 'no_such_size' (in/wrong/",
    ),
}


def forked(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return a function's answer from a copy of this process, in which what plugins register stays."""
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        try:
            os.write(write_end, json.dumps(function(*arguments)).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    os.wait()
    return json.loads(text)


def answers(folder: str) -> tuple[dict[str, str], list[str]]:
    """Return what is said of each broken plugin, and fairseq's complaints. Loads fairseq once."""
    import fairseq.options  # noqa: F401

    os.chdir(folder)
    said = {}
    for name in BROKEN:
        folders = ["sizes", f"in/{name}"] if name == "zizes" else [f"in/{name}"]
        user_dir = copy(folders, Path("copies", name))
        said[name] = forked(fairseq_flags._answer, {"commands": [], "plugins": folders, "user_dir": str(user_dir)})
    folders = ["sizes", "loss", "others", "in/wrong"]
    user_dir = str(copy(folders, Path("copies/all")))
    commands = [(fairseq_flags.TRAINING, words) for words, _ in COMPLAINTS.values()]
    return said, forked(fairseq_flags._answer, {"commands": commands, "plugins": folders, "user_dir": user_dir})


def test_what_is_wrong_with_a_plugin_is_one_sentence(fairseq: Callable[..., Any], tmp_path: Path) -> None:
    for name, (modules, _) in BROKEN.items():
        write(f"in/{name}", **modules)
    write("loss", init="from loss import modest", modest=LOSS)
    write("others", init=OTHERS)
    write(
        "in/wrong",
        init=SIZES.replace("two_narrow", "wrong").replace("_layers", "_sizes").replace("= 2", "= args.no_such_size"),
    )
    said, complaints = fairseq(answers, str(tmp_path))
    for name, (_, sentence) in BROKEN.items():
        assert isinstance(said[name], str) and said[name].startswith(f"model.plugin=in/{sentence}"), name
    for complaint, (name, (_, expected)) in zip(complaints, COMPLAINTS.items(), strict=True):
        assert (complaint or "").startswith(expected or "") and bool(complaint) == bool(expected), (name, complaint)
    assert not list(Path().glob("in/**/__pycache__"))  # the user's folder stays as it is


def test_what_fairseq_has_accepted_is_known_by_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(fairseq_flags, "KNOWN", tmp_path / "known")

    def accept(commands: list[Any], folders: tuple[str, ...] = ()) -> list[None]:
        asked.append(folders)
        return [None] * len(commands)

    monkeypatch.setattr(fairseq_flags, "complaints", accept)

    def parse(overrides: str) -> None:
        plugins._digest.cache_clear()
        fairseq_flags.parse(choice.experiment for choice in experiments({"recipe": "demo", "overrides": overrides}))

    shutil.copytree("sizes", "elsewhere/sizes")
    for overrides in ("seed=1", "model.plugin=sizes", "model.plugin=elsewhere/sizes", "model.plugin=sizes"):
        parse(overrides)
    assert asked == [(), ("sizes",)]
    write("sizes", init=SIZES + "# another comment\n")
    parse("model.plugin=sizes,elsewhere/sizes")
    assert asked[2:] == [("sizes",)]


def test_a_training_keeps_its_copy() -> None:
    training, wanted = Path("results/training/x"), {"sizes": plugins.digest(Path("sizes"))}
    keep(training, wanted)
    write("sizes", init=SIZES.replace("64", "128"))
    keep(training, wanted)  # resumed: the copy is there, and whole
    shutil.rmtree("sizes")
    keep(training, wanted)
    assert (training / FOLDER / "sizes/__init__.py").read_text() == SIZES
    write(training / FOLDER / "sizes", init="")
    with pytest.raises(DataError, match=r"model.plugin=sizes: no such folder any more; restore it"):
        keep(training, wanted)
    write("sizes", init=SIZES.replace("64", "128"))
    with pytest.raises(DataError, match="has changed since this call was planned; run the same command again"):
        keep(training, wanted)
    write("sizes", init=SIZES)
    keep(training, wanted)
    assert (training / FOLDER / "sizes/__init__.py").read_text() == SIZES


def test_a_run_with_a_plugin(
    snakemake: Snakemake, fake_fairseq: dict[str, str], tiny_text: Path, tmp_path: Path
) -> None:
    """Trained and decoded by the copy; an edit is another training; whole without the user's folder."""
    shutil.copytree(tiny_text / "results", "results")
    words = ("--config", "recipe=demo", "model=transformer_tiny", f"overrides={TINY} {ASKED}")
    result = snakemake(*words, env=fake_fairseq | CPU)
    assert result.returncode == 0, result.stderr
    calls = [json.loads(line) for line in Path(fake_fairseq["CALLS"]).read_text().splitlines()]
    (training,) = Path("results/training").iterdir()
    user_dir = f"{training}/{FOLDER}/{LOADER}"
    given = {call[0]: call[call.index("--user-dir") + 1] for call in calls if "--user-dir" in call}
    assert given == {"fairseq-train": user_dir, "fairseq-generate": user_dir}
    sealed = seal.read(training)
    assert sealed and {f"{FOLDER}/sizes/__init__.py", f"{FOLDER}/{LOADER}/__init__.py"} < set(sealed["files"])
    (run,) = RUNS.iterdir()
    known = read(run)
    assert known["stages"]["training"]["slice"]["model"]["plugin"] == {"sizes": plugins.digest(Path("sizes"))}

    write("sizes", init=SIZES.replace("64", "128"))
    edited = planned(f"{TINY} {ASKED}")
    reason = f"unlike {training.name}: with another version of the plugin sizes (changed: __init__.py)"
    assert reason in explain(edited) and f"training/{training.name}" not in explain(edited)
    shutil.rmtree("sizes")
    again = replay.again(known, tmp_path)
    assert f'model.plugin=["{tmp_path}/{training}/{FOLDER}/sizes"]' in again
    assert plan(experiments({"overrides": again})).runs[0].name == run.name
    pack.pack(run.name, Path("packed.tar.gz"), checkpoint=False)
    subprocess.run(["tar", "xzf", "packed.tar.gz"], check=True)
    assert Path(run.name, "plugin/sizes/__init__.py").read_text() == SIZES
    assert planned(f"{TINY} {ASKED} model.plugin={run.name}/plugin/sizes").runs[0].name == run.name

    write(training / FOLDER / "sizes", init=SIZES + "\n")  # damaged: nothing decodes with it
    shutil.copytree(Path(run.name, "plugin/sizes"), "sizes")
    shutil.rmtree("results/decoding")
    damaged = snakemake("decoding", *words, env=fake_fairseq | CPU)
    assert damaged.returncode != 0 and f"{training}/{FOLDER}/sizes/__init__.py has " in damaged.stderr


@pytest.mark.nightly
def test_a_real_run_with_code_of_ones_own(tmp_path: Path) -> None:
    """An architecture, a loss and a schedule; trained, scored, translated with, and replayed to the bit."""
    write("loss", init="from loss import modest", modest=LOSS)
    write("others", init=OTHERS)
    own = "training.criterion=modest +training.modesty=0.2 training.lr_scheduler=steady ~training.warmup_updates"
    own += " +training.task=careful_translation +decoding.task=careful_translation training.eval_bleu=false"
    plugin = "model.plugin=[sizes,loss,others] model.arch=two_narrow_layers runtime.threads=1"
    small = "corpus.pairs=400 corpus.valid_pairs=20 corpus.test_pairs=21 text.merges=100 training.max_update=10"
    result = run_snakemake(tmp_path, "--config", "recipe=demo", f"overrides={small} {plugin} {own}", env=CPU)
    assert result.returncode == 0, result.stderr
    (run,) = RUNS.iterdir()
    shutil.rmtree("loss")
    program = [sys.executable, "-m", "bleuprint.commands.cli"]
    translate = [*program, "translate", "--run", run.name]
    translated = subprocess.run(translate, input="ein hund .\n", text=True, capture_output=True)
    assert translated.returncode == 0 and translated.stdout.count("\n") == 1, translated.stderr
    replayed = subprocess.run([*program, "replay", run.name], text=True, capture_output=True)
    assert replayed.returncode == 0 and "tensors equal, bit for bit" in replayed.stdout, replayed.stderr
