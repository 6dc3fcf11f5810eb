"""python -m bleuprint.machine.timed: how fast a model trains here, by a few updates on a made-up batch.

Standard input holds JSON: `words` (fairseq-train's flags), `types` (of the dictionaries), `max_tokens`, `gpu`, `fp16`,
`bf16`.
"""

import json
import sys
import time
from typing import Any

STEPS = 2  # timed, after one that is not
LENGTH = 25  # tokens of a sentence


def measure(order: dict[str, Any]) -> dict[str, float]:
    """`tokens_per_second` (target tokens) and `parameters`."""
    import torch
    from fairseq import options, tasks
    from fairseq.data import Dictionary
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks.translation import TranslationTask

    words = ["data", "--source-lang", "xx", "--target-lang", "yy", *order["words"]]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), words))
    cfg.task.eval_bleu = False  # that needs a tokeniser, and is not timed
    dictionary = Dictionary()
    for number in range(order["types"]):
        dictionary.add_symbol(str(number))
    task: Any = tasks.TASK_REGISTRY["translation"](cfg.task, dictionary, dictionary)
    assert isinstance(task, TranslationTask)
    device = torch.device("cuda" if order["gpu"] else "cpu")
    model, criterion = task.build_model(cfg.model).to(device), task.build_criterion(cfg.criterion)
    optimizer = torch.optim.Adam(model.parameters())
    sentences = max(1, order["max_tokens"] // LENGTH)
    tokens = torch.randint(4, len(dictionary), (sentences, LENGTH), device=device)
    sample = {
        "net_input": {
            "src_tokens": tokens,
            "src_lengths": torch.full((sentences,), LENGTH, device=device),
            "prev_output_tokens": tokens,
        },
        "target": tokens,
        "ntokens": sentences * LENGTH,
        "nsentences": sentences,
    }
    half = order["bf16"] or (order["gpu"] and order["fp16"])
    kind = torch.bfloat16 if order["bf16"] else torch.float16
    began = 0.0
    for step in range(STEPS + 1):
        if step == 1:
            began = time.monotonic()
        with torch.autocast(device.type, kind, enabled=half):
            loss, _, _ = criterion(model, sample)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the GPU
    speed = STEPS * sentences * LENGTH / (time.monotonic() - began)
    return {"tokens_per_second": speed, "parameters": sum(weight.numel() for weight in model.parameters())}


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))))
