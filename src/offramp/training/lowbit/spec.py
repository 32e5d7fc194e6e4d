"""What is made low-bit, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offramp.errors import ConfigError

__all__ = ["BITS", "LowBit"]

#: how many bits a weight or an activation may have
BITS = (1, 2, 4, 8)


@dataclass(frozen=True)
class LowBit:
    """How convolutions become low-bit.

    Parameters
    ----------
    weight_bits, activation_bits : 1, 2, 4 or 8
    recipe : ``published`` (binary or k-bit weights as in XNOR-Net, a norm in front of every quantiser) or
        ``learned`` (learned step sizes and thresholds, which start from the first batch)
    shortcuts : a residual path of full precision around every ``block`` or around every ``conv``

    Raises
    ------
    ConfigError : another number of bits

    Source: Rastegari et al. 2016 (XNOR-Net); Long et al. 2020; Esser et al. 2020 (LSQ); Liu et al. 2018 (Bi-Real,
    shortcuts around every convolution).

    Examples
    --------
    >>> LowBit(1, 1).shortcuts_around, LowBit(4, 4).shortcuts_around
    ('conv', 'block')
    """

    weight_bits: int
    activation_bits: int
    recipe: Literal["learned", "published"] = "learned"
    shortcuts: Literal["auto", "block", "conv"] = "auto"

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits"):
            if getattr(self, name) not in BITS:
                raise ConfigError(
                    f"lowbit.{name} must be one of {', '.join(map(str, BITS))}, not {getattr(self, name)}"
                )

    @property
    def shortcuts_around(self) -> Literal["block", "conv"]:
        """``auto`` chosen: ``conv`` for binary activations by the learned recipe, else ``block``."""
        if self.shortcuts != "auto":
            return self.shortcuts
        return "conv" if self.activation_bits == 1 and self.recipe == "learned" else "block"
