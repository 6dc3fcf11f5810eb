"""How the rules' commands run: device, launcher, log, and the flags of bleuprint's own programs beside fairseq's.

Nothing here decides a result. Each function takes the plan and the key of a stage's folder, and returns pieces of the
rule's command, quoted for the shell; a rule names them one by one, as `{params.how[launcher]}`.
"""

import shlex

from bleuprint.config.flags import shell
from bleuprint.config.schema import Experiment
from bleuprint.config.segmenters import numbered, segmenter
from bleuprint.corpus import arguments
from bleuprint.decoding.engine import translate_how
from bleuprint.machine.device import launcher, uses_bf16, uses_gpu
from bleuprint.plan.fairseq_flags import PLUGIN, generate_how, train_how
from bleuprint.plan.keys import Plan
from bleuprint.plan.lengths import limits as length_limits
from bleuprint.scoring.languages import bleu_tokenizer
from bleuprint.text.fingerprint import expected
from bleuprint.training import checkpoint_flags, progress_flags, resume_flags
from bleuprint.training.lengths import as_text

Pieces = dict[str, str]


def raw_text(plan: Plan, key: str) -> Pieces:
    """Return `sources`: where the corpus comes from."""
    return {"sources": shlex.join(arguments(plan.stage("corpus", key).experiment.corpus, plan.runtime))}


def tokenise(plan: Plan, key: str) -> Pieces:
    """Return `least`: the share of the training pairs that cleaning must keep."""
    return {"least": str(plan.runtime.min_kept)}


def check_text(plan: Plan, key: str) -> Pieces:
    """Return `raw`, the corpus, and `doubts`, what happens if the text makes a score meaningless.

    The corpus is no input of the rule, as it was none when finished texts were checked.
    """
    return {"raw": plan.upstream("text", key, "corpus", "raw"), "doubts": plan.runtime.doubts}


def segment(plan: Plan, key: str) -> Pieces:
    """Return `drawn`: how often train is segmented at random, and how; empty where it is segmented once.

    It decides the result, but the stage's identity holds it already.
    """
    text = plan.stage("text", key).experiment.text
    flags: dict[str, object] = {"segmentations": text.segmentations}
    if text.segmenter == "subword_nmt":
        flags["dropout"] = text.bpe_dropout
    elif text.sentencepiece:
        flags |= text.sentencepiece.model_dump(include={"alpha", "nbest_size"})
    return {"drawn": shell(flags) if text.segmentations > 1 else ""}


def binarise_segmentations(plan: Plan, key: str) -> Pieces:
    """Return, beside what `binarise` does, `dictionary` and `dictionaries`, flags, and the `others` of the numbers."""
    experiment = plan.stage("text", key).experiment
    joined, folder = experiment.text.joined_dictionary, f"results/text/{key}/bin.part"
    written = {"srcdict": f"{folder}/dict.{experiment.source}.txt", "tgtdict": f"{folder}/dict.{experiment.target}.txt"}
    flags = {"segmentations": experiment.text.segmentations, "joined": joined}
    return binarise(plan, key) | {
        "dictionary": f"{experiment.source} {experiment.target} {shell(flags)}",
        "dictionaries": shell(written if not joined else {"srcdict": written["srcdict"]}),
        "others": " ".join(map(str, range(2, experiment.text.segmentations + 1))),
    }


def binarise(plan: Plan, key: str) -> Pieces:
    """Return `expected`, the known fingerprints as JSON; `difference` and `doubts`, what happens if all is not well."""
    choice = plan.stage("text", key).choice
    known = shlex.quote(expected(choice))
    return {"expected": known, "difference": plan.runtime.fingerprint, "doubts": plan.runtime.doubts}


def fetch_test(plan: Plan, key: str) -> Pieces:
    """Return `source`: where the test set comes from, its languages, and what happens if it is meaningless."""
    experiment = plan.stage("testset", key).experiment
    where = {"where": experiment.corpus.tests[str(experiment.test)], "mirror": plan.runtime.mirror}
    languages = {"source": experiment.source, "target": experiment.target}
    return {"source": shell(where | languages | {"doubts": plan.runtime.doubts})}


def prepare_test(plan: Plan, key: str) -> Pieces:
    """Return how the text stage prepared its own test set: its folder, its segmenter's program, its dictionaries."""
    experiment = plan.stage("testset", key).experiment
    text, chosen = plan.upstream("testset", key, "text", ""), segmenter(experiment)
    languages = {"source": experiment.source, "target": experiment.target}
    dictionaries = {side: f"{text}bin/dict.{language}.txt" for side, language in languages.items()}
    tokenized = (f"results/testset/{key}/tokenized/test.{language}" for language in languages.values())
    return dictionaries | {
        "text": text,
        "apply": f"{chosen.apply} --{chosen.option}",
        "files": " ".join(tokenized),
        "languages": shell({"source_lang": experiment.source, "target_lang": experiment.target}),
    }


def train(plan: Plan, key: str) -> Pieces:
    """Return `launcher`, `data`, `fairseq` (flags) and the flags of `resume`, `progress` and `checkpoint`.

    `data` names the folders of all segmentations, separated by colons; `others` are those after the first.
    """
    experiment, runtime = plan.stage("training", key).experiment, plan.runtime
    training, segmentations = experiment.training, range(1, experiment.text.segmentations + 1)
    data = [plan.upstream("training", key, "text", numbered("bin", number)) for number in segmentations]
    deterministic = training.deterministic and uses_gpu(runtime)  # on a CPU the bits are the same anyway
    return {
        "launcher": launcher(runtime, training.deterministic),
        "data": ":".join(data),
        "others": " ".join(data[1:]),
        "fairseq": train_how(experiment, runtime, f"results/training/{key}"),
        "resume": f"{resume_flags(training, uses_bf16(training, runtime), deterministic)} {_lengths(plan, key)}",
        "progress": progress_flags(training),
        "checkpoint": checkpoint_flags(training),
    }


def _lengths(plan: Plan, key: str) -> str:
    """Return flags of `resume`: the text, and how long its lines may be."""
    limits = as_text(length_limits(plan.stage("training", key).experiment))
    return shell({"data": plan.upstream("training", key, "text", "bin"), "limits": limits})


def translate(plan: Plan, key: str) -> Pieces:
    """Return pieces for both rules that run fairseq-generate.

    `launcher`; `models` and `path`, the same checkpoints; `tuned`, which reads the flags that tuning picked; `fairseq`,
    flags; the languages and `segmenter`; `tokenize`, how tuning counts BLEU. Models, languages and segmenter decide the
    result, but the stage's identity holds them already.
    """
    experiment, runtime = plan.stage("decoding", key).experiment, plan.runtime
    return {
        "launcher": launcher(runtime, experiment.training.deterministic),
        "models": shlex.join(models := [f"{folder}/checkpoint.pt" for folder in plan.models(key)]),
        "path": shlex.quote(":".join(models)),
        "tuned": "".join(f"$(cat {file}) " for file in plan.tuned(key, "tuned.flags")),
        "fairseq": generate_how(experiment, runtime),
        "source": experiment.source,
        "target": experiment.target,
        "tokenize": _tokenize(experiment),
        "segmenter": experiment.text.segmenter,
    }


def _tokenize(experiment: Experiment) -> str:
    """Return sacrebleu's tokeniser for the text stage's text: none where that has tokens."""
    raw = experiment.text.tokenizers.target == "none" and experiment.text.segmenter == "sentencepiece"
    return bleu_tokenizer(experiment.target) if raw else "none"


def convert(plan: Plan, key: str) -> Pieces:
    """Return `plugin`, the folder of bleuprint's fairseq plugin, and `model`, the checkpoint."""
    (folder,) = plan.models(key)
    return {"plugin": shlex.quote(str(PLUGIN)), "model": f"{folder}/checkpoint.pt"}


def translate_converted(plan: Plan, key: str) -> Pieces:
    """Return `launcher`, `flags`, and the `source` language and `segmenter`, which are in the stage's identity."""
    experiment, runtime = plan.stage("decoding", key).experiment, plan.runtime
    return {
        "launcher": launcher(runtime, deterministic=False),
        "flags": translate_how(experiment, runtime),
        "source": experiment.source,
        "segmenter": experiment.text.segmenter,
    }


def score(plan: Plan, key: str) -> Pieces:
    """Return `texts`: the Unicode form of the hypotheses, and the folder that is searched before the network."""
    form = plan.stage("scoring", key).experiment.text.unicode_normalization
    return {"texts": shell({"form": form, "mirror": plan.runtime.mirror})}
