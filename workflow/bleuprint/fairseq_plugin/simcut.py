"""SimCut as a fairseq criterion: the output must not change much when single tokens of the input are cut.

Source: Gao et al. 2022, Bi-SimCut, arXiv 2206.02368, equations 4 and 5; written from the paper's formulas.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropyCriterion,
    LabelSmoothedCrossEntropyCriterionConfig,
)


@dataclass
class SimCutConfig(LabelSmoothedCrossEntropyCriterionConfig):  # type: ignore[misc]
    """The criterion's flags."""

    simcut_alpha: float = field(default=3.0, metadata={"help": "weight of the KL divergence; 0: none"})
    simcut_p: float = field(default=0.05, metadata={"help": "probability with which a token's embedding is zeroed"})


@contextmanager
def token_cutoff(model: Any, p: float) -> Iterator[None]:
    """Zero each source and target token's embedding with probability `p`; its position's embedding stays."""

    def cut(module: torch.nn.Module, arguments: Any, embedded: torch.Tensor) -> torch.Tensor:
        kept = torch.rand(embedded.shape[:-1], device=embedded.device) >= p
        return embedded * kept.unsqueeze(-1)

    with ExitStack() as hooks:
        # Both are the same module where all embeddings are shared
        for embedding in {model.encoder.embed_tokens, model.decoder.embed_tokens}:
            hooks.callback(embedding.register_forward_hook(cut).remove)
        yield


@register_criterion("label_smoothed_cross_entropy_with_simcut", dataclass=SimCutConfig)
class SimCut(LabelSmoothedCrossEntropyCriterion):  # type: ignore[misc]
    """Label-smoothed cross entropy + α · KL(f(x, y) ‖ f(x_cut, y_cut)), summed over target tokens.

    The gradient flows through both sides of the divergence, which the paper found to matter. In validation, and with
    α = 0, it is label-smoothed cross entropy alone.
    """

    def __init__(
        self,
        task: Any,
        sentence_avg: bool,
        label_smoothing: float,
        simcut_alpha: float,
        simcut_p: float,
        ignore_prefix_size: int = 0,
        report_accuracy: bool = False,
    ) -> None:
        super().__init__(task, sentence_avg, label_smoothing, ignore_prefix_size, report_accuracy)
        self.alpha, self.p = simcut_alpha, simcut_p

    def compute_loss(self, model: Any, net_output: Any, sample: Any, reduce: bool = True) -> tuple[Any, Any]:
        """Return the loss and, without smoothing and divergence, the negative log likelihood; base e.

        Args:
            model: an encoder and decoder.
            net_output: the model's output for the whole input.
            sample: the batch.
            reduce: whether to add up; else one value for each target token, padding included.
        """
        loss, nll_loss = super().compute_loss(model, net_output, sample, reduce=reduce)
        if not (model.training and self.alpha):
            return loss, nll_loss
        with token_cutoff(model, self.p):
            cut_output = model(**sample["net_input"])
        whole, target = self.get_lprobs_and_target(model, net_output, sample)
        cut, _ = self.get_lprobs_and_target(model, cut_output, sample)
        divergence = torch.nn.functional.kl_div(cut, whole, reduction="none", log_target=True).sum(-1, keepdim=True)
        divergence = divergence.masked_fill(target.unsqueeze(-1).eq(self.padding_idx), 0.0)
        return loss + self.alpha * (divergence.sum() if reduce else divergence), nll_loss
