"""Keep models that were converted for ctranslate2, with what proves that they are whole and of today's checkpoint."""

import atexit
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from bleuprint.decoding.convert import convert, own_type
from bleuprint.files import DataError, read_json, remove, sha256, temporary_name, write_json

PROOF = "proof.json"  # in the folder of a converted model: the hashes of what it was made from, and of its files


def converted(config: dict[str, Any], folders: dict[str, Path], compute_type: str) -> Path:
    """Return the folder of a run's model for ctranslate2; convert the model if it is missing, damaged or out of date.

    Args:
        config: the run's resolved config.
        folders: the folders of the run's stages. The converted model is in that of decoding: as `ctranslate2` with the
            run's own compute type, else as `ctranslate2-int8` or `ctranslate2-float32`. If decoding may not be written
            to, it is in a temporary folder, until this process ends.
        compute_type: `float32` or `int8`.

    Raises:
        DataError: the model cannot be converted.
    """
    checkpoint, target = folders["training"] / "checkpoint.pt", _target(config, folders["decoding"], compute_type)
    if _holds(target, checkpoint):
        return target
    if not checkpoint.exists():
        raise DataError(f"{checkpoint} does not exist any more, so the model cannot be converted; restore it.")
    print("bleuprint: converting the model for ctranslate2, which is done once …", file=sys.stderr, flush=True)
    temporary = temporary_name(target)
    try:
        temporary.mkdir()
    except OSError as error:
        temporary = Path(mkdtemp(prefix="bleuprint-"))
        atexit.register(remove, temporary)
        print(f"bleuprint: {target.parent}: {error.strerror}, so it is not kept.", file=sys.stderr, flush=True)
        convert(config, folders, compute_type, temporary / "model")
        return temporary / "model"
    try:
        convert(config, folders, compute_type, temporary / "model")
        _prove(temporary / "model", checkpoint)
        if not _holds(target, checkpoint):  # which another process may have made meanwhile
            remove(target)
            (temporary / "model").rename(target)
    except OSError as error:
        raise DataError(f"{target} could not be written ({error.strerror}); run the same command again.") from None
    finally:
        remove(temporary)
    return target


def _target(config: dict[str, Any], decoding: Path, compute_type: str) -> Path:
    # convert.log: that `ctranslate2` is the pipeline's, which proves it by its own means
    own = compute_type == own_type(config) and not (decoding / "convert.log").exists()
    return decoding / ("ctranslate2" if own else f"ctranslate2-{compute_type}")


def _prove(folder: Path, checkpoint: Path) -> None:
    """Write down what the model was made from and what it is."""
    hashes = {path.name: sha256(path) for path in folder.iterdir()}
    stamp = {"checkpoint": sha256(checkpoint), "stamp": _stamp(checkpoint), "ctranslate2": version("ctranslate2")}
    write_json(folder / PROOF, stamp | {"files": hashes})


def _holds(folder: Path, checkpoint: Path) -> bool:
    """Tell whether a converted model is as it was made, and made from this checkpoint; from any if that is gone."""
    try:
        proof = read_json(folder / PROOF)
        whole = all(sha256(folder / name) == digest for name, digest in proof["files"].items())
    except (OSError, ValueError, LookupError, AttributeError):
        return False
    if not whole or not checkpoint.exists():
        return whole
    same = proof.get("stamp") == _stamp(checkpoint) or proof.get("checkpoint") == sha256(checkpoint)
    return bool(same and proof.get("ctranslate2") == version("ctranslate2"))


def _stamp(path: Path) -> list[int]:
    # ctime catches a file whose mtime was set back
    status = path.stat()
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
