"""Whether both exits still differ as often as they did, and what to make of it where not."""

from __future__ import annotations

from typing import Any

from offramp.confidence.alarm import Alarm
from offramp.policies.warm_gain import WarmGain

__all__ = ["DriftWatch"]

_LIMIT = 0.1
_DELTA = 0.05
_RECENT = 0.02
_BEGIN = 0.5
_HEALTHY_PRIOR = 400.0  # rows the warm model is worth in a bin
_DRIFTED_PRIOR = 20.0
_LEAST = 0.15
_LABELS_PRIOR = 1.0  # labelled disagreements that the blame without labels is worth


class DriftWatch:
    """Corrections of the warm gain by bin of confidence; a detected change makes them start anew.

    Samples that both exits answered show whether these differ, and what that is worth by the last exit's confidence.
    In each bin the mean of that, less what the labelled rows showed there, corrects the gain; samples that were
    observed with probability w count 1 / w times, and the labelled rows count as several hundred.

    Two alarms bet that the exits differ more, or less, often by 0.1 than the labelled rows said of such confidences.
    After one, the corrections begin at 0 and the labelled rows count little: something broke, and without labels nobody
    knows which exit it was. Differing more is then blamed on the last exit, of which less is known: as if the first
    kept its accuracy, and both erred independently. Where labels of some samples are told after the change they decide:
    those of n samples on which the exits differ weigh n to 1 against that guess. Each of the two alarms of the n-th
    life is a false one with probability at most ``delta / (n (n + 1))``. The state ends when the recent mean (of some
    fifty samples) of how much more often they differ falls below half of that 0.1.

    Parameters
    ----------
    warm : the model that is corrected
    classes : K
    delta : of all alarms that a change is seen where none is
    limit : share that the exits may differ more or less often

    Examples
    --------
    >>> warm = WarmGain((0.0,) * 6, (0.0,) * 6, (), (), (), (0.1,), (), (0.2,), (0.8,), (0.0,), (), (0.5,))
    >>> watch = DriftWatch(warm, classes=10)
    >>> for _ in range(60):
    ...     watch.see(0, differs=True, gain=0.5, modelled=0.1)
    >>> watch.drifted, watch.correction(0) < -0.5
    (1, True)
    """

    __slots__ = ("_alarms", "_chance", "_delta", "_limit", "_recent", "_sums", "_told", "changes", "drifted", "warm")

    def __init__(self, warm: WarmGain, classes: int, delta: float = _DELTA, limit: float = _LIMIT) -> None:
        self.warm = warm
        #: alarms so far
        self.changes = 0
        #: whether the exits differ more often (1) or less often (-1) than they did, or as they did (0)
        self.drifted = 0
        self._delta, self._limit = delta, limit
        # of agreeing by chance where one is right and the other is not
        self._chance = [max(_LEAST, right - (1.0 - right) / (classes - 1)) for right in warm.right]
        self._start()

    def _start(self) -> None:
        count = len(self.warm.differ)
        #: by bin: weights, squared weights, gain above the model, differing above the rows
        self._sums = [[0.0, 0.0, 0.0, 0.0] for _ in range(count)]
        #: since the last change, of labelled samples where both differ: how many, and gain above what was expected
        self._told = [0.0, 0.0]
        life = self.changes // 2 + 1
        delta = self._delta / (life * (life + 1))
        self._alarms = [Alarm(self._limit, delta, -1.0, 1.0) for _ in range(2)]
        self._recent = _BEGIN

    def correction(self, at: int) -> float:
        """To add to the gain in a bin."""
        weight, squared, gain, differ = self._sums[at]
        if weight <= 0.0:
            return 0.0
        rows = weight * weight / squared  # as many equal ones would be as sure
        prior = _DRIFTED_PRIOR if self.drifted else _HEALTHY_PRIOR
        trust = rows / (rows + prior) / weight
        if not self.drifted:
            return trust * gain
        blamed = trust * -differ / self._chance[at] if self.drifted > 0 else trust * gain
        labels, above = self._told
        if not labels:
            return blamed
        shown = trust * (gain + above / labels * (differ + weight * self.warm.differ[at]))
        return (_LABELS_PRIOR * blamed + labels * shown) / (_LABELS_PRIOR + labels)

    @property
    def shift(self) -> float:
        """What labels told since the last change say that a disagreement gains more than expected; 0 without one."""
        labels, above = self._told
        return above / (labels + _LABELS_PRIOR) if self.drifted else 0.0

    def told(self, gain: float, expected: float) -> None:
        """A sample on which both exits differ gained so much, by its label."""
        self._told[0] += 1.0
        self._told[1] += gain - expected

    def see(self, at: int, differs: bool, gain: float, modelled: float, propensity: float = 1.0) -> None:
        """Take in a sample that both exits answered.

        Parameters
        ----------
        at : bin of the first exit's confidence
        differs : whether both say otherwise
        gain : expected, given that
        modelled : by the warm model
        propensity : with which it was observed
        """
        warm = self.warm
        weight = 1.0 / propensity
        excess = differs - warm.differ[at]
        sums = self._sums[at]
        sums[0] += weight
        sums[1] += weight * weight
        sums[2] += weight * (gain - modelled - warm.off[at])
        sums[3] += weight * excess
        now = self.drifted
        if now:
            self._recent += _RECENT * (now * excess - self._recent)
            now = 0 if self._recent < self._limit / 2 else now
        else:
            more, less = self._alarms[0].update(excess), self._alarms[1].update(-excess)
            now = 1 if more else -1 if less else 0
        if now != self.drifted:
            self.changes += 1
            self.drifted = now
            self._start()

    def state(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        alarms = [alarm.to_json() for alarm in self._alarms]
        body = {"changes": self.changes, "drifted": self.drifted, "recent": self._recent, "told": self._told}
        return body | {"sums": self._sums, "alarms": alarms}

    def take(self, state: dict[str, Any]) -> None:
        """Take back what `state` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError : not such a state
        """
        sums = [[float(one) for one in row] for row in state["sums"]]
        alarms = [Alarm.from_json(text) for text in state["alarms"]]
        self.drifted = int(state["drifted"])
        whole = len(sums) == len(self.warm.differ) and {len(row) for row in sums} == {4}
        if not whole or self.drifted not in (-1, 0, 1) or len(alarms) != 2:
            raise ValueError("its corrections do not fit its model")
        labels, above = (float(one) for one in state["told"])
        self._told = [labels, above]
        self._recent = float(state["recent"])
        self.changes, self._sums, self._alarms = int(state["changes"]), sums, alarms
