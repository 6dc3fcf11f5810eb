"""The config: composed by Hydra, checked by its schema, rendered as flags."""
