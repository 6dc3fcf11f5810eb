"""Compare nested configs; keys are dotted as in overrides."""

from collections.abc import Mapping, Sequence
from typing import Any


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the config's leaves by dotted key: `{"training": {"lr": 1}}` → `{"training.lr": 1}`."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return each key that differs, with its value in each config; None where a config lacks the key."""
    leaves = [flat(config) for config in configs]
    keys = dict.fromkeys(key for config in leaves for key in config)
    rows = {key: [config.get(key) for config in leaves] for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}
