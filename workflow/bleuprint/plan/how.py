"""How the rules' commands run: device, launcher, log, and the flags of bleuprint's own programs beside fairseq's.

Nothing here decides a result. Each function takes the plan and the key of a stage's folder, and returns pieces of the
rule's command, quoted for the shell; a rule names them one by one, as `{params.how[launcher]}`.
"""

import shlex

from bleuprint.config.flags import shell
from bleuprint.config.schema import Experiment
from bleuprint.corpus import arguments
from bleuprint.decoding.engine import translate_how
from bleuprint.machine.device import launcher, uses_bf16, uses_gpu
from bleuprint.plan.fairseq_flags import PLUGIN, generate_how, train_how
from bleuprint.plan.keys import Plan
from bleuprint.plan.lengths import limits as length_limits
from bleuprint.scoring.languages import TOKENIZERS, language
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


def binarise(plan: Plan, key: str) -> Pieces:
    """Return `expected`, the known fingerprints as JSON, and `difference`, what happens if the text has others."""
    choice = plan.stage("text", key).choice
    return {"expected": shlex.quote(expected(choice)), "difference": plan.runtime.fingerprint}


def train(plan: Plan, key: str) -> Pieces:
    """Return `launcher`, `fairseq` (flags) and the flags of `resume`, `progress` and `checkpoint`."""
    experiment, runtime = plan.stage("training", key).experiment, plan.runtime
    training = experiment.training
    deterministic = training.deterministic and uses_gpu(runtime)  # on a CPU the bits are the same anyway
    return {
        "launcher": launcher(runtime, training.deterministic),
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
    flags; `target` and `segmenter`; `tokenize`, how tuning counts BLEU. Models, target language and segmenter decide
    the result, but the stage's identity holds them already.
    """
    experiment, runtime = plan.stage("decoding", key).experiment, plan.runtime
    return {
        "launcher": launcher(runtime, experiment.training.deterministic),
        "models": shlex.join(models := [f"{folder}/checkpoint.pt" for folder in plan.models(key)]),
        "path": shlex.quote(":".join(models)),
        "tuned": "".join(f"$(cat {file}) " for file in plan.tuned(key, "tuned.flags")),
        "fairseq": generate_how(experiment, runtime),
        "target": experiment.target,
        "tokenize": _tokenize(experiment),
        "segmenter": experiment.text.segmenter,
    }


def _tokenize(experiment: Experiment) -> str:
    """Return sacrebleu's tokeniser for the text stage's text: none where that has tokens."""
    raw = experiment.text.tokenizers.target == "none" and experiment.text.segmenter == "sentencepiece"
    return TOKENIZERS.get(language(experiment.target), "13a") if raw else "none"


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
