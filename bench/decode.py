"""How fast each engine decodes: fairseq-generate as the pipeline calls it, ctranslate2 in float32 and in int8.

The model has the size of IWSLT14's (512/1024, 6+6 layers) and random weights, made such that it never ends a sentence:
every hypothesis of every engine is then cut off at the test set's mean length, and all do exactly the same number of
decoder steps. What the weights are changes no product's time. A trained model ends its sentences at different steps,
for both engines alike, so that its seconds are others, but hardly the ratio.

`decode` decodes every tenth sentence of the test set. Starting and loading, as long for a tenth as for the whole, is
measured by decoding one sentence, and the whole set's time is start + (tenth - start) * 10. `decode_all` decodes the
whole set, a quarter of an hour.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from measure import CORES, prepared

import bleuprint.fairseq_plugin  # noqa: F401  (allow-lists what fairseq's checkpoints need)
from bleuprint.config import experiments
from bleuprint.decoding.engine import quantisation
from bleuprint.decoding.engine import translate as ctranslate2_flags
from bleuprint.fairseq_flags import PLUGIN, generate
from bleuprint.flags import shell
from bleuprint.schema import Experiment

SHARE = 10
END = 2  # </s>, in fairseq's dictionaries


def bench_decode(folder: Path, archive: Path, share: int = SHARE) -> dict[str, float]:
    """Sentences/s of each engine on two cores, starting and loading included.

    Args:
        folder: where the parts on `archive` work.
        archive: whose test set is decoded.
        share: every so many'th sentence of it is.

    Returns:
        Of each engine the seconds to start, and sentences/s of the whole test set; of ctranslate2's also the ratio to
        fairseq's, and the seconds of the conversion, which come once for a model and are not in the others.
    """
    text, folder = prepared(folder, archive), folder / f"decode{share}"
    folder.mkdir()
    lines = {language: (text / f"bpe/test.{language}").read_text("utf-8").splitlines() for language in ("de", "en")}
    steps = round(sum(len(line.split()) for line in lines["en"]) / len(lines["en"]))
    endless_model(folder, text / "bin")
    for name, step in (("one", len(lines["de"])), ("part", share)):
        for language in lines:
            (folder / f"{name}.{language}").write_text("\n".join(lines[language][::step]) + "\n", "utf-8")
        dictionaries = f"--srcdict {text}/bin/dict.de.txt --tgtdict {text}/bin/dict.en.txt"
        binarise = f"fairseq-preprocess --source-lang de --target-lang en {dictionaries} --destdir {name}"
        seconds(f"{binarise} --testpref {name}", folder)
    times = {"fairseq": [seconds(fairseq(name, steps), folder) for name in ("one", "part")]}
    found = {}
    for kind in ("float32", "int8"):
        made = f"ctranslate2 {kind}"
        found[f"decoding, {made}: conversion, s"] = seconds(conversion(kind, text / "bin"), folder)
        times[made] = [seconds(ctranslate2(kind, name, steps), folder) for name in ("one", "part")]
    sentences = len(lines["de"])
    for name, (start, part) in times.items():
        rate = sentences / (start + (part - start) * sentences / len(lines["de"][::share]))
        found |= {f"decoding, {name}: start, s": start, f"decoding, {name}: sentences/s": rate}
    rate = found["decoding, fairseq: sentences/s"]
    for made in times.keys() - {"fairseq"}:
        found[f"decoding, {made} / fairseq"] = found[f"decoding, {made}: sentences/s"] / rate
    return dict(sorted(found.items()))


def bench_decode_all(folder: Path, archive: Path) -> dict[str, float]:
    """The same of all sentences."""
    return bench_decode(folder, archive, share=1)


def endless_model(folder: Path, data: Path) -> None:
    """Write `model.pt`, a checkpoint that finds the sentence's end the least probable token wherever it is."""
    flags = experiment().model.flags() | {"optimizer": "adam", "max_tokens": 400, "max_update": 1, "save_dir": "once"}
    flags |= {"disable_validation": True, "no_epoch_checkpoints": True, "no_save_optimizer_state": True, "cpu": True}
    seconds(f"fairseq-train {data} {shell(flags | {'user_dir': PLUGIN.absolute()})}", folder)
    state = torch.load(folder / "once/checkpoint_last.pt", weights_only=True)
    # The decoder's last layer gets one output that is always 10, and of all tokens only the end heeds it
    model = state["model"]
    norm = max(name for name in model if name.endswith("final_layer_norm.weight") and "decoder" in name)
    model[norm][0], model[norm.replace("weight", "bias")][0] = 0, 10
    for name in ("decoder.embed_tokens.weight", "decoder.output_projection.weight"):
        model[name][:, 0] = 0
        model[name][END, 0] = -100
    torch.save(state, folder / "model.pt")


def experiment(*overrides: str) -> Experiment:
    """The default recipe."""
    return experiments({"overrides": list(overrides)})[0].experiment


def fairseq(name: str, steps: int) -> str:
    """The pipeline's command for fairseq, with the hypotheses' length."""
    flags = generate(experiment(f"+decoding.max_len_b={steps}"))
    return f"fairseq-generate {name} --path model.pt {flags} --results-path . --cpu --user-dir {PLUGIN.absolute()}"


def conversion(kind: str, data: Path) -> str:
    """The pipeline's command for the conversion."""
    flags = quantisation(experiment("decoding.engine=ctranslate2", f"decoding.compute_type={kind}"))
    languages = f"--source_lang de --target_lang en --user_dir {PLUGIN.absolute()}"
    return f"ct2-fairseq-converter --model_path model.pt --data_dir {data} {languages} {flags} --output_dir {kind}"


def ctranslate2(kind: str, name: str, steps: int) -> str:
    """The pipeline's command for ctranslate2; its limit counts the end, for which fairseq makes one more step."""
    words = ("decoding.engine=ctranslate2", f"decoding.compute_type={kind}", f"+decoding.max_len_b={steps + 1}")
    return (
        f"{sys.executable} -m bleuprint.decoding.ctranslate --model {kind} --source {name}.de"
        f" {ctranslate2_flags(experiment(*words))} --threads {CORES} --language en"
        f" --tokens {kind}.tok --text {kind}.txt"
    )


def seconds(command: str, folder: Path) -> float:
    """Run `command` in `folder` on two cores."""
    env: dict[str, Any] = os.environ | {"OMP_NUM_THREADS": CORES, "CUDA_VISIBLE_DEVICES": ""}
    began = time.monotonic()
    with open(folder / "bench.log", "a") as log:
        if subprocess.run(command.split(), cwd=folder, env=env, stdout=log, stderr=log).returncode != 0:
            sys.exit(f"{command} failed; see {folder / 'bench.log'}")
    return time.monotonic() - began
