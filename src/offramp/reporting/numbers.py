"""Numbers as people read them: few digits and a unit."""

from __future__ import annotations

__all__ = ["beside", "kilobytes", "milliseconds", "percent", "points", "rate", "times"]

MISSING = "–"


def _few_digits(value: float) -> str:
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def milliseconds(seconds: float | None, unit: bool = True) -> str:
    """Seconds as milliseconds with about three digits.

    Examples
    --------
    >>> milliseconds(0.02134)
    '21.3 ms'
    >>> milliseconds(None)
    '–'
    """
    if seconds is None:
        return MISSING
    return _few_digits(1e3 * seconds) + (" ms" if unit else "")


def beside(measured_s: float, predicted_s: float | None) -> str:
    """Milliseconds measured, and predicted in brackets.

    Examples
    --------
    >>> beside(0.0213, 0.0209)
    '21.3 (20.9)'
    """
    return f"{milliseconds(measured_s, unit=False)} ({milliseconds(predicted_s, unit=False)})"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of one as a percentage.

    Examples
    --------
    >>> percent(0.9712)
    '97.1 %'
    """
    return MISSING if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of two shares in percentage points.

    Examples
    --------
    >>> points(0.0084)
    '0.84 points'
    """
    return f"{100 * difference:.2f} points"


def kilobytes(size_bytes: float | None, unit: bool = True) -> str:
    """Bytes as kilobytes (1 kB = 1000 bytes).

    Examples
    --------
    >>> kilobytes(3072)
    '3.07 kB'
    """
    if size_bytes is None:
        return MISSING
    return _few_digits(size_bytes / 1e3) + (" kB" if unit else "")


def rate(bandwidth_bps: float) -> str:
    """Bits per second with the prefix that fits.

    Examples
    --------
    >>> rate(5e6), rate(2.5e9), rate(64e3)
    ('5 Mbit/s', '2.5 Gbit/s', '64 kbit/s')
    """
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if bandwidth_bps >= factor:
            return f"{bandwidth_bps / factor:.3g} {prefix}bit/s"
    return f"{bandwidth_bps:.3g} bit/s"


def times(ratio: float) -> str:
    """A ratio as a factor.

    Examples
    --------
    >>> times(2.94)
    '2.9x'
    """
    return f"{ratio:.1f}x"
