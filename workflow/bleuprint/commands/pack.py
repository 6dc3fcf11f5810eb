"""bleuprint pack: write all that belongs to a run into one archive, for instance to attach to a paper."""

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

from bleuprint.config.groups import KEY
from bleuprint.config.segmenters import SEGMENTERS
from bleuprint.files import DataError, read_json, replacing, sha256
from bleuprint.record import own
from bleuprint.record.provenance import NAME, RUNS, Record, base, find, read
from bleuprint.training import plugins

# Name in the archive → stage (None: the run's own folder) and file there
CONTENTS: dict[str, tuple[str | None, str]] = {
    "config.yaml": (None, "config.yaml"),
    NAME: (None, NAME),
    "commands.sh": (None, "commands.sh"),
    "scores.json": (None, "scores.json"),
    "sentences.json": ("scoring", "sentences.json"),
    "hypotheses.txt": ("decoding", "hypotheses.txt"),
    "hypotheses.tok": ("decoding", "hypotheses.tok"),
    "metrics.jsonl": ("training", "metrics.jsonl"),
    "train.log": ("training", "train.log"),
}
# Of each further test set, below tests/: file → stage
TEST_CONTENTS = {
    "scores.json": "scoring",
    "sentences.json": "scoring",
    "hypotheses.txt": "decoding",
    "hypotheses.tok": "decoding",
}
README = """{run}

{scores}

config.yaml      the resolved config of the run; stages/ holds the keys that each stage's result depends on
provenance.json  commit, versions, machine, threads; commands with times and peak memory; SHA-256 of all files
commands.sh      the commands as they ran
scores.json      the scores with intervals and signatures, for scripts; sentences.json: each sentence's scores
hypotheses.txt   the translations of the test set, in its order; hypotheses.tok: as tokens
metrics.jsonl    loss, perplexity and speed during the training; train.log: its log
{others}
The corpus is not included, since its licence may not allow it; the SHA-256 of its files in provenance.json identify it.
To repeat the run, use bleuprint at the commit named in provenance.json with the words under "asked" there.
"""


def pack(word: str, output: Path | None, checkpoint: bool) -> Path:
    """Write the archive; the same run gives the same bytes.

    Args:
        word: the run, as `provenance.find` takes it.
        output: the archive, or a folder for it; None: `<run>.tar.gz` here.
        checkpoint: include the model.

    Returns:
        The archive's path.

    Raises:
        DataError: a file is missing or no longer as recorded, or the archive cannot be written.
    """
    folder = find(word)
    known = read(folder)
    paths = _paths(known, base(folder), checkpoint)
    files = {"README.txt": _readme(known, folder, checkpoint).encode()}
    output = output or Path(f"{known['run']}.tar.gz")
    if output.is_dir():
        output = output / f"{known['run']}.tar.gz"
    try:
        with (
            replacing(output, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name in sorted(files | paths):
                entry = tarfile.TarInfo(f"{known['run']}/{name}")  # owner, group and time are 0
                entry.size = len(files[name]) if name in files else paths[name].stat().st_size
                with io.BytesIO(files[name]) if name in files else open(paths[name], "rb") as content:
                    archive.addfile(entry, content)
    except OSError as error:
        raise DataError(f"{output} cannot be written ({error.strerror}); name another place with --output.") from None
    return output


def _paths(known: Record, root: Path, checkpoint: bool) -> dict[str, Path]:
    """Return the files by their names in the archive, each checked against its recorded hash."""
    wanted = CONTENTS | {f"stages/{stage}.yaml": (stage, "config.yaml") for stage in known["stages"]}
    if "tuned.json" in known["stages"]["decoding"]["files"]:
        wanted["tuned.json"] = ("decoding", "tuned.json")
    if checkpoint:
        wanted["checkpoint.pt"] = ("training", "checkpoint.pt")
        # What training.start_from finds beside it
        wanted |= {Path(name).name: ("text", name) for name in known["stages"]["text"]["files"] if _of_vocabulary(name)}
    itself = {"folder": f"{RUNS}/{known['run']}", "files": known["files"]}
    places = {name: (known["stages"][stage] if stage else itself, file) for name, (stage, file) in wanted.items()}
    places |= {name: (itself, name) for name in own.recorded(known)}
    training = known["stages"]["training"]
    places |= {name: (training, name) for name in training["files"] if name.startswith(f"{plugins.FOLDER}/")}
    for test, stages in known.get("tests", {}).items():
        places |= {f"tests/{test}/{name}": (stages[stage], name) for name, stage in TEST_CONTENTS.items()}
        places |= {f"tests/{test}/stages/{stage}.yaml": (part, "config.yaml") for stage, part in stages.items()}
    for other in known.get("ensemble", []):
        name = Path(other["folder"]).name
        places[f"ensemble/{name}.yaml"] = (other, "config.yaml")
        places |= {f"ensemble/{name}.pt": (other, "checkpoint.pt")} if checkpoint else {}
    for other in known.get("ancestors", []):
        places[f"ancestors/{other['stage']}/{Path(other['folder']).name}.yaml"] = (other, "config.yaml")
    paths = {}
    for name, (part, file) in places.items():
        path = root / part["folder"] / file
        if not path.is_file():
            raise DataError(f"{path} does not exist any more, so the run cannot be packed.")
        recorded = part["files"].get(file)
        if recorded is not None and recorded["sha256"] != sha256(path):
            raise DataError(f"{path} is not what was recorded; bleuprint verify {known['run']} says what changed.")
        paths[name] = path
    return paths


def _of_vocabulary(name: str) -> bool:
    """Tell whether a file of the text stage is what its segmenter learnt, or a dictionary."""
    return name in {segmenter.model for segmenter in SEGMENTERS.values()} or name.startswith("bin/dict.")


def _readme(known: Record, folder: Path, checkpoint: bool) -> str:
    run = read_json(folder / "scores.json")
    scores = _scores(run)
    for name, test in run.get("tests", {}).items():
        scores += ["", f"On the further test set {name}, {test['sentences']:,} sentences:", *_scores(test)]
    others = ""
    if checkpoint:
        names = [name for name in known["stages"]["text"]["files"] if _of_vocabulary(name)]
        others = "checkpoint.pt    the model, as fairseq-generate reads it, and training.start_from; beside it its\n"
        others += f"                 dictionaries and its segmenter: {', '.join(Path(name).name for name in names)}\n"
    if own.recorded(known):
        others += f"config/          config files that are not bleuprint's; name the folder with {KEY}=config\n"
    if "tuned.json" in known["stages"]["decoding"]["files"]:
        others += "tuned.json       the beams and length penalties tried on the validation set, and the best\n"
    if any(name.startswith(f"{plugins.FOLDER}/") for name in known["stages"]["training"]["files"]):
        others += (
            "plugin/          the plugins' code: name one of these folders as model.plugin, or as fairseq's user_dir\n"
        )
    if known.get("ensemble"):
        others += "ensemble/        the trainings of the ensemble's other models\n"
    if known.get("ancestors"):
        others += "ancestors/       the keys of the stages of other runs that this one builds on\n"
    if known.get("tests"):
        others += "tests/           of each further test set the same files; its keys in its own stages/\n"
    return README.format(run=known["run"], scores="\n".join(scores), others=others)


def _scores(scored: dict[str, Any]) -> list[str]:
    return [f"{name} {metric['score']:.2f}  {metric['signature']}" for name, metric in scored["metrics"].items()]
