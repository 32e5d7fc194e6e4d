"""One ratio of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields

from offramp.errors import ConfigError

__all__ = ["BenchmarkRow"]


@dataclass(frozen=True)
class BenchmarkRow:
    """Ours beside a baseline, in one unit.

    ``ratio`` is the one that is aimed at, mostly ours / baseline; ``notes`` say which where it is
    another. ``how`` says how both were obtained, with repeats.

    Raises
    ------
    ConfigError : a number is NaN or infinite

    Examples
    --------
    >>> BenchmarkRow("first exit", baseline=100.0, ours=105.0, ratio=1.05, unit="us", how="measured").ratio
    1.05
    """

    name: str
    baseline: float
    ours: float
    ratio: float
    unit: str
    how: str
    notes: str = ""

    def __post_init__(self) -> None:
        for key in ("baseline", "ours", "ratio"):
            if not math.isfinite(getattr(self, key)):
                raise ConfigError(f"benchmark row {self.name!r}: {key} is not a finite number")

    @classmethod
    def of(cls, row: BenchmarkRow | Mapping[str, object]) -> BenchmarkRow:
        """A row from a row or from a mapping with the same keys.

        Raises
        ------
        ConfigError : a key is missing or unknown

        Examples
        --------
        >>> BenchmarkRow.of({"name": "a", "baseline": 2, "ours": 1, "ratio": 0.5, "unit": "s", "how": "measured"}).ours
        1
        """
        if isinstance(row, BenchmarkRow):
            return row
        known = {field.name: field.default is MISSING for field in fields(cls)}
        wrong = [f"{key!r} is missing" for key, needed in known.items() if needed and key not in row]
        wrong += [f"{key!r} is unknown" for key in row if key not in known]
        if wrong:
            raise ConfigError(f"benchmark row {row.get('name', '?')!r}: {wrong[0]}; the keys are {', '.join(known)}")
        return cls(**row)  # type: ignore[arg-type]  # the keys are checked above

    def to_dict(self) -> dict[str, str | float]:
        """Plain types, for JSON."""
        return asdict(self)
