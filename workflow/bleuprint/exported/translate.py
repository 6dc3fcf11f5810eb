"""Translate standard input line by line: python translate.py < text > translations."""

import sys
from pathlib import Path

import ctranslate2
import yaml
from sacremoses import MosesDetokenizer, MosesTokenizer
from subword_nmt.apply_bpe import BPE

HERE = Path(__file__).parent
config = yaml.safe_load((HERE / "config.yaml").read_text(encoding="utf-8"))
decoding, moses = config["decoding"], config["text"]["tokenizer"] == "moses"
tokenizer, detokenizer = MosesTokenizer(config["source"]), MosesDetokenizer(config["target"])
bpe = BPE((HERE / "codes").open(encoding="utf-8"))


def subwords(line: bytes) -> list[str]:
    """What the model reads of a line; nothing of one that is longer than it can read."""
    tokens = line.decode("utf-8", "replace")
    tokens = tokenizer.tokenize(tokens, return_str=True) if moses else tokens
    if moses and len(tokens) > 1 and tokens.endswith(".") and not tokens.endswith((" .", "..")):
        tokens = tokens[:-1] + " ."  # as Moses itself has it, of "usw." too
    tokens = " ".join(tokens.split())
    found: list[str] = bpe.process_line(tokens.lower() if config["text"]["lowercase"] else tokens).split()
    return found if len(found) < config["model"].get("max_source_positions", 1024) else []


model = ctranslate2.Translator(str(HERE / "model"))
options = {"beam_size": decoding["beam"], "length_penalty": decoding["lenpen"]}
options |= {"max_decoding_length": decoding.get("max_len_b", 200)}
options |= {"max_input_length": 0, "suppress_sequences": [["<blank>"]], "max_batch_size": 32}
for result in model.translate_iterable(map(subwords, sys.stdin.buffer), **options):
    words = (" ".join(result.hypotheses[0]) + " ").replace("@@ ", "").split()
    print(detokenizer.detokenize(words) if moses else " ".join(words))
