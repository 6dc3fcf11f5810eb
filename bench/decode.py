"""How fast each engine decodes: fairseq-generate as its README and as the pipeline call it, ctranslate2 in both types.

The model has the size of IWSLT14's (512/1024, 6+6 layers) and random weights, made such that it never ends a sentence:
every hypothesis of every engine is then cut off when it is as long as its source, and all do the same number of decoder
steps, about as many as with a trained model. What the weights are changes no product's time.

`decode` decodes the sentences of every tenth length that the test set has, so that batches are filled as by the whole
set. Starting and loading, as long for a part as for the whole, is measured by decoding one sentence; the whole set's
time is start + (part - start) * tokens of the whole / tokens of the part. `decode_all` decodes the whole set, which
takes twenty minutes even without the call of fairseq's README.
"""

import os
import subprocess
import sys
import time
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from measure import CORES, prepared

from bleuprint.config.compose import experiments
from bleuprint.config.flags import shell
from bleuprint.config.schema import Experiment
from bleuprint.decoding.engine import quantisation, translate_how
from bleuprint.decoding.engine import translate as ctranslate2_flags
from bleuprint.files import write_lines
from bleuprint.plan.fairseq_flags import PLUGIN, generate, generate_how
from bleuprint.training.checkpoints import load

SHARE = 10
KINDS = ("float32", "int8")
END = 2  # </s>, in fairseq's dictionaries


def bench_decode(folder: Path, archive: Path, share: int = SHARE) -> dict[str, float]:
    """Sentences/s of each engine on two cores, starting and loading included.

    Args:
        folder: where the parts on `archive` work.
        archive: whose test set is decoded.
        share: every so many'th length of its sentences is.

    Returns:
        Of each the seconds to start, and sentences/s of the whole test set; of ctranslate2 the seconds of the
        conversion, which come once for a model and are not in the others; and how many times as fast each is.
    """
    text, folder = prepared(folder, archive), folder / f"decode{share}"
    folder.mkdir()
    lines = {language: (text / f"bpe/test.{language}").read_text("utf-8").splitlines() for language in ("de", "en")}
    lengths = [len(line.split()) + 1 for line in lines["de"]]  # each with its end
    part = [number for number, length in enumerate(lengths) if length % share == share // 2]
    weight = sum(lengths) / sum(lengths[number] for number in part)
    endless_model(folder, text / "bin")
    for name, numbers in (("one", [0]), ("part", part)):
        for language in lines:
            write_lines(folder / f"{name}.{language}", [lines[language][number] for number in numbers])
        dictionaries = f"--srcdict {text}/bin/dict.de.txt --tgtdict {text}/bin/dict.en.txt"
        binarise = f"fairseq-preprocess --source-lang de --target-lang en {dictionaries} --destdir {name}"
        seconds(f"{binarise} --testpref {name}", folder)
    found = {f"decoding, ctranslate2 {kind}: conversion, s": seconds(conversion(kind, text), folder) for kind in KINDS}
    calls = {"fairseq's README": readme} if share > 1 else {}
    calls |= {"fairseq": fairseq} | {f"ctranslate2 {kind}": partial(ctranslate2, kind) for kind in KINDS}
    times = {}
    for who, call in calls.items():
        start, took = (seconds(call(name), folder) for name in ("one", "part"))
        times[who] = start + (took - start) * weight
        found |= {f"decoding, {who}: start, s": start, f"decoding, {who}: sentences/s": len(lengths) / times[who]}
    ratios = {f"decoding, {who} / {other}": times[other] / times[who] for other, who in combinations(times, 2)}
    return dict(sorted(found.items())) | ratios


def bench_decode_all(folder: Path, archive: Path) -> dict[str, float]:
    """Measure the same on all sentences."""
    return bench_decode(folder, archive, share=1)


def endless_model(folder: Path, data: Path) -> None:
    """Write `model.pt`, a checkpoint that finds the sentence's end the least probable token wherever it is."""
    flags = experiment().model.flags() | {"optimizer": "adam", "max_tokens": 400, "max_update": 1, "save_dir": "once"}
    flags |= {"disable_validation": True, "no_epoch_checkpoints": True, "no_save_optimizer_state": True, "cpu": True}
    seconds(f"fairseq-train {data} {shell(flags | {'user_dir': PLUGIN.absolute()})}", folder)
    state = load(folder / "once/checkpoint_last.pt")
    # The decoder's last layer gets one output that is always 10, and of all tokens only the end heeds it
    model = state["model"]
    norm = max(name for name in model if name.endswith("final_layer_norm.weight") and "decoder" in name)
    model[norm][0], model[norm.replace("weight", "bias")][0] = 0, 10
    for name in ("decoder.embed_tokens.weight", "decoder.output_projection.weight"):
        model[name][:, 0] = 0
        model[name][END, 0] = -100
    torch.save(state, folder / "model.pt")


def experiment(*overrides: str) -> Experiment:
    """Return the default recipe."""
    return experiments({"overrides": [*overrides, "runtime.device=cpu"]})[0].experiment


def readme(name: str) -> str:
    """fairseq's README's command, but for the hypotheses' limit, and without losing the last sentences."""
    flags = "--batch-size 128 --beam 5 --remove-bpe --required-batch-size-multiple 1 --max-len-a 1 --max-len-b 0 --cpu"
    return f"fairseq-generate {name} --path model.pt {flags} --results-path . --user-dir {PLUGIN.absolute()}"


def fairseq(name: str) -> str:
    """Return the pipeline's command for fairseq; hypotheses are as long as the longest source of their batch."""
    limited = experiment("+decoding.max_len_a=1", "+decoding.max_len_b=0")
    flags = f"{generate(limited)} --results-path . {generate_how(limited, limited.runtime)}"
    return f"fairseq-generate {name} --path model.pt {flags} --user-dir {PLUGIN.absolute()}"


def conversion(kind: str, text: Path) -> str:
    """Return the pipeline's command for the conversion."""
    flags = quantisation(experiment("decoding.engine=ctranslate2", f"decoding.compute_type={kind}"))
    languages = f"--source_lang de --target_lang en --user_dir {PLUGIN.absolute()}"
    return f"ct2-fairseq-converter --model_path model.pt --data_dir {text}/bin {languages} {flags} --output_dir {kind}"


def ctranslate2(kind: str, name: str) -> str:
    """Return the pipeline's command for ctranslate2; its limit counts the end, where fairseq makes one more step."""
    length = ("+decoding.max_len_a=1", "+decoding.max_len_b=1")
    limited = experiment("decoding.engine=ctranslate2", f"decoding.compute_type={kind}", *length)
    flags = f"{ctranslate2_flags(limited)} {translate_how(limited, limited.runtime)} --threads {CORES}"
    return (
        f"{sys.executable} -m bleuprint.decoding.ctranslate --model {kind} --source {name}.de {flags}"
        f" --language en --tokens {kind}.tok --text {kind}.txt"
    )


def seconds(command: str, folder: Path) -> float:
    """Run `command` in `folder` on two cores."""
    env: dict[str, Any] = os.environ | {"OMP_NUM_THREADS": CORES, "CUDA_VISIBLE_DEVICES": ""}
    began = time.monotonic()
    with open(folder / "bench.log", "a") as log:
        if subprocess.run(command.split(), cwd=folder, env=env, stdout=log, stderr=log).returncode != 0:
            sys.exit(f"{command} failed; see {folder / 'bench.log'}")
    return time.monotonic() - began
