"""One line of a study."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from offramp.errors import ConfigError

__all__ = ["StudyRow"]


@dataclass(frozen=True)
class StudyRow:
    """A number of ours, and the published one where there is one.

    ``how`` says how ours was obtained (measured, replayed, simulated or modelled), on how many rows,
    and what differs from the original; ``holds`` whether the claim made in ``how`` or ``name`` is true,
    ``None`` where the row claims nothing.

    Raises
    ------
    ConfigError : a number is NaN or infinite

    Examples
    --------
    >>> StudyRow("accuracy", 87.7, 88.0, "%", "replayed on 10,000 test rows", True).to_dict()["ours"]
    88.0
    """

    name: str
    published: float | None
    ours: float
    unit: str
    how: str
    holds: bool | None = None

    def __post_init__(self) -> None:
        for number in (self.published, self.ours):
            if number is not None and not math.isfinite(number):
                raise ConfigError(f"study row {self.name!r}: {number} is not a finite number")

    def to_dict(self) -> dict[str, str | float | bool | None]:
        """Plain types, for JSON."""
        return asdict(self)
