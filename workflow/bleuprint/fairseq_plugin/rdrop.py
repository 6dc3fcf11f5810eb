"""fairseq's R-Drop, validated as any other criterion.

In validation, too, it passes each batch twice: the loss comes out doubled, and eval_bleu, which is given the doubled
batch, fails. There is no dropout then that the two passes could differ in, so that one is enough.
"""

from typing import Any

from fairseq.criterions.label_smoothed_cross_entropy_with_rdrop import RdropLabelSmoothedCrossEntropyCriterion as RDrop


def install() -> None:
    """Wrap the criterion's forward pass."""
    forward = RDrop.forward

    def once_in_validation(self: Any, model: Any, *arguments: Any, **options: Any) -> Any:
        alpha = self.rdrop_alpha
        self.rdrop_alpha = alpha if model.training else 0.0
        try:
            return forward(self, model, *arguments, **options)
        finally:
            self.rdrop_alpha = alpha

    RDrop.forward = once_in_validation
