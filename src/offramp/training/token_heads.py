"""Classifier heads that read a sequence of hidden states and its mask."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from offramp.errors import ConfigError

__all__ = ["TOKEN_HEADS", "MeanLinear", "PairLinear", "PoolerLinear", "TokenHead"]


class TokenHead(nn.Module):
    """A head that takes hidden states (n, L, H) and the mask (n, L), 1 for a token and 0 for padding.

    Where the network hands them on, the types (n, L) come third: 0 for a token of the first text, 1 of the second.
    ``pairs`` says that the head cannot do without.

    Parameters
    ----------
    features : shape of one row, (L, H)
    classes : K

    Raises
    ------
    ConfigError : features of another number of dimensions
    """

    pairs: ClassVar[bool] = False
    #: numbers the linear layer reads, in hidden sizes
    width: ClassVar[int] = 1

    def __init__(self, features: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(features) != 2:
            raise ConfigError(
                f"a head for text reads features (length, hidden), not {features}; attach the exit behind a layer"
            )
        self.linear = nn.Linear(self.width * features[1], classes)


class MeanLinear(TokenHead):
    """Mean over the tokens, then one linear layer.

    Examples
    --------
    >>> import torch
    >>> head, hidden = MeanLinear((3, 4), 2), torch.rand(1, 3, 4)
    >>> padded = torch.cat([hidden, torch.rand(1, 5, 4)], 1)
    >>> mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0, 0]])
    >>> torch.allclose(head(padded, mask), head(hidden, mask[:, :3]))
    True
    """

    def forward(self, hidden: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """(n, L, H) and (n, L) to logits (n, K)."""
        return self.linear(_mean(hidden, mask))  # type: ignore[no-any-return]  # a module call is Any


class PairLinear(TokenHead):
    """Means u and v over the tokens of the first and the second text, then linear on u, v, abs(u - v) and u * v.

    Source: the features of InferSent (Conneau et al. 2017), on an encoder that reads both texts together.

    Examples
    --------
    >>> import torch
    >>> head, hidden = PairLinear((4, 8), 2), torch.rand(1, 4, 8)
    >>> head(hidden, torch.ones(1, 4), torch.tensor([[0, 0, 1, 1]])).shape
    torch.Size([1, 2])
    """

    pairs = True
    width = 4

    def forward(self, hidden: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """(n, L, H), (n, L) and (n, L) to logits (n, K).

        Raises
        ------
        ConfigError : the network hands on no types
        """
        if types is None:
            raise ConfigError(
                "the head 'pair-linear' compares two texts, but their types do not come this far; give the network "
                "pairs of texts and its last exit the same head"
            )
        first, second = _mean(hidden, mask * (1 - types)), _mean(hidden, mask * types)
        compared = torch.cat([first, second, (first - second).abs(), first * second], dim=1)
        return self.linear(compared)  # type: ignore[no-any-return]  # a module call is Any


class PoolerLinear(TokenHead):
    """The first token through a square layer and tanh, then linear: BERT's own pooler.

    Source: Devlin et al. 2019.
    """

    def __init__(self, features: tuple[int, ...], classes: int) -> None:
        super().__init__(features, classes)
        self.dense = nn.Linear(features[1], features[1])

    def forward(self, hidden: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """(n, L, H) to logits (n, K); the first token is never padding."""
        return self.linear(self.dense(hidden[:, 0]).tanh())  # type: ignore[no-any-return]  # a module call is Any


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """(n, H) over the tokens whose mask is 1."""
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


#: every head for text, by the name used in a config
TOKEN_HEADS: dict[str, type[TokenHead]] = {
    "mean-linear": MeanLinear,
    "pair-linear": PairLinear,
    "pooler-linear": PoolerLinear,
}
