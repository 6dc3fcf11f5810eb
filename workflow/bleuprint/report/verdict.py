"""Compare a run's score with the published one of its recipe; for a low score, name possible causes from its data."""

from typing import Any

from bleuprint.report.facts import costs, fingerprint
from bleuprint.report.groups import Run
from bleuprint.text.fingerprint import differences


def verdict(run: Run, config: dict[str, Any]) -> dict[str, Any] | None:
    """Return the verdict: REPRODUCED, LOW, HIGH or NOT COMPARABLE; None if the recipe has no published score.

    Args:
        run: the run's scores.json.
        config: the run's resolved config.

    Returns:
        `word`, `score`, `low`, `high`, `metric`, `source`, and `because`, a list of reasons.
    """
    expected = run["expected"]
    if expected is None:
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
    updates, wanted = costs(run)["updates"], config["training"].get("max_update")
    if updates:
        reasons.append(f"{updates:,} updates were done" + (f", of {wanted:,}" if wanted else ""))
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
