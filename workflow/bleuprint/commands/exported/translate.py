"""Translate standard input line by line: python translate.py < text > translations."""

import sys
from itertools import islice
from pathlib import Path

import ctranslate2
import yaml
from sacremoses import MosesDetokenizer, MosesTokenizer
from subword_nmt.apply_bpe import BPE

HERE, POSITIONS, BATCH = Path(__file__).parent, 1024, 32
config = yaml.safe_load((HERE / "config.yaml").read_text(encoding="utf-8"))
moses, lowercase, search = config["text"]["tokenizer"] == "moses", config["text"]["lowercase"], config["decoding"]
tokenizer, detokenizer = MosesTokenizer(config["source"]), MosesDetokenizer(config["target"])
bpe = BPE((HERE / "codes").open(encoding="utf-8"))
model = ctranslate2.Translator(str(HERE / "model"))


def subwords(line: bytes) -> list[str]:
    """What the model reads of a line; nothing of one that is longer than it can read."""
    tokens = line.decode(errors="replace")
    tokens = tokenizer.tokenize(tokens, return_str=True) if moses else tokens
    if moses and len(tokens) > 1 and tokens.endswith(".") and not tokens.endswith((" .", "..")):
        tokens = tokens[:-1] + " ."  # as Moses itself has it, of "usw." too
    tokens = " ".join(tokens.split())
    found: list[str] = bpe.process_line(tokens.lower() if lowercase else tokens).split()
    return found if len(found) < POSITIONS else []


while sentences := [subwords(line) for line in islice(sys.stdin.buffer, BATCH)]:
    length = search.get("max_len_a", 0) * (max(map(len, sentences)) + 1) + search.get("max_len_b", 200)
    options = {"max_decoding_length": min(int(length), POSITIONS - 1), "min_decoding_length": search.get("min_len", 1)}
    options |= {"beam_size": search["beam"], "length_penalty": search["lenpen"], "suppress_sequences": [["<blank>"]]}
    for result in model.translate_batch(sentences, max_input_length=0, **options):
        words = (" ".join(result.hypotheses[0]) + " ").replace("@@ ", "").split()
        translation = detokenizer.detokenize(words) if moses else " ".join(words)
        sys.stdout.buffer.write(f"{translation}\n".encode())
