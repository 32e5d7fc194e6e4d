"""Every calibrator of the house, by kind."""

from __future__ import annotations

import json

from offramp.confidence.calibrator import Calibrator
from offramp.confidence.isotonic import Isotonic
from offramp.confidence.temperature import Temperature
from offramp.confidence.vector_scaling import VectorScaling
from offramp.errors import ConfigError

__all__ = ["calibrator_from_json"]

_KINDS: dict[str, type[Calibrator]] = {c.kind: c for c in (Temperature, VectorScaling, Isotonic)}


def calibrator_from_json(text: str) -> Calibrator:
    """Read a calibrator back.

    Raises
    ------
    ConfigError : not JSON, an unknown kind, or numbers that no calibrator of this kind has

    Examples
    --------
    >>> calibrator_from_json(Temperature(1.5).to_json())
    Temperature(1.5)
    """
    try:
        body = json.loads(text)
        kind = body.pop("kind")
        if kind in _KINDS:
            return _KINDS[kind].from_dict(body)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"not a calibrator: {text[:60]!r} ({error})") from error
    raise ConfigError(f"unknown calibrator kind {kind!r}; known are {', '.join(sorted(_KINDS))}")
