"""Which keys of nested configs differ, dotted as in overrides."""

from collections.abc import Mapping, Sequence
from typing import Any


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The config's leaves by dotted key: `{"training": {"lr": 1}}` → `{"training.lr": 1}`."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            leaves |= flat(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """For each key that is not the same in all configs its value in each; None where a config has no such key."""
    leaves = [flat(config) for config in configs]
    values = {key: [config.get(key) for config in leaves] for key in dict.fromkeys(key for c in leaves for key in c)}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}
