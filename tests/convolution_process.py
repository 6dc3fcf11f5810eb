"""Compute with fairseq's convolutions, with and without bleuprint's band matrices, for test_convolutions.py."""

import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fairseq.utils
import torch
from fairseq.modules.dynamic_convolution import DynamicConv_scripatable as DynamicConv
from fairseq.modules.lightweight_convolution import LightweightConv1dTBC as LightConv
from torch import Tensor

from bleuprint.plan.fairseq_flags import PLUGIN

FAIRSEQ = DynamicConv._forward_unfolded
fairseq.utils.import_user_module(Namespace(user_dir=str(PLUGIN.absolute())))
BANDS = DynamicConv._forward_unfolded
HEADS, WIDTH = 2, 6


def both(ask: Callable[[], Any]) -> list[Any]:
    """Return the answers of fairseq's forward functions and of ours, with the same random numbers."""
    answers = []
    for forward in (FAIRSEQ, BANDS):
        DynamicConv._forward_unfolded = forward
        torch.manual_seed(2)
        answers.append(ask())
    return answers


def made(kernel: int, causal: bool, softmax: bool = True, bias: bool = False, dropout: float = 0.0) -> Any:
    """Return a layer with random parameters."""
    torch.manual_seed(1)
    padding = kernel - 1 if causal else kernel // 2
    options = {"num_heads": HEADS, "weight_softmax": softmax, "weight_dropout": dropout, "conv_bias": bias}
    layer = DynamicConv(WIDTH, kernel, padding, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest difference, as a part of the largest value of its tensor."""
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-3)) for a, b in zip(one, other, strict=True))


def layers_apart(length: int, double: bool, **options: Any) -> float:
    """Compare output, and gradients of input and parameters, of a layer."""
    dtype = torch.float64 if double else torch.float32
    layer = made(**options).to(dtype)
    x, towards = torch.randn(2, length, 3, WIDTH, dtype=dtype)

    def ask() -> list[Tensor]:
        given = x.clone().requires_grad_()
        used = [
            given,
            *(value for name, value in layer.named_parameters() if options.get("bias") or "bias" not in name),
        ]
        output = layer(given)
        return [output.detach(), *torch.autograd.grad(output, used, towards)]

    return apart(*both(ask))


def kept() -> list[Tensor]:
    """Return the weights that dropout keeps, (T, B, H), with fairseq's layer and with ours."""
    layer = made(1, True, dropout=0.3)  # the softmax of one weight: what is kept is 1 / 0.7
    outputs = both(lambda: layer(torch.ones(50, 60, WIDTH)).detach())
    heads = [output.view(50, 60, HEADS, -1) for output in outputs]
    assert all(((head == head[..., :1]) & ((head == 0) | (head > 1.4))).all() for head in heads)
    return [head[..., 0] > 0 for head in heads]


def steps_apart() -> float:
    """Compare decoding step by step, with the beams reordered, to whole sentences by band matrices."""
    layer, x, order = made(4, True, bias=True).eval(), torch.randn(9, 5, WIDTH), torch.tensor([4, 0, 0, 3, 2])

    def ask() -> Tensor:
        state: dict[str, Any] = {}
        steps = []
        for number in range(9):
            if number == 6:
                layer.reorder_incremental_state(state, order)
            steps.append(layer(x[number : number + 1], incremental_state=state))
        return torch.cat(steps[6:]).detach()

    one, other = both(ask)
    whole = layer(torch.cat([x[:6, order], x[6:]])).detach()[6:]
    return max(apart([one], [other]), apart([other], [whole]))


def models_apart(dropout: float) -> tuple[float, float]:
    """Compare a whole model's loss and gradients, and its logits in eval mode, with sentences of several lengths."""
    from fairseq.data import Dictionary
    from fairseq.models.lightconv import LightConvModel, lightconv_iwslt_de_en

    words = Dictionary()
    for number in range(20):
        words.add_symbol(str(number))
    sizes = {f"{side}_{name}": 8 for side in ("encoder", "decoder") for name in ("embed_dim", "conv_dim")}
    kernels = {f"{side}_kernel_size_list": [3, 7] for side in ("encoder", "decoder")}
    types = {f"{side}_conv_type": "dynamic" for side in ("encoder", "decoder")}
    rates = {"dropout": dropout, "attention_dropout": dropout, "weight_dropout": dropout}
    rest = {
        "weight_softmax": True,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_glu": False,
        "decoder_glu": False,
    }
    arguments = Namespace(**sizes, **kernels, **types, **rates, **rest)
    lightconv_iwslt_de_en(arguments)
    torch.manual_seed(1)
    model: Any = LightConvModel.build_model(
        arguments, SimpleNamespace(source_dictionary=words, target_dictionary=words)
    )
    source, target = torch.randint(4, 20, (3, 9)), torch.randint(4, 20, (3, 5))  # the target is shorter than a kernel
    source[1, 6:] = source[2, 2:] = target[0, 4:] = words.pad()
    lengths = source.ne(words.pad()).sum(1)

    def ask() -> tuple[list[Tensor], list[Tensor]]:
        model.train()
        logits = model(source, lengths, target)[0]
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), target, ignore_index=words.pad())
        used = {name: value for name, value in model.named_parameters() if "conv_bias" not in name}
        gradients = torch.autograd.grad(loss, list(used.values()))
        model.eval()
        return [loss.detach(), *gradients], [model(source, lengths, target)[0].detach()]

    one, other = both(ask)
    return apart(one[0], other[0]), apart(one[1], other[1])


def noted(save_dir: Path) -> None:
    """Have layers train and decode, in a training with this --save-dir."""
    sys.modules["fairseq_plugin.layers"].NOTES.begin(save_dir)
    for layer in (made(3, True), LightConv(WIDTH, 3, 2, num_heads=HEADS, weight_softmax=True)):
        for state in (None, None, {}, {}):
            layer(torch.ones(1, 2, WIDTH), incremental_state=state)
