"""Make a tiny COMET model with random weights, with the Python of .venv-comet: comet_model.py FOLDER.

Its encoder has two layers of width 16 and a tokeniser of characters; all that it needs lies in FOLDER.
"""

import os
import string
import sys

import pytorch_lightning
import torch
import yaml
from comet.models import RegressionMetric
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import XLMRobertaConfig, XLMRobertaTokenizerFast

ENCODER = "tiny-encoder"

os.makedirs(f"{sys.argv[1]}/checkpoints")
os.chdir(sys.argv[1])
pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *string.ascii_letters, *string.digits, *"äöüß.,'", "<mask>"]
tokenizer = Tokenizer(models.Unigram([(piece, 0.0 if len(piece) > 1 else -3.0) for piece in pieces], unk_id=3))
tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
tokenizer.post_processor = processors.TemplateProcessing(
    single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
)
XLMRobertaTokenizerFast(tokenizer_object=tokenizer).save_pretrained(ENCODER)
XLMRobertaConfig(
    vocab_size=len(pieces),
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=514,
    type_vocab_size=1,
).save_pretrained(ENCODER)
torch.manual_seed(1)
model = RegressionMetric(
    pretrained_model=ENCODER, load_pretrained_weights=False, local_files_only=True, hidden_sizes=[16]
)
trainer = pytorch_lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
trainer.strategy.connect(model)
trainer.save_checkpoint("checkpoints/model.ckpt", weights_only=True)
with open("hparams.yaml", "w", encoding="utf-8") as file:
    yaml.safe_dump(dict(model.hparams), file)
