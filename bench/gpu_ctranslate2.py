"""CTranslate2 on a test set, its output as fairseq-generate's: MODEL DEVICE FILE BEAM LENGTH."""

import sys
import time
from pathlib import Path

import torch  # noqa: F401  before ctranslate2, which then finds the CUDA libraries that came with it
from ctranslate2 import Translator


def main() -> None:
    """Entry point."""
    model, device, file, beam, length = sys.argv[1:]
    sentences = [line.split() for line in Path(file).read_text("utf-8").removesuffix("\n").split("\n")]
    translator = Translator(model, device=device, compute_type="float16" if device == "cuda" else "float32")
    began = time.monotonic()
    results = translator.translate_batch(
        sentences, beam_size=int(beam), max_batch_size=8192, batch_type="tokens", max_decoding_length=int(length)
    )
    elapsed = time.monotonic() - began
    for number, result in enumerate(results):
        print(f"H-{number}\t0\t{' '.join(result.hypotheses[0]).replace('@@ ', '')}")
    print(f"Translated {len(sentences)} sentences in {elapsed:.2f}s")


if __name__ == "__main__":
    main()
