"""The subword model of spBLEU (tokenize: flores200), which sacreBLEU reads from its own cache."""

import os
from pathlib import Path

from bleuprint.files import DataError, replacing, visible

KEY = "flores200"
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
REASON = 200  # characters of an error's words that are repeated


def provide_model(mirror: Path | None = None) -> None:
    """Put the model into sacreBLEU's cache, from a mirror or from where sacreBLEU gets it, unless it is there already.

    Args:
        mirror: a folder that is searched first; the file there has the name that it has in the cache.

    Raises:
        DataError: it could not be downloaded, or is no model.
    """
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    url = SPM_MODELS[KEY]["url"]
    cached = Path(SACREBLEU_DIR, "models", os.path.basename(url))
    if cached.exists():
        if not _is_model(cached.read_bytes()):
            raise DataError(f"{cached} is no SentencePiece model; delete it and run the same command again.")
        return
    mirrored = mirror / cached.name if mirror else None
    source = str(mirrored) if mirrored and mirrored.is_file() else url
    content, reason = (Path(source).read_bytes(), "") if source != url else _download(url)
    if not _is_model(content):
        raise DataError(
            f"{source}: {reason or 'no SentencePiece model'}; tokenize={KEY} (spBLEU) needs it, so put it as "
            f'{cached.name} into a folder and set overrides="runtime.mirror=FOLDER", or choose other metrics.'
        )
    with replacing(cached, "wb") as file:
        file.write(content)


def _download(url: str) -> tuple[bytes, str]:
    """Return a file's bytes, and why it could not be downloaded, if so; sacreBLEU's own download has no time limit."""
    import requests

    try:
        response = requests.get(url, timeout=TIMEOUT)
        response.raise_for_status()
    except requests.ConnectionError:
        return b"", "no connection"
    except (requests.RequestException, ValueError) as error:
        return b"", visible(str(error))[:REASON]
    return response.content, ""


def _is_model(content: bytes) -> bool:
    """Tell whether SentencePiece can read a file's bytes."""
    from sentencepiece import SentencePieceProcessor

    try:
        return bool(content) and SentencePieceProcessor(model_proto=content).vocab_size() > 0
    except (OSError, RuntimeError, ValueError):
        return False
