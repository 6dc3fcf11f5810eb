"""Whether a run reproduces the score that its recipe expects, and if it is low, what in its own data may be why."""

from typing import Any

from bleuprint.report.facts import costs, fingerprint
from bleuprint.report.groups import Run
from bleuprint.text.fingerprint import differences


def verdict(run: Run, config: dict[str, Any]) -> dict[str, Any] | None:
    """REPRODUCED, LOW, HIGH or NOT COMPARABLE; None where the recipe expects nothing.

    Args:
        run: its scores.json.
        config: its resolved config.

    Returns:
        `word`, `score`, `low`, `high`, `metric`, `source`, and `because`, sentences.
    """
    expected = run["expected"]
    if expected is None:
        return None
    found = {key: expected[key] for key in ("metric", "low", "high", "source")}
    score = run["metrics"].get(expected["metric"], {}).get("score")
    if reasons := incomparable(run, config):
        word, because = "NOT COMPARABLE", reasons
    elif score < expected["low"]:
        word, because = "LOW", causes(run, config)
    elif expected["high"] is not None and score > expected["high"]:
        word, because = "HIGH", ["look for test sentences in the training text first", *data(run, config)]
    else:
        word, because = "REPRODUCED", data(run, config)
    return found | {"word": word, "score": score, "because": because}


def incomparable(run: Run, config: dict[str, Any]) -> list[str]:
    """Why the published score is not this run's measure."""
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
    elif other := [what for what, _, _ in _differences(run, config) if what.startswith("sha256 test.")]:
        kinds["another test set"] = other
    return [f"{kind} ({'; '.join(some)})" for kind, some in kinds.items()]


def causes(run: Run, config: dict[str, Any]) -> list[str]:
    """What in a run's own data may have made its score low."""
    found = data(run, config)
    penalty = run["metrics"][run["expected"]["metric"]].get("brevity_penalty", 1.0)
    if penalty < 0.98:
        found.append(f"the output is too short (brevity penalty {penalty:.3f})")
    updates, wanted = costs(run)["updates"], config["training"].get("max_update")
    if updates:
        found.append(f"{updates:,} updates were done" + (f", of {wanted:,}" if wanted else ""))
    if not config["training"]["checkpoint"].startswith("average"):
        found.append("the recipe averages no checkpoints, which is worth about 0.5 to 0.7 BLEU")
    return found


def data(run: Run, config: dict[str, Any]) -> list[str]:
    """How a run's text differs from the published one."""
    differ = _differences(run, config)
    text = [what for what, _, _ in differ if not what.startswith("dictionary")]
    found = [f"the text differs from the published one ({', '.join(text)})"] if text else []
    sizes = [(what, wanted, size) for what, wanted, size in differ if what.startswith("dictionary")]
    return found + [f"{what} has {size or 0:,} types, not {wanted:,}" for what, wanted, size in sizes]


def _differences(run: Run, config: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    facts = fingerprint(run)
    return differences(facts, _published(config)) if facts else []


def _published(config: dict[str, Any]) -> dict[str, Any]:
    """The facts of the text that the corpus' config states; empty where it states none."""
    return config["corpus"].get("expected") or {}
