"""The config: composed by Hydra, checked by the schema, rendered as flags."""
