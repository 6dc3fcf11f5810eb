"""The scoring stage: hypotheses are compared with their references."""
