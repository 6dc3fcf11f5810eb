"""Collect what the page says about each text: its checks, what cleaning left out, subwords unknown to the model."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bleuprint.corpus.doubts import KEPT, RULES, doubts
from bleuprint.corpus.leaks import leak
from bleuprint.record.provenance import read_slice
from bleuprint.report.facts import checks, fingerprint
from bleuprint.report.groups import Run
from bleuprint.text.tokenisers import sides
from bleuprint.text.unknown import LOUD, shown

# Figure of a file → what it counts
FIGURES = {"markup": "with markup", "mojibake": "decoded wrongly", "languages": "in another language"}


def texts(runs: list[Run], names: dict[str, str]) -> list[dict[str, Any]]:
    """Return each checked text.

    Args:
        runs: the runs.
        names: each run's label.

    Returns:
        For each text its folder's `name`, its `steps`, the labels of the `runs` that share it, its `checks`, the
        sentences `doubts` and `leaks`, what `mixture`, `cleaning`, `files` and `unknown_subwords` return as `mixture`,
        `cleaning`, `files` and `unknown`, and `many_unknown`: they are enough to be a warning.
    """
    shared: dict[str, list[Run]] = {}
    for run in runs:
        shared.setdefault(run["stages"]["text"], []).append(run)
    return [
        {
            "name": Path(folder).name,
            "steps": steps(settings := read_slice(Path(folder))),
            "mixture": mixture(checked, settings, sharing[0].get("family", ())),
            "runs": [names[run["run"]] for run in sharing],
            "checks": checked,
            "doubts": [
                doubt.sentence for doubt in doubts({key: value for key, value in checked.items() if key != "cleaning"})
            ],
            "leaks": [sentence for part, counts in checked["parts"].items() if (sentence := leak(part, counts))],
            "cleaning": cleaning(checked),
            "files": files(checked),
            "unknown": unknown_subwords(facts.get("unknown", {}), facts.get("unknown_examples", {})),
            "many_unknown": max(facts.get("unknown", {}).values(), default=0) > LOUD,
        }
        for folder, sharing in shared.items()
        if (checked := checks(sharing[0]))
        for facts in [fingerprint(sharing[0])]
    ]


def steps(settings: Any) -> str:
    """Return a sentence on how a text was made, from the slice of its stage; empty where that was deleted."""
    if not isinstance(settings, dict) or "tokenizer" not in settings:
        return ""
    names = dict(zip((settings["source"], settings["target"]), sides(settings["tokenizer"]), strict=True))
    tokenisers = {f"{name} for {language}" for language, name in names.items()}
    tokeniser = " and ".join(sorted(tokenisers)) if len(set(names.values())) > 1 else next(iter(names.values()))
    form = settings.get("unicode_normalization")
    pieces = settings.get("sentencepiece")
    subwords = (
        f"SentencePiece ({pieces['model_type']}, {pieces['vocab_size']:,} pieces)"
        if pieces
        else f"BPE ({settings['merges']:,} merges)"
    )
    times = f", {settings['segmentations']} segmentations" if "segmentations" in settings else ""
    case = "lower case" if settings["lowercase"] else "case as it is"
    return f"Made by: tokeniser {tokeniser}, {case}, {f'Unicode form {form}, ' if form else ''}{subwords}{times}."


def mixture(checked: dict[str, Any], settings: Any, family: Iterable[Mapping[str, Any]]) -> str:
    """Return a sentence that tells genuine pairs from those that a model has made; empty where all are genuine.

    Args:
        checked: of checks.json.
        settings: the slice of the text's stage.
        family: the models that a run on this text builds on.
    """
    counts = checked.get("cleaning", {}).get("train")
    if not counts:
        return ""
    times = {0: ", which are not trained on", 1: ""}.get(counts["copies"], f" (× {counts['copies']})")
    sentence = f"{counts['genuine']:,} genuine pairs{times}"
    translated = settings.get("translated") if isinstance(settings, dict) else None
    if translated or counts["made"]:
        models = [Path(member["folder"]).name for member in family if member["role"] == "text translated by"]
        sentence += (
            f"{';' if counts['copies'] == 0 else ' and'} {counts['made']:,} made by {' '.join(models) or 'a model'}"
        )
    if translated:
        extras = [f"{translated['side']} side genuine"]
        extras += [f"tag {translated['tag']}"] if translated.get("tag") else []
        extras += ["with noise"] if translated.get("noise") else []
        sentence += f" ({', '.join(extras)})"
    return f"Training text: {sentence}{'; each in both directions' if counts['bidirectional'] else ''}."


def cleaning(checked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what cleaning left out of the training pairs and, if there are any, of those that a model has made.

    Returns:
        For each kind of pairs `kind`; `sentence`; `left_out`, (rule, pairs, share) of each rule; `much`, more than
        cleaning should leave out. Nothing if it was not recorded.
    """
    counts = checked.get("cleaning", {})
    kinds = {"training pairs": counts, "pairs made by a model": counts.get("made", {})}
    return [_cleaned(kind, **figures) for kind, figures in kinds.items() if figures]


def _cleaned(
    kind: str, pairs: int, left_out: dict[str, int], test_sets: dict[str, int] | None = None, **_: Any
) -> dict[str, Any]:
    if not any(left_out.values()):
        return {"kind": kind, "sentence": f"Cleaning kept all {pairs:,} {kind}.", "left_out": [], "much": False}
    kept = pairs - sum(left_out.values())
    in_test_sets = ", ".join(f"{name} {count:,}" for name, count in (test_sets or {}).items())
    also = f" Of the pairs left out so many are in further test sets: {in_test_sets}." if in_test_sets else ""
    return {
        "kind": kind,
        "sentence": f"Cleaning kept {kept:,} of {pairs:,} {kind} ({kept / pairs:.1%}).{also}",
        "left_out": [(RULES[rule], f"{count:,}", f"{count / pairs:.2%}") for rule, count in left_out.items()],
        "much": kept + left_out.get("ratio", 0) < KEPT * pairs,
    }


def files(checked: dict[str, Any]) -> dict[str, Any] | None:
    """Return the table of the checks of each file; None in runs of older versions.

    Returns:
        `names` of the files; `rows`, each a figure's name and a cell for each file; `examples`, each the file's and the
        figure's name, and lines as checks.json has them.
    """
    raw, forms = checked.get("files", {}), checked.get("forms", {})
    if not forms:
        return None
    names = [*forms]
    counted = {name: figures | {"others": sum(figures.get("languages", {}).values())} for name, figures in raw.items()}
    columns = [counted.get(name, {}) for name in names]
    rows = [
        ("all", [_count(column, "lines") for column in columns]),
        (FIGURES["markup"], [_count(column, "markup") for column in columns]),
        (FIGURES["mojibake"], [_count(column, "mojibake", "mojibake_of") for column in columns]),
        (FIGURES["languages"], [_count(column, "others", "judged") for column in columns]),
        ("not in Unicode form NFC", [_count(forms[name], "decomposed", "two_forms") for name in names]),
    ]
    examples = [
        (f"{name}: {FIGURES[figure]}", lines)
        for name, kinds in checked.get("file_examples", {}).items()
        for figure, lines in kinds.items()
    ]
    return {"names": names, "rows": rows, "examples": examples}


def _count(figures: Mapping[str, int], name: str, of: str | None = None) -> str:
    """Return a figure, and of how many lines; a dash where there are none."""
    if of is None:
        return f"{figures[name]:,}" if name in figures else "–"
    return f"{figures[name]:,} of {figures[of]:,}" if figures.get(of) else "–"


def unknown_subwords(shares: dict[str, float], examples: Mapping[str, list[tuple[str, int]]]) -> str:
    """Return a sentence on the share of each file's subwords that the model's dictionary lacks; empty if unrecorded."""
    if not shares:
        return ""
    lacking = [f"{share:.2%} of {name}{_frequent(examples.get(name))}" for name, share in shares.items() if share]
    if not lacking:
        return "The model's dictionaries have all subwords of all files."
    others = "; none of the other files" if len(lacking) < len(shares) else ""
    return f"Subwords that the model's dictionaries lack: {', '.join(lacking)}{others}."


def _frequent(subwords: list[tuple[str, int]] | None) -> str:
    return f" (most often {', '.join(shown(subword) for subword, _ in subwords)})" if subwords else ""
