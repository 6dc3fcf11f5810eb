"""The decoding stage: the test set translated."""
