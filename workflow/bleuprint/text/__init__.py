"""The text stage: raw parallel text → tokenised, cleaned, lower-cased, BPE-segmented, binarised."""
