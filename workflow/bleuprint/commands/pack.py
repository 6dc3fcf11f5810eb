"""bleuprint pack: what belongs to a run in one archive, for instance to attach to a paper."""

import gzip
import io
import tarfile
from pathlib import Path

from bleuprint.files import DataError, read_json, replacing, sha256
from bleuprint.record.provenance import NAME, RUNS, Record, base, find, read

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
README = """{run}

{scores}

config.yaml      the resolved config of the run; stages/ holds the keys that decide each stage's result
provenance.json  commit, versions, machine, threads; commands with times and peak memory; SHA-256 of all files
commands.sh      the commands as they ran
scores.json      the scores with intervals and signatures, for scripts; sentences.json: each sentence's scores
hypotheses.txt   the translations of the test set, in its order; hypotheses.tok: as tokens
metrics.jsonl    loss, perplexity, speed over the training; train.log: its log
{others}
The corpus is not in here, since its licence may not allow it; the SHA-256 of its files in provenance.json identify it.
With bleuprint at the commit that provenance.json names, the words in its "asked" make the run again.
"""


def pack(word: str, output: Path | None, checkpoint: bool) -> Path:
    """Write the archive; the same run gives the same bytes.

    Args:
        word: the run, as `provenance.find` takes it.
        output: the archive; None: `<run>.tar.gz` here.
        checkpoint: whether the model goes along.

    Returns:
        The archive's path.

    Raises:
        DataError: a file is missing, or no longer what was recorded.
    """
    folder = find(word)
    known = read(folder)
    paths = _paths(known, base(folder), checkpoint)
    files = {"README.txt": _readme(known, folder, checkpoint).encode()}
    output = output or Path(f"{known['run']}.tar.gz")
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
    return output


def _paths(known: Record, root: Path, checkpoint: bool) -> dict[str, Path]:
    """The files by their names in the archive, each one as recorded."""
    wanted = CONTENTS | {f"stages/{stage}.yaml": (stage, "config.yaml") for stage in known["stages"]}
    if "tuned.json" in known["stages"]["decoding"]["files"]:
        wanted["tuned.json"] = ("decoding", "tuned.json")
    if checkpoint:
        wanted["checkpoint.pt"] = ("training", "checkpoint.pt")
    own = {"folder": f"{RUNS}/{known['run']}", "files": known["files"]}
    places = {name: (known["stages"][stage] if stage else own, file) for name, (stage, file) in wanted.items()}
    for other in known.get("ensemble", []):
        name = Path(other["folder"]).name
        places[f"ensemble/{name}.yaml"] = (other, "config.yaml")
        places |= {f"ensemble/{name}.pt": (other, "checkpoint.pt")} if checkpoint else {}
    found = {}
    for name, (where, file) in places.items():
        path = root / where["folder"] / file
        if not path.is_file():
            raise DataError(f"{path} is not there any more, so the run cannot be packed.")
        recorded = where["files"].get(file)
        if recorded is not None and recorded["sha256"] != sha256(path):
            raise DataError(f"{path} is not what was recorded; bleuprint verify {known['run']} says what changed.")
        found[name] = path
    return found


def _readme(known: Record, folder: Path, checkpoint: bool) -> str:
    metrics = read_json(folder / "scores.json")["metrics"]
    scores = [f"{name} {metric['score']:.2f}  {metric['signature']}" for name, metric in metrics.items()]
    others = "checkpoint.pt    the model, as fairseq-generate reads it\n" if checkpoint else ""
    if "tuned.json" in known["stages"]["decoding"]["files"]:
        others += "tuned.json       the beams and length penalties tried on the validation set, and what was picked\n"
    if known.get("ensemble"):
        others += "ensemble/        the trainings of the other models that decoded together with this one\n"
    return README.format(run=known["run"], scores="\n".join(scores), others=others)
