"""The corpus stage: fetch, generate or take parallel text → raw, aligned, untokenised train, valid and test."""

from bleuprint.config.schema import Corpus as CorpusConfig
from bleuprint.config.schema import Files, Iwslt14, Local, Runtime


def arguments(corpus: CorpusConfig, runtime: Runtime) -> list[str]:
    """Where the corpus is to be had, as arguments of `python -m bleuprint.corpus`: how, not what."""
    words: list[str] = []
    if isinstance(corpus, Iwslt14):
        words += ["--archive", corpus.archive]
    if isinstance(corpus, Iwslt14 | Files):
        words += [f"--source={source}" for source in corpus.sources]
        words += [f"--mirror={runtime.mirror}"] if runtime.mirror else []
    if isinstance(corpus, Local):
        given = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
        words += [word for part, prefix in given.items() if prefix for word in ("--local", f"{part}={prefix}")]
    return words
