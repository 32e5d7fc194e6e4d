"""What every policy asks of a setting and of a view before it uses them."""

from __future__ import annotations

from offramp.errors import ConfigError
from offramp.policies.base import View
from offramp.policies.setting import Setting

__all__ = ["checked_confidence", "checked_price", "refuse_view", "require_one_early_exit"]


def checked_confidence(view: View) -> float:
    """The confidence of the view.

    Raises
    ------
    ConfigError : NaN, or outside [0, 1]
    """
    confidence = view.confidence
    if 0.0 <= confidence <= 1.0:  # NaN fails both
        return confidence
    raise ConfigError(f"sample {view.sample}: a confidence must lie in [0, 1], not {confidence}; calibrate the exit")


def checked_price(view: View, otherwise: float) -> float:
    """The price of the view, or the setting's.

    Raises
    ------
    ConfigError : NaN, or outside [0, 1)

    Examples
    --------
    >>> checked_price(View(0, 0, 0.5), 0.3), checked_price(View(0, 0, 0.5, price=0.1), 0.3)
    (0.3, 0.1)
    """
    price = view.price
    if price is None:
        return otherwise
    if 0.0 <= price < 1.0:
        return price
    raise ConfigError(
        f"sample {view.sample}: the price of going on, in units of one mistake, must lie in [0, 1), not {price}"
    )


def refuse_view(view: View) -> None:
    """Refuse a view with a confidence or a price that cannot be.

    Raises
    ------
    ConfigError : as `checked_confidence` and `checked_price`
    """
    checked_confidence(view)
    checked_price(view, 0.0)


def require_one_early_exit(setting: Setting, name: str) -> None:
    """Refuse a setting with another number of early exits than one.

    Raises
    ------
    ConfigError : there are none, or several
    """
    if setting.exits != 2:
        raise ConfigError(
            f"policy {name!r} decides at one early exit whether to ask the last; the setting has {setting.exits} exits"
        )
