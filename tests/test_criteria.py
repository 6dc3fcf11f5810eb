"""SimCut and R-Drop: each promise is checked with fairseq in a process of its own."""

import itertools
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy
import pytest

PLUGIN = Path(__file__).resolve().parents[1] / "workflow/bleuprint/fairseq_plugin"
LENGTHS = [(7, 5), (4, 6), (6, 3)]  # of source and target sentences
Fairseq = Callable[..., Any]


def made(criterion: str, dropout: float = 0.0, share: bool = False, **flags: float) -> tuple[Any, Any, Any]:
    """Return a tiny Transformer in float64, the criterion, and a batch with padding on both sides."""
    import torch
    from fairseq import options, utils
    from fairseq.data import Dictionary, data_utils
    from fairseq.models.transformer import TransformerModel
    from fairseq.tasks.translation import TranslationConfig, TranslationTask

    # fairseq takes them in float32, too coarse for differences
    utils.log_softmax = lambda x, dim, onnx_trace=False: torch.nn.functional.log_softmax(x, dim)
    utils.softmax = lambda x, dim, onnx_trace=False: torch.nn.functional.softmax(x, dim)
    dictionary = Dictionary()
    for number in range(12):
        dictionary.add_symbol(f"w{number}")
    words = ["data", "--user-dir", str(PLUGIN), "--arch", "transformer_iwslt_de_en", "--criterion", criterion]
    words += ["--dropout", str(dropout), "--label-smoothing", "0.1", *(["--share-all-embeddings"] if share else [])]
    for side, size in itertools.product(("encoder", "decoder"), ("layers=1", "embed-dim=8", "ffn-embed-dim=8")):
        words.append(f"--{side}-{size}")
    words += [f"--{side}-attention-heads=2" for side in ("encoder", "decoder")]
    words += itertools.chain(*([f"--{key.replace('_', '-')}", str(value)] for key, value in flags.items()))
    args = options.parse_args_and_arch(options.get_training_parser(), words)
    task = TranslationTask(TranslationConfig(), dictionary, dictionary)
    torch.manual_seed(1)
    model = TransformerModel.build_model(args, task).double()
    sentences = [[torch.randint(4, 16, (n,)) for n in lengths] for lengths in LENGTHS]
    source = data_utils.collate_tokens([s for s, _ in sentences], dictionary.pad(), left_pad=True)
    target = data_utils.collate_tokens([t for _, t in sentences], dictionary.pad())
    previous = torch.cat([target.new_full((len(LENGTHS), 1), dictionary.eos()), target[:, :-1]], 1)
    inputs = {"src_tokens": source, "src_lengths": torch.tensor([n for n, _ in LENGTHS])}
    batch = {"net_input": inputs | {"prev_output_tokens": previous}, "target": target, "ntokens": 14}
    names = ("label_smoothing", "rdrop_alpha", "simcut_alpha", "simcut_p")
    options_of = {key: getattr(args, key) for key in names if hasattr(args, key)}
    registered = sys.modules["fairseq.criterions"].CRITERION_REGISTRY[criterion]
    return model, registered(task, sentence_avg=False, **options_of), batch


def loss_and_gradients(criterion: str, train: bool = True, **options: Any) -> list[Any]:
    """Return the loss, the log likelihood and each weight's gradient, with dropout of the same seed."""
    import torch

    model, loss_of, batch = made(criterion, dropout=0.3, **options)
    model.train(train)
    torch.manual_seed(5)
    loss, _, log = loss_of(model, batch)
    loss.backward()
    gradients = [weight.grad.tolist() for weight in model.parameters() if weight.grad is not None]
    return [loss.item(), log["nll_loss"].item(), gradients, torch.rand(1).item()]


def with_everything_cut(alpha: float) -> tuple[float, float]:
    """Return the loss with p = 1, and by the paper's formula from two models, one with embeddings of zeros."""
    import torch

    model, loss_of, batch = made("label_smoothed_cross_entropy_with_simcut", simcut_alpha=alpha, simcut_p=1.0)
    found = loss_of(model.train(), batch)[0].item()
    blank = deepcopy(model)
    for embedding in (blank.encoder.embed_tokens, blank.decoder.embed_tokens):
        embedding.weight.data.zero_()
    whole, cut = (m(**batch["net_input"])[0].detach().log_softmax(-1).numpy() for m in (model, blank))
    expected, types = 0.0, whole.shape[-1]
    for row, (_, length) in enumerate(LENGTHS):
        for place in range(length):
            logs, gold = whole[row, place], batch["target"][row, place]
            smooth = numpy.full(types, 0.1 / (types - 1))
            smooth[gold] = 0.9
            expected += -(smooth * logs).sum()
            expected += alpha * (numpy.exp(logs) * (logs - cut[row, place])).sum()
    with torch.no_grad():
        return found, expected


def gradients_and_differences() -> list[tuple[float, float]]:
    """Return the loss's gradient and its central difference quotient, for some weights in every matrix."""
    import torch

    model, loss_of, batch = made("label_smoothed_cross_entropy_with_simcut", simcut_alpha=3.0, simcut_p=0.4)

    def loss() -> Any:
        torch.manual_seed(3)  # the same tokens are cut
        return loss_of(model.train(), batch)[0]

    loss().backward()
    pairs, step = [], 1e-6
    for weight in model.parameters():
        flat = weight.data.view(-1)
        for place in range(0, len(flat), max(1, len(flat) // 3)):
            before = flat[place].item()
            with torch.no_grad():
                flat[place] = before + step
                above = loss().item()
                flat[place] = before - step
                below = loss().item()
                flat[place] = before
            pairs.append((weight.grad.view(-1)[place].item(), (above - below) / (2 * step)))
    return pairs


def share_of_cut_tokens(share: bool, p: float) -> list[float]:
    """Return the share of 6,000 source and target tokens whose embedding is zeroed; then, after the cutoff, again."""
    import torch

    model, loss_of, _ = made("label_smoothed_cross_entropy_with_simcut", share=share, simcut_p=p)
    cutoff = sys.modules[type(loss_of).__module__].token_cutoff
    tokens, shares = torch.randint(4, 16, (60, 100)), []
    torch.manual_seed(2)
    with cutoff(model, p):
        for side in (model.encoder, model.decoder):
            shares.append((side.embed_tokens(tokens) == 0).all(-1).double().mean().item())
    return [*shares, (model.encoder.embed_tokens(tokens) == 0).all(-1).double().mean().item()]


def after_learning(alpha: float) -> tuple[float, float]:
    """Return cross entropy per token and divergence from the wholly cut output, after 60 updates on one batch."""
    import torch

    model, loss_of, batch = made("label_smoothed_cross_entropy_with_simcut", simcut_alpha=alpha, simcut_p=0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss_of(model.train(), batch)[0].backward()
        optimizer.step()
    entropy = loss_of(model.eval(), batch)[0].item()
    loss_of.alpha, loss_of.p = 1.0, 1.0
    return entropy / 14, (loss_of(model.train(), batch)[0].item() - entropy) / 14


@pytest.mark.parametrize("options", [{"simcut_alpha": 0.0}, {"train": False}])
def test_without_alpha_and_in_validation_it_is_cross_entropy_exactly(fairseq: Fairseq, options: dict[str, Any]) -> None:
    train = {key: value for key, value in options.items() if key == "train"}
    plain = fairseq(loss_and_gradients, "label_smoothed_cross_entropy", **train)
    assert fairseq(loss_and_gradients, "label_smoothed_cross_entropy_with_simcut", **options) == plain
    assert fairseq(loss_and_gradients, "label_smoothed_cross_entropy_with_simcut") != plain


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_the_loss_is_the_papers_formula(fairseq: Fairseq, alpha: float) -> None:
    found, expected = fairseq(with_everything_cut, alpha)
    assert found == pytest.approx(expected, rel=1e-9)


def test_gradients_agree_with_differences(fairseq: Fairseq) -> None:
    pairs = fairseq(gradients_and_differences)
    assert len(pairs) > 50
    assert sum(abs(gradient) > 1e-3 for gradient, _ in pairs) > len(pairs) / 2
    for gradient, difference in pairs:
        assert gradient == pytest.approx(difference, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("p", [0.05, 0.5])
def test_each_token_is_cut_with_that_probability(fairseq: Fairseq, share: bool, p: float) -> None:
    source, target, afterwards = fairseq(share_of_cut_tokens, share, p)
    assert source == pytest.approx(p, abs=0.02)
    assert target == pytest.approx(p, abs=0.02)
    assert afterwards == 0


def test_it_learns_and_becomes_consistent(fairseq: Fairseq) -> None:
    plain, regularised = (fairseq(after_learning, alpha) for alpha in (0.0, 3.0))
    assert plain[0] < 1.5 and regularised[0] < 1.5
    assert regularised[1] < plain[1] / 2


def test_r_drop_is_validated_once(fairseq: Fairseq) -> None:
    plain, twice = "label_smoothed_cross_entropy", "label_smoothed_cross_entropy_with_rdrop"
    expected = fairseq(loss_and_gradients, plain, train=False)
    assert fairseq(loss_and_gradients, twice, train=False, rdrop_alpha=5.0) == expected
    assert fairseq(loss_and_gradients, twice, rdrop_alpha=5.0)[1] > 1.5 * fairseq(loss_and_gradients, plain)[1]
