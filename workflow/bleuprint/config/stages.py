"""The stages, each declared once: what it is made from, its jobs, and what it leaves."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Declared:
    """What the rest of bleuprint must know of a stage."""

    parents: tuple[str, ...]  # the stages whose folders it is made from
    result: str  # what its last job leaves: a folder that has it is finished
    jobs: tuple[str, ...]  # in their order; each writes JOB.log, and JOB.benchmark.tsv beside it
    files: tuple[str, ...]  # patterns of what is recorded with hashes: what it takes from outside, makes, and its keys
    optional: tuple[str, ...] = ()  # jobs that not every run has
    format: int = 1  # raised when the same keys give another result than before: all its folders get new names


# In the order in which a run goes through them
STAGES = {
    "corpus": Declared(
        parents=(),
        result="raw",
        jobs=("corpus",),
        files=("config.yaml", "downloads/*", "raw/*"),
    ),
    "text": Declared(
        parents=("corpus",),
        result="fingerprint.json",
        jobs=("tokenise", "check_text", "learn_bpe", "apply_bpe", "binarise"),
        files=("config.yaml", "tokenized/*", "codes", "bpe/*", "bin/*", "fingerprint.json", "checks.json"),
    ),
    "training": Declared(
        parents=("text",),
        result="checkpoint.pt",
        jobs=("train",),
        files=("config.yaml", "checkpoint.pt", "metrics.jsonl"),
    ),
    "decoding": Declared(
        parents=("training",),
        result="hypotheses.txt",
        jobs=("convert", "tune", "translate"),
        files=("config.yaml", "tuned.*", "generate-test.txt", "hypotheses.tok", "hypotheses.txt"),
        optional=("convert", "tune"),
    ),
    "scoring": Declared(
        parents=("decoding",),
        result="scores.json",
        jobs=("score",),
        files=("config.yaml", "scores.json", "sentences.json"),
    ),
}


def way_up(stage: str, wanted: str) -> list[str]:
    """Return the stages from a parent of `stage` up to its ancestor `wanted`; empty if that is no ancestor."""
    for parent in STAGES[stage].parents:
        rest = way_up(parent, wanted)
        if parent == wanted or rest:
            return [parent, *rest]
    return []


def ancestors(stage: str) -> set[str]:
    """Return all stages that `stage` is made from, directly or not."""
    return {one for parent in STAGES[stage].parents for one in {parent, *ancestors(parent)}}
