"""Classifier heads that read a sequence of hidden states and its mask."""

from __future__ import annotations

from torch import Tensor, nn

from offramp.errors import ConfigError

__all__ = ["TOKEN_HEADS", "MeanLinear", "PoolerLinear", "TokenHead"]


class TokenHead(nn.Module):
    """A head that takes hidden states (n, L, H) and the mask (n, L), 1 for a token and 0 for padding.

    Parameters
    ----------
    features : shape of one row, (L, H)
    classes : K

    Raises
    ------
    ConfigError : features of another number of dimensions
    """

    def __init__(self, features: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if len(features) != 2:
            raise ConfigError(
                f"a head for text reads features (length, hidden), not {features}; attach the exit behind a layer"
            )
        self.linear = nn.Linear(features[1], classes)


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

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(n, L, H) and (n, L) to logits (n, K)."""
        weights = mask.to(hidden.dtype).unsqueeze(-1)
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
        return self.linear(mean)  # type: ignore[no-any-return]  # a module call is Any


class PoolerLinear(TokenHead):
    """The first token through a square layer and tanh, then linear: BERT's own pooler.

    Source: Devlin et al. 2019.
    """

    def __init__(self, features: tuple[int, ...], classes: int) -> None:
        super().__init__(features, classes)
        self.dense = nn.Linear(features[1], features[1])

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(n, L, H) to logits (n, K); the first token is never padding."""
        return self.linear(self.dense(hidden[:, 0]).tanh())  # type: ignore[no-any-return]  # a module call is Any


#: every head for text, by the name used in a config
TOKEN_HEADS: dict[str, type[TokenHead]] = {"mean-linear": MeanLinear, "pooler-linear": PoolerLinear}
