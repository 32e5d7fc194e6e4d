"""Logits of many classes in few bytes, with the same scores to 1e-3.

Kept for every row and exit: the `TOP` highest log-probabilities and their classes, the label's
log-probability, and the rest as a few groups (see `offramp.records.tail`). A row whose scores would
differ by more is kept whole, so the bound holds for every row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.records.tail import INVERSE_TEMPERATURES, fit_tail

__all__ = ["LOWEST_CLASSES", "TOLERANCE", "TOP", "Compact", "pack", "unpack"]

TOP = 8
#: below this the full logits as float16 are about as small
LOWEST_CLASSES = 32
#: largest difference of any score (max probability, margin, entropy) at T from 0.5 to 3
TOLERANCE = 1e-3

_CHECKED_AT = (0.5, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0)
_MARGIN = 0.8  # between the temperatures checked
_LOWEST_LOG = -60_000.0  # float16 reaches -65,504
_BLOCK = 64  # rows

Floats = NDArray[np.float64]
Array = NDArray[np.generic]


@dataclass(frozen=True)
class Compact:
    """n rows of one exit.

    ``classes`` (n, TOP) and ``log_p`` (n, TOP), in falling order; ``label_log_p`` (n,);
    ``counts`` and ``depths`` (n, GROUPS): classes of each group and how far below the last of the top
    they lie; ``whole`` (m,) the rows kept whole and ``whole_log_p`` (m, K) their log-probabilities.
    """

    classes: NDArray[np.int64]
    log_p: NDArray[np.floating]
    label_log_p: NDArray[np.floating]
    counts: NDArray[np.int64]
    depths: NDArray[np.floating]
    whole: NDArray[np.intp]
    whole_log_p: NDArray[np.float32]


def pack(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> Compact:
    """The compact form of logits (n, K).

    Raises
    ------
    ConfigError : fewer than `LOWEST_CLASSES` classes

    Examples
    --------
    >>> logits = np.random.default_rng(0).normal(0, 3, (200, 100))
    >>> packed = pack(logits, np.zeros(200, int))
    >>> bool((unpack(packed, np.zeros(200, int), 100).argmax(1) == logits.argmax(1)).all())
    True
    """
    n, classes = logits.shape
    if classes < LOWEST_CLASSES:
        raise ConfigError(
            f"the compact form needs at least {LOWEST_CLASSES} classes, not {classes}; float16 is as small"
        )
    starts = range(0, max(n, 1), _BLOCK)
    blocks = [_pack_block(logits[i : i + _BLOCK], labels[i : i + _BLOCK]) for i in starts]
    joined = {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in ("classes", "log_p", "label_log_p", "counts", "depths", "whole_log_p")
    }
    whole = np.concatenate([block.whole + start for block, start in zip(blocks, starts, strict=True)])
    return Compact(whole=whole, **joined)


def _pack_block(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> Compact:
    """The same for few rows, which stay in the processor's cache."""
    n, classes = logits.shape
    log_p = _log_softmax(np.asarray(logits, np.float64))
    order = _highest(log_p)
    top = np.take_along_axis(log_p, order, 1)
    reference = top[:, -1:]
    in_tail = np.ones((n, classes), bool)
    np.put_along_axis(in_tail, order, False, 1)
    in_tail[np.arange(n), labels] = False
    depth = np.maximum(reference - log_p, 0.0)
    log_total = np.stack([_log_sum(s * (log_p - reference)) for s in INVERSE_TEMPERATURES], axis=1)
    counts, depths = fit_tail(depth, in_tail, log_total)
    packed = Compact(
        classes=order,
        log_p=_half(top),
        label_log_p=_half(log_p[np.arange(n), labels]),
        counts=counts,
        depths=_half(np.minimum(depths, -_LOWEST_LOG)),
        whole=np.empty(0, np.intp),
        whole_log_p=np.empty((0, classes), np.float32),
    )
    difference = _difference(log_p, unpack(packed, labels, classes), order[:, :2])
    whole = np.flatnonzero(difference > _MARGIN * TOLERANCE)
    return replace(packed, whole=whole, whole_log_p=log_p[whole].astype(np.float32))


def unpack(packed: Compact, labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Log-probabilities (n, K): exact to rounding for the top and the label, equal within each group."""
    n = len(packed.classes)
    rows = np.arange(n)
    top = packed.log_p.astype(np.float32)
    for place in range(1, TOP):  # ties made by rounding would change who is first
        top[:, place] = np.minimum(top[:, place], np.nextafter(top[:, place - 1], np.float32(-np.inf)))
    in_tail = np.ones((n, classes), bool)
    np.put_along_axis(in_tail, packed.classes, False, 1)
    in_tail[rows, labels] = False
    result = np.empty((n, classes), np.float32)
    values = top[:, -1:] - packed.depths.astype(np.float32)
    result[in_tail] = np.repeat(values.ravel(), packed.counts.ravel())
    result[rows, labels] = np.minimum(packed.label_log_p.astype(np.float32), top[:, -1])
    np.put_along_axis(result, packed.classes, top, 1)
    result[packed.whole] = packed.whole_log_p
    return result


def _half(values: Floats) -> NDArray[np.float16]:
    return np.maximum(values, _LOWEST_LOG).astype(np.float16)


def _log_sum(values: Floats) -> Floats:
    highest = values.max(1, keepdims=True)
    return np.asarray(np.log(np.exp(values - highest).sum(1)) + highest[:, 0])


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def _highest(log_p: Floats) -> NDArray[np.int64]:
    """(n, TOP) the classes of the highest values, in falling order; of equal ones the lower class first."""
    found = np.sort(np.argpartition(log_p, -TOP, axis=1)[:, -TOP:], axis=1)
    by_value = np.argsort(-np.take_along_axis(log_p, found, 1), axis=1, kind="stable")
    order = np.take_along_axis(found, by_value, 1)
    order[:, 0] = log_p.argmax(1)  # another only where more than TOP classes share the highest value
    return np.asarray(order, np.int64)


def _difference(exact: Floats, stored: NDArray[np.float32], first_two: NDArray[np.int64]) -> Floats:
    """(n,) largest difference of a score at any temperature; both have the same two highest classes."""
    worst = np.zeros(len(exact))
    for temperature in _CHECKED_AT:
        ours = _scores(stored.astype(np.float64) / temperature, first_two)
        np.maximum(worst, np.abs(ours - _scores(exact / temperature, first_two)).max(0), out=worst)
    return worst


def _scores(logits: Floats, first_two: NDArray[np.int64]) -> Floats:
    """(3, n): highest probability, margin, entropy over ln K."""
    log_p = _log_softmax(logits)
    entropy = -np.einsum("nk,nk->n", np.exp(log_p), log_p) / np.log(logits.shape[1])
    first, second = np.exp(np.take_along_axis(log_p, first_two, 1)).T
    return np.stack([first, first - second, entropy])
