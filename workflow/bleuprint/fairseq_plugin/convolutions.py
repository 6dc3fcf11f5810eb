"""DynamicConv on a CPU by band matrices; LightConv stays fairseq's.

Without compiled extensions fairseq unfolds the input of DynamicConv to as many copies as the kernel is wide, and the
gradient of that alone takes longer than the rest of the layer. With a band matrix for each sentence and head, all of it
becomes matrix products. Parameters and the distribution of dropout stay the same; decoding step by step and GPUs use
fairseq's code. LightConv, for which fairseq itself uses band matrices, gains too little in whole training steps (1.06
times as fast with a matrix for each sentence, 1.01 with one for all sentences) to be worth other code.
"""

from collections.abc import Callable
from typing import Any

import torch
from fairseq.modules.dynamic_convolution import DynamicConv_scripatable as DynamicConv
from fairseq.modules.lightweight_convolution import LightweightConv1dTBC as LightConv
from torch import Tensor
from torch.nn import functional

from .layers import NOTES

Forward = Callable[..., Tensor]


def bands(weight: Tensor, padding: int) -> Tensor:
    """Return the matrices that convolve sequences with the weights of each position.

    Args:
        weight: (matrices, T, K): the weights of position t for the positions t - padding … t - padding + K - 1.
        padding: how many of the K lie before t.

    Returns:
        (matrices, T, T), zero outside the band.
    """
    matrices, length, kernel = weight.shape
    # Rows of T + K numbers, read as rows of T + K - 1: each begins one place further to the right than the one above
    rows = functional.pad(weight, (0, length)).view(matrices, -1)
    skewed = rows[:, : length * (length + kernel - 1)].view(matrices, length, -1)
    return skewed[:, :, padding : padding + length]


def convolve(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Return the weighted sum over the neighbours of each position.

    Args:
        x: (T, B, C).
        weight: (B * H, T, K): for each head, C / H neighbouring channels, and position.
        padding: how many of the K lie before the position.

    Returns:
        (T, B, C).
    """
    heads = x.reshape(x.size(0), weight.size(0), -1).transpose(0, 1)
    return torch.bmm(bands(weight, padding), heads).transpose(0, 1).reshape(x.shape)


def dynamic(layer: Any, x: Tensor, query: Tensor) -> Tensor:
    """Return DynamicConv of (T, B, C) without its bias; dropout draws the same numbers as in fairseq."""
    assert not layer.in_proj and not layer.renorm_padding, "no model of fairseq has them"
    length, batch, _ = x.shape
    kernel, padding = layer.kernel_size, layer.padding_l
    weight = layer.weight_linear(query).view(length * batch * layer.num_heads, kernel)
    if kernel > length and padding == kernel - 1:  # as in fairseq, before the softmax: other weights than in decoding
        weight, kernel, padding = weight[:, kernel - length :], length, length - 1
    if layer.weight_softmax:
        weight = functional.softmax(weight, dim=1)
    weight = layer.weight_dropout_module(weight).view(length, -1, kernel)
    return convolve(x, weight.transpose(0, 1), padding)


def chosen(name: str, fairseqs: Forward, banded: Forward | None = None) -> Forward:
    """Return a layer's forward: by band matrices for whole sentences on a CPU, else fairseq's; note which one ran."""

    def forward(layer: Any, x: Tensor, incremental_state: Any, *query: Tensor) -> Tensor:
        ours = banded if incremental_state is None and x.device.type == "cpu" else None
        how = "bleuprint's band matrices" if ours else f"fairseq's {fairseqs.__name__.removeprefix('_forward_')}"
        NOTES.add(f"{name} by {how}")
        return ours(layer, x, *query) if ours else fairseqs(layer, x, incremental_state, *query)

    return forward


def install() -> None:
    """Wrap the forward functions of fairseq's layers.

    Those of DynamicConv because they are slow on a CPU. Those of LightConv only to note which one ran: it depends on
    the call, and bits differ between them. They are methods, so that the layers and their checkpoints stay fairseq's.
    """
    DynamicConv._forward_unfolded = chosen("DynamicConv", DynamicConv._forward_unfolded, dynamic)
    for name in ("_forward_expanded", "_forward_unfolded"):
        setattr(LightConv, name, chosen("LightConv", getattr(LightConv, name)))
