"""What a controller believes of one link."""

from __future__ import annotations

from offramp.links.change_point import ChangeDetector
from offramp.links.estimators import Estimator
from offramp.planning.controllers.base import Sent

__all__ = ["LinkView"]


class LinkView:
    """An estimator and, if wanted, a change detector, which speaks while a change is recent.

    Parameters
    ----------
    estimator : slow and steady
    detector : after a change its level counts until the run is longer than its ``recent``

    Examples
    --------
    >>> from offramp.links.estimators import HarmonicMean
    >>> view = LinkView(HarmonicMean(5e6), ChangeDetector())
    >>> for second in range(25):
    ...     rate = 5e6 if second < 20 else 5e5
    ...     view.observe(Sent(0, payload_bytes=rate / 8, seconds=1.0, ended_s=float(second)))
    >>> round(view.bandwidth_bps, -4), view.version
    (510000.0, 25)
    """

    def __init__(self, estimator: Estimator, detector: ChangeDetector | None = None) -> None:
        self.estimator, self.detector = estimator, detector
        #: observations so far
        self.version = 0

    def observe(self, sent: Sent) -> None:
        """Take what the link did."""
        self.estimator.update(sent.bandwidth_bps)
        if self.detector is not None:
            self.detector.update(sent.bandwidth_bps)
        self.version += 1

    @property
    def bandwidth_bps(self) -> float:
        """Bits per second one may count on."""
        if self.detector is not None and self.detector.changed:
            return self.detector.level_bps
        return self.estimator.bandwidth_bps
