"""The plugin's dropout on a CPU: its share, its mean, its gradient, and the same seed giving the same bits."""

import pytest
import torch

from bleuprint.fairseq_plugin.dropout import dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_share_that_is_dropped_and_what_the_others_become(p: float, kind: torch.dtype) -> None:
    torch.manual_seed(1)
    made = dropout(torch.ones(301, 3, 333, dtype=kind), p)
    assert made.dtype == kind and made.shape == (301, 3, 333)
    count = made.numel()
    dropped = (made == 0).sum().item() / count
    assert abs(dropped - p) < 4 * (p * (1 - p) / count) ** 0.5
    (kept,) = made[made != 0].float().unique().tolist()
    assert kept == pytest.approx(1 / (1 - p), rel=1e-4 if kind == torch.float32 else 1e-2)


def test_elements_are_dropped_independently() -> None:
    """Each of the four that share a draw of 64 bits, and neighbours."""
    torch.manual_seed(2)
    dropped = (dropout(torch.ones(400_000), 0.3) == 0).float()
    for lane in range(4):
        assert dropped[lane::4].mean().item() == pytest.approx(0.3, abs=0.006)
    for shift in range(1, 5):
        both = (dropped[shift:] * dropped[:-shift]).mean().item()
        assert both == pytest.approx(0.09, abs=0.003)


def test_the_same_seed_gives_the_same_bits_and_the_gradient_is_the_mask() -> None:
    x = torch.randn(7, 11, requires_grad=True)
    torch.manual_seed(3)
    once = dropout(x, 0.3)
    torch.manual_seed(3)
    assert torch.equal(once, dropout(x.t().contiguous().t(), 0.3))  # also of another layout in memory
    once.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad * x, once)


def test_where_nothing_or_all_is_dropped_it_is_torchs() -> None:
    x = torch.randn(5)
    assert torch.equal(dropout(x, 0.0), x) and torch.equal(dropout(x, 0.3, training=False), x)
    assert torch.equal(dropout(x, 1.0), torch.zeros(5))
