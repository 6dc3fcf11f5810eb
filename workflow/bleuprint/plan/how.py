"""How the rules' commands run: device, launcher, log, and the flags of bleuprint's own programs beside fairseq's.

Nothing here decides a result. Each function takes the plan and the key of a stage's folder, and returns pieces of the
rule's command, quoted for the shell; a rule names them one by one, as `{params.how[launcher]}`.
"""

import shlex

from bleuprint.config.flags import shell
from bleuprint.config.plugins import by_folder
from bleuprint.config.schema import Experiment
from bleuprint.config.segmenters import numbered, segmenter
from bleuprint.corpus import arguments
from bleuprint.decoding.engine import translate_how
from bleuprint.machine.device import launcher, uses_bf16, uses_gpu
from bleuprint.machine.shards import shards
from bleuprint.plan.fairseq_flags import generate_how, train_how, user_dir_of
from bleuprint.plan.graph import Plan
from bleuprint.plan.lengths import limits as length_limits
from bleuprint.scoring import comet
from bleuprint.scoring.languages import bleu_tokenizer
from bleuprint.text.fingerprint import expected
from bleuprint.training import checkpoint_flags, plugins, progress_flags, resume_flags
from bleuprint.training.lengths import as_text

Pieces = dict[str, str]
LONGEST = 100_000  # characters of a list of files; Linux takes 131,072 for the whole command that bash is given


def raw_text(plan: Plan, key: str) -> Pieces:
    """Return `sources`: where the corpus comes from."""
    return {"sources": shlex.join(arguments(plan.stage("corpus", key).experiment.corpus, plan.runtime))}


def tokenise(plan: Plan, key: str) -> Pieces:
    """Return `least`, the share of the training pairs that cleaning must keep, and `made` and `test_sets`, flags.

    They name the files of the pairs that a model makes, and the further test sets whose pairs are left out of train.
    Both decide the text, but the stage's identity holds them already.
    """
    pair, corpus = plan.made(key), plan.stage("text", key).experiment.corpus
    words = shlex.join(f"{name}={where}" for name, where in corpus.tests.items())
    test_sets = f"--test-set {words} {shell({'mirror': plan.runtime.mirror})}"
    return {
        "least": str(plan.runtime.min_kept),
        "made": f"--made {shlex.join(pair)}" if pair else "",
        "test_sets": test_sets if corpus.decontaminate and corpus.tests else "",
    }


def check_text(plan: Plan, key: str) -> Pieces:
    """Return `raw`, the corpus, and `doubts`, what happens if the text makes a score meaningless.

    The corpus is no input of the rule, as it was none when finished texts were checked.
    """
    return {"raw": plan.upstream("text", key, "corpus", "raw"), "doubts": plan.runtime.doubts}


def learn(plan: Plan, key: str) -> Pieces:
    """Return `given`: the segmenter to take instead of learning one, which the stage's identity holds already."""
    known = plan.vocabulary(key)
    return {"given": shell({"given": known and known[0]})}


def segment(plan: Plan, key: str) -> Pieces:
    """Return `drawn`, flags: how often train is segmented at random, and how; empty where it is segmented once.

    Also `made`, a command that follows. Both decide the result, but the stage's identity holds them already.
    """
    text = plan.stage("text", key).experiment.text
    flags: dict[str, object] = {"segmentations": text.segmentations}
    if text.segmenter == "subword_nmt":
        flags["dropout"] = text.bpe_dropout
    elif text.sentencepiece:
        flags |= text.sentencepiece.model_dump(include={"alpha", "nbest_size"})
    return {"drawn": shell(flags) if text.segmentations > 1 else "", "made": _mark_made(plan, key)}


def _mark_made(plan: Plan, key: str) -> str:
    """Return a command that puts noise and a tag on the pairs that a model has made; empty where there is none."""
    experiment, folder = plan.stage("text", key).experiment, f"results/text/{key}"
    translated = experiment.corpus.translated
    if translated is None or not (translated.tag or translated.noise):
        return ""
    flags = shell({"segmented": f"{folder}/{segmenter(experiment).folder}", "cleaning": f"{folder}/cleaning.json"})
    return f"python -m bleuprint.text.made {flags} --config {folder}/config.yaml;"


def binarise_segmentations(plan: Plan, key: str) -> Pieces:
    """Return, beside what `binarise` does, `dictionary` and `dictionaries`, flags, and the `others` of the numbers."""
    experiment = plan.stage("text", key).experiment
    joined, folder = experiment.text.joined_dictionary, f"results/text/{key}/bin.part"
    written = {"srcdict": f"{folder}/dict.{experiment.source}.txt", "tgtdict": f"{folder}/dict.{experiment.target}.txt"}
    flags = {"segmentations": experiment.text.segmentations, "joined": joined}
    known = plan.vocabulary(key)
    given = f"--given {shlex.join(known[1].values())} " if known else ""
    return binarise(plan, key) | {
        "dictionary": f"{experiment.source} {experiment.target} {given}{shell(flags)}",
        "dictionaries": shell(written if not joined else {"srcdict": written["srcdict"]}),
        "others": " ".join(map(str, range(2, experiment.text.segmentations + 1))),
    }


def binarise(plan: Plan, key: str) -> Pieces:
    """Return pieces for both rules that binarise text.

    `dictionaries`, where another text has made them, which the stage's identity holds already; `expected`, the known
    fingerprints as JSON; `difference` and `doubts`, what happens if all is not well.
    """
    choice, known = plan.stage("text", key).choice, plan.vocabulary(key)
    source, target = known[1].values() if known else (None, None)
    joined = choice.experiment.text.joined_dictionary
    return {
        "dictionaries": shell({"srcdict": source, "tgtdict": None if joined else target}),
        "expected": shlex.quote("{}" if known else expected(choice)),
        "difference": plan.runtime.fingerprint,
        "doubts": plan.runtime.doubts,
    }


def fetch_test(plan: Plan, key: str) -> Pieces:
    """Return `program`, which writes the test set, or the text to translate for another's training, with its flags.

    They say where the text comes from, its languages, and what happens if it is meaningless.
    """
    stage = plan.stage("testset", key)
    experiment = stage.experiment
    languages = {"source": experiment.source, "target": experiment.target}
    if (translated := experiment.monolingual) is not None:
        corpora = stage.others.get("genuine", ())
        files = [f"results/corpus/{corpus}/raw/train.{experiment.source}" for corpus in corpora]
        files = files or [str(path) for path in translated.files(experiment.source)]
        share = f" --share {translated.share[0]} {translated.share[1]}" if translated.share else ""
        return {"program": f"to_translate {shlex.join(files)}{share} {shell(languages)}"}
    name = str(experiment.test)
    where = {"where": experiment.corpus.tests[name], "name": name, "mirror": plan.runtime.mirror}
    return {"program": f"test_sets {shell(where | languages | {'doubts': plan.runtime.doubts})}"}


def prepare_test(plan: Plan, key: str) -> Pieces:
    """Return how the text stage prepared its own test set: its folder, its segmenter's program, its dictionaries.

    `check` is a command that checks the set; text that is translated for another's training is no test set.
    """
    experiment = plan.stage("testset", key).experiment
    text, chosen = plan.upstream("testset", key, "text", ""), segmenter(experiment)
    languages = {"source": experiment.source, "target": experiment.target}
    dictionaries = {side: f"{text}bin/dict.{language}.txt" for side, language in languages.items()}
    checked = {"folder": f"results/testset/{key}", "text": text, "name": experiment.test, "doubts": plan.runtime.doubts}
    tokenized = (f"results/testset/{key}/tokenized/test.{language}" for language in languages.values())
    return dictionaries | {
        "text": f"{text} {shell({'longest': experiment.monolingual and experiment.text.max_tokens})}",
        "apply": f"{chosen.apply} --{chosen.option}",
        "files": " ".join(tokenized),
        "languages": shell({"source_lang": experiment.source, "target_lang": experiment.target}),
        "check": ":" if experiment.monolingual else f"python -m bleuprint.text.check_test {shell(checked)}",
    }


def train(plan: Plan, key: str) -> Pieces:
    """Return `launcher`, `data`, `fairseq` (flags) and the flags of `resume`, `progress` and `checkpoint`.

    `data` names the folders of all segmentations, separated by colons; `others` are those after the first.
    """
    experiment, runtime = plan.stage("training", key).experiment, plan.runtime
    training, segmentations = experiment.training, range(1, experiment.text.segmentations + 1)
    data = [plan.upstream("training", key, "text", numbered("bin", number)) for number in segmentations]
    deterministic = training.deterministic and uses_gpu(runtime)  # on a CPU the bits are the same anyway
    first = plan.start(key)
    start = f" {shell({'finetune_from_model': first})}" if first and training.reset else ""
    return {
        "launcher": launcher(runtime, training.deterministic, training.gpus),
        "data": ":".join(data),
        "others": " ".join(data[1:]),
        "fairseq": f"{train_how(experiment, runtime, f'results/training/{key}')}{start}",
        "resume": " ".join([resume_flags(training, uses_bf16(training, runtime), deterministic), *_resume(plan, key)]),
        "progress": progress_flags(training),
        "checkpoint": checkpoint_flags(training),
    }


def _resume(plan: Plan, key: str) -> list[str]:
    """Return flags of `resume`: the text and its limits, the plugins, and the model that the training starts from.

    fairseq itself starts from that, unless the training continues the other one.
    """
    experiment = plan.stage("training", key).experiment
    data, limits = plan.upstream("training", key, "text", "bin"), as_text(length_limits(experiment))
    start = shell({"start": plan.start(key), "continued": not experiment.training.reset})
    if not experiment.training.reset:
        start += f" {shell(experiment.training.model_dump(include={'max_epoch', 'max_update'}))}"
    plugin = [f"--plugin {shlex.join(item)}" for item in by_folder(experiment.model.plugin or ()).items()]
    return [shell({"data": data, "limits": limits}), *plugin, *([start] if start else [])]


def translate(plan: Plan, key: str) -> Pieces:
    """Return pieces for both rules that run fairseq-generate.

    `launcher`; `sharded`, the same for several processes; `models` and `path`, the same checkpoints; `plugins`, the
    code that they need beside fairseq's; `tuned`, which reads the flags that tuning picked; `fairseq`, flags; the
    languages and `segmenter`; `tokenize`, how tuning counts BLEU. Models, plugins, languages and segmenter decide the
    result, but the stage's identity holds them already.
    """
    experiment, runtime = plan.stage("decoding", key).experiment, plan.runtime
    return {
        "launcher": launcher(runtime, experiment.training.deterministic),
        "sharded": _sharded(plan, key, launcher(runtime, experiment.training.deterministic)),
        "models": shlex.join(models := [f"{folder}/checkpoint.pt" for folder in plan.models(key)]),
        "path": shlex.quote(":".join(models)),
        "tuned": "".join(f"$(cat {file}) " for file in plan.tuned(key, "tuned.flags")),
        "fairseq": generate_how(experiment, runtime, plan.models(key)[0]),
        "plugins": _plugins(plan, key),
        "source": experiment.source,
        "target": experiment.target,
        "tokenize": _tokenize(experiment),
        "segmenter": f"{experiment.text.segmenter}{_no_bytes(experiment)}",
    }


def _sharded(plan: Plan, key: str, launched: str) -> str:
    """Return what precedes fairseq-generate: the launcher, and what starts several processes of it."""
    number = shards(plan.stage("decoding", key).experiment, plan.runtime)
    if number == 1:
        return launched
    leased = f" --number {number}" if uses_gpu(plan.runtime) else ""
    folder = f"results/decoding/{key}/shards"
    return f"{launched}{leased} python -m bleuprint.machine.shards --number {number} --folder {folder}"


def _no_bytes(experiment: Experiment) -> str:
    """Return a flag where SentencePiece spells nothing in bytes, so that `<0x41>` in a hypothesis is text."""
    chosen = experiment.text.sentencepiece if experiment.text.segmenter == "sentencepiece" else None
    return f" {shell({'no_byte_fallback': True})}" if chosen and not chosen.byte_fallback else ""


def _tokenize(experiment: Experiment) -> str:
    """Return sacrebleu's tokeniser for the text stage's text: none where that has tokens."""
    raw = experiment.text.tokenizers.target == "none" and experiment.text.segmenter == "sentencepiece"
    return bleu_tokenizer(experiment.target) if raw else "none"


def _plugins(plan: Plan, key: str) -> str:
    """Return the folder of the user's plugins that the model of a decoding was trained with; empty for none."""
    model = plan.stage("decoding", key).experiment.model
    return f"{plan.models(key)[0]}/{plugins.FOLDER}" if model.plugin else ""


def convert(plan: Plan, key: str) -> Pieces:
    """Return `plugin`, the --user-dir, `model`, the checkpoint, and `plugins`, as `translate` does."""
    (folder,) = plan.models(key)
    user_dir = user_dir_of(plan.stage("decoding", key).experiment, folder)
    model = f"{folder}/checkpoint.pt"
    return {"plugin": shlex.quote(str(user_dir)), "model": model, "plugins": _plugins(plan, key)}


def translate_converted(plan: Plan, key: str) -> Pieces:
    """Return `launcher`, `flags`, and the `source` language and `segmenter`, which are in the stage's identity."""
    experiment, runtime = plan.stage("decoding", key).experiment, plan.runtime
    number = shards(experiment, runtime)
    return {
        "launcher": launcher(runtime, deterministic=False) + (f" --number {number}" if number > 1 else ""),
        "flags": translate_how(experiment, runtime) + (f" --gpus {number}" if number > 1 else ""),
        "source": experiment.source,
        "segmenter": experiment.text.segmenter,
    }


def reported(plan: Plan) -> str:
    """Return the words that tell the report's program its runs: their files, or where these are too many the call's."""
    words = " ".join(f"results/runs/{run.name}/scores.json" for run in plan.runs)
    return words if len(words) < LONGEST else "--call results/current.json"


def score(plan: Plan, key: str) -> Pieces:
    """Return `texts`, the Unicode form of the hypotheses and the folder that is searched before the network.

    Where a metric is by a model, `texts` also says what the model reads and which Python runs it, and `launcher` lends
    it a GPU; the models are in the stage's identity.
    """
    experiment, runtime = plan.stage("scoring", key).experiment, plan.runtime
    flags: dict[str, object] = {"form": experiment.text.unicode_normalization, "mirror": runtime.mirror}
    launched = ""
    if models := experiment.scoring.models:
        source = f"{plan.test_file('scoring', key, 'corpus', 'raw')}/test.{experiment.source}"
        flags |= {"source": source, "models": models, "python": comet.PYTHON, "gpu": uses_gpu(runtime)}
        launched = f"{launcher(runtime, deterministic=False)} " if uses_gpu(runtime) else ""
    return {"texts": shell(flags), "launcher": launched}
