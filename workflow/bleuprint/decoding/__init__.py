"""The decoding stage: translate the test set."""
