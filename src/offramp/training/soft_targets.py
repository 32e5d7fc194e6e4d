"""Learning from another classifier's probabilities."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

__all__ = ["soft_target_loss"]


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of softened probabilities, times the squared temperature, mean over rows.

    The factor keeps the size of the gradient independent of the temperature. No gradient flows into
    the teacher.

    Parameters
    ----------
    student, teacher : (n, K) logits
    temperature : above 0; higher shows more of what the teacher thinks of the wrong classes

    Source: Hinton et al. 2015.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[2.0, 0.0]])
    >>> float(soft_target_loss(logits, logits, 3.0)), float(soft_target_loss(-logits, logits, 1.0)) > 1
    (0.0, True)
    """
    softened = log_softmax(student / temperature, dim=1)
    wanted = log_softmax(teacher.detach() / temperature, dim=1)
    return kl_div(softened, wanted, reduction="batchmean", log_target=True) * temperature**2
