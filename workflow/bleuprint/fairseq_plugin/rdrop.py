"""Validate fairseq's R-Drop as any other criterion.

fairseq passes each batch twice also in validation: the loss is doubled, and eval_bleu fails, as it is given the doubled
batch. Without dropout the two passes are the same, so that one is enough.
"""

from typing import Any

from fairseq.criterions.label_smoothed_cross_entropy_with_rdrop import RdropLabelSmoothedCrossEntropyCriterion as RDrop


def install() -> None:
    """Wrap the criterion's forward pass, which is registered under a name that users give: there is no other hook."""
    forward = RDrop.forward

    def once_in_validation(self: Any, model: Any, *arguments: Any, **options: Any) -> Any:
        alpha = self.rdrop_alpha
        self.rdrop_alpha = alpha if model.training else 0.0
        try:
            return forward(self, model, *arguments, **options)
        finally:
            self.rdrop_alpha = alpha

    RDrop.forward = once_in_validation
