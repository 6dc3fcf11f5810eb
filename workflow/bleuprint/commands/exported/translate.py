"""Translate standard input line by line: python translate.py < text > translations."""

import sys
from itertools import islice
from pathlib import Path

import ctranslate2
import yaml
from detokeniser import detokenise
from letters import lower, normalise
from segmenter import Segmenter, join
from tokeniser import tokenise

HERE, POSITIONS, BATCH = Path(__file__).parent, 1024, 32
config = yaml.safe_load((HERE / "config.yaml").read_text(encoding="utf-8"))
text, languages, search = config["text"], config["languages"], config["decoding"]
segmenter = Segmenter(HERE / "segmenter.model")
model = ctranslate2.Translator(str(HERE / "model"))


def subwords(line: bytes) -> list[str]:
    """Return the subwords of a line; an empty list for a line that is too long for the model."""
    raw = normalise(line.decode(errors="replace"), text.get("unicode_normalization"))
    tokens = " ".join(tokenise(raw, languages["source"]).split())
    pieces: list[str] = segmenter.segment(lower(tokens, languages["source"]) if text["lowercase"] else tokens)
    return pieces if len(pieces) < POSITIONS else []


while sentences := [subwords(line) for line in islice(sys.stdin.buffer, BATCH)]:
    length = search.get("max_len_a", 0) * (max(map(len, sentences)) + 1) + search.get("max_len_b", 200)
    options = {"max_decoding_length": min(int(length), POSITIONS - 1), "min_decoding_length": search.get("min_len", 1)}
    options |= {"beam_size": search["beam"], "length_penalty": search["lenpen"], "suppress_sequences": [["<blank>"]]}
    for result in model.translate_batch(sentences, max_input_length=0, **options):
        sys.stdout.buffer.write(f"{detokenise(join(result.hypotheses[0]), languages['target'])}\n".encode())
