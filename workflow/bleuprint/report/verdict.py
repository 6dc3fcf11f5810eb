"""Tell what a score means: beside the recipe's published one, with possible causes of a low one from the run's data."""

from typing import Any

from bleuprint.report.facts import costs, fingerprint
from bleuprint.report.groups import Group, Run
from bleuprint.scoring.metrics import kind_of
from bleuprint.text.fingerprint import differences

# Keys that differ from the recipe's where the corpus is another one, about which its score says nothing
OTHER_CORPUS = {"corpus.kind", "corpus.languages"}
# sacrebleu's tokeniser → what BLEU counts, where that is not words
UNITS = {"char": " by characters", "flores200": " by subwords (spBLEU)"}


def verdict(run: Run, config: dict[str, Any]) -> dict[str, Any] | None:
    """Return the verdict: REPRODUCED, LOW, HIGH or NOT COMPARABLE; None if no score was published for this corpus.

    Args:
        run: the run's scores.json.
        config: the run's resolved config.

    Returns:
        `word`, `score`, `low`, `high`, `metric`, `source`, and `because`, a list of reasons.
    """
    expected = run["expected"]
    if expected is None or expected["changed"].keys() & OTHER_CORPUS:
        return None
    published = {key: expected[key] for key in ("metric", "low", "high", "source")}
    score = run["metrics"].get(expected["metric"], {}).get("score")
    if reasons := incomparable(run, config):
        word, because = "NOT COMPARABLE", reasons
    elif score < expected["low"]:
        word, because = "LOW", causes(run, config)
    elif expected["high"] is not None and score > expected["high"]:
        word, because = "HIGH", ["look for test sentences in the training text first", *data(run, config)]
    else:
        word, because = "REPRODUCED", data(run, config)
    return published | {"word": word, "score": score, "because": because}


def verdict_lines(groups: list[Group]) -> list[str]:
    """Return a sentence on each verdict; runs of a group with the same verdict for the same reasons share one."""
    lines = []
    for group in groups:
        alike: dict[tuple[str, ...], list[Run]] = {}
        for run in group.runs:
            if judged := run.get("verdict"):
                alike.setdefault((judged["word"], *judged["because"]), []).append(run)
        for (word, *because), runs in alike.items():
            name = runs[0]["run"]
            if len(runs) > 1:
                name = f"{group.label}, seeds {', '.join(str(run['seed']) for run in runs)}"
            published = runs[0]["verdict"]
            scores = [run["verdict"]["score"] for run in runs if run["verdict"]["score"] is not None]
            ends = dict.fromkeys(f"{end(scores):.2f}" for end in (min, max) if scores)
            bound = f"{published['low']} to {published['high']}" if published["high"] else f"{published['low']} or more"
            score = "–".join(ends) or "–"
            reasons = "".join(f"; {reason}" for reason in because)
            lines.append(
                f"{name}: {word}, {published['metric']} {score}, published {bound} ({published['source']}){reasons}."
            )
    return lines


def unpublished(runs: list[Run]) -> list[str]:
    """Return a sentence on each corpus and recipe that has no published score."""
    names = dict.fromkeys((run["corpus"], run["recipe"]) for run in runs if not run.get("verdict"))
    return [
        f"No published score is known for the corpus {corpus} with the recipe {recipe}: "
        "compare these scores only with those of other runs on the same test set."
        for corpus, recipe in names
    ]


def meaning(metric: dict[str, Any]) -> str:
    """Return what a metric measures, in a few words."""
    kind, unit = kind_of(metric["config"]), UNITS.get(metric["config"]["tokenize"] or "", "")
    text = "the tokenised text" if metric["config"]["text"] == "tokens" else "the detokenised text"
    if model := metric["config"].get("model"):
        unit = f" ({model})"
    case = ", lower-cased" if metric["config"]["lowercase"] else ""
    better = "lower" if kind.lower_is_better else "higher"
    return f"{kind.title}{unit} of {text}{case}; {better} is better"


def incomparable(run: Run, config: dict[str, Any]) -> list[str]:
    """Return the reasons why the run cannot be compared with the published score; empty if it can."""
    expected = run["expected"]
    if expected["metric"] not in run["metrics"]:
        return [f"{expected['metric']} was not computed"]
    kinds: dict[str, list[str]] = {}
    for key, (own, value) in expected["changed"].items():
        kind = "the recipe was changed"
        if key.split(".")[0] in ("corpus", "source", "target"):
            kind = "another corpus"
        elif key in ("training.max_epoch", "training.max_update") and None not in (own, value):
            kind = "fewer updates" if value < own else "more updates"
        kinds.setdefault(kind, []).append(f"{key}={value}, not {own}")
    lines = _published(config).get("lines", {}).get("test", run["sentences"])
    if lines != run["sentences"]:
        kinds["another test set"] = [f"{run['sentences']:,} sentences, not {lines:,}"]
    elif hashes := [name for name, _, _ in _differences(run, config) if name.startswith("sha256 test.")]:
        kinds["another test set"] = hashes
    return [f"{kind} ({'; '.join(changes)})" for kind, changes in kinds.items()]


def causes(run: Run, config: dict[str, Any]) -> list[str]:
    """Return what in the run's own data may have made its score low."""
    reasons = data(run, config)
    penalty = run["metrics"][run["expected"]["metric"]].get("brevity_penalty", 1.0)
    if penalty < 0.98:
        reasons.append(f"the output is too short (brevity penalty {penalty:.3f})")
    cost, wanted = costs(run), config["training"].get("max_update")
    if updates := cost["updates"]:
        reasons.append(f"{updates:,} updates were done" + (f", of {wanted:,}" if wanted else ""))
    if cost["stopped"]:
        reasons.append(f"the training stopped early, {cost['stopped']}")
    if not config["training"]["checkpoint"].startswith("average"):
        reasons.append("the recipe averages no checkpoints, which usually gains 0.5 to 0.7 BLEU")
    return reasons


def data(run: Run, config: dict[str, Any]) -> list[str]:
    """Return how the run's text differs from the published one."""
    unlike = _differences(run, config)
    text = [name for name, _, _ in unlike if not name.startswith("dictionary")]
    reasons = [f"the text differs from the published one ({', '.join(text)})"] if text else []
    sizes = [(name, wanted, size) for name, wanted, size in unlike if name.startswith("dictionary")]
    return reasons + [f"{name} has {size or 0:,} types, not {wanted:,}" for name, wanted, size in sizes]


def _differences(run: Run, config: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    facts = fingerprint(run)
    return differences(facts, _published(config)) if facts else []


def _published(config: dict[str, Any]) -> dict[str, Any]:
    """Return the published facts of the text that the corpus' config states; empty if it states none."""
    return config["corpus"].get("expected") or {}
