"""Where a caller wants the work done."""

from __future__ import annotations

from typing import Literal, get_args

from offramp.errors import ConfigError

__all__ = ["MODES", "Mode", "mode_named"]

#: as the plan has it; here where the deadline allows, or in any case; beyond the device, with the device at work
#: meanwhile, or not. The gates stay the plan's, so what is certified for them stays certified.
Mode = Literal["plan", "prefer-device", "only-device", "prefer-cloud", "only-cloud"]

MODES: tuple[str, ...] = get_args(Mode)


def mode_named(name: str) -> Mode:
    """The mode called ``name``.

    Raises
    ------
    ConfigError : there is none

    Examples
    --------
    >>> mode_named("only-device")
    'only-device'
    """
    if name not in MODES:
        raise ConfigError(f"unknown mode {name!r}; the modes are {', '.join(MODES)}")
    return name  # type: ignore[return-value]  # checked in the line above
