"""SPINN: one threshold for all exits, and one cut."""

from __future__ import annotations

from collections.abc import Sequence

from offramp.errors import ConfigError
from offramp.planning.plan import Plan
from offramp.planning.published.base import TwoTierPlanner
from offramp.planning.published.space import Space
from offramp.planning.published.threshold_scan import GOALS, best_threshold

__all__ = ["Spinn"]


class Spinn(TwoTierPlanner):
    """The cut and the one threshold with the least expected latency; further goals decide between equals.

    Constraints (accuracy loss, deadline) come first, then the goals in the user's order, each compared only where all
    before it are equal. The paper cuts right after a ReLU and packs the tensor there: 8 bits, bit-shuffled, LZ4. Given
    variants of records such as ``fp32+uint8@2`` (8 bits, Zstandard) the tensor at that cut may be packed or not;
    without them tensors travel lossless. Moving averages of bandwidth and server load are the caller's, as a changed
    network. The paper constrains the mean latency; here the objective's deadline holds as it does for every planner.
    All exits are on, as built, and thresholds are cuts between the tune rows' confidences.

    Parameters
    ----------
    temperatures, codecs, pair : as for `TwoTierPlanner`; the paper's softmax is as trained, temperature 1
    goals : some of ``latency``, ``accuracy``, ``server`` (seconds of the last tier) and ``bytes`` (leaving the first)

    Raises
    ------
    ConfigError : an unknown goal, or none

    Source: Laskaridis et al., MobiCom 2020, arXiv 2008.06402.

    Examples
    --------
    >>> Spinn(goals=["server", "latency"])
    Spinn(temperatures=None, codecs=None, pair=None, goals=('server', 'latency'))
    """

    name = "spinn"
    exits = True
    takes_variants = True

    def __init__(
        self,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        *,
        pair: tuple[str, str] | None = None,
        goals: Sequence[str] = ("latency", "accuracy"),
    ) -> None:
        super().__init__(temperatures, codecs, pair=pair)
        self.order = tuple(goals)
        unknown = [goal for goal in self.order if goal not in GOALS]
        if unknown or not self.order:
            raise ConfigError(
                f"planner 'spinn': goals are some of {', '.join(GOALS)}, not {', '.join(unknown) or 'none'}"
            )

    def choose(self, space: Space) -> Plan:
        return best_threshold(space, self.name, self.order, [(True,) * (space.records[0].exits - 1)])

    def _options(self) -> dict[str, object]:
        return {**super()._options(), "goals": self.order}
