"""Plans a tier was told of while running."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from offramp.errors import ConfigError
from offramp.runtime.route import Route

__all__ = ["LearnedRoutes"]


class LearnedRoutes:
    """Routes of announced plans by their id; where there are too many, the one not used for longest goes.

    Any thread may use it.

    Parameters
    ----------
    most : how many are kept; 0 takes none

    Examples
    --------
    >>> LearnedRoutes(most=2).get("7b1f0c9a3d52") is None
    True
    """

    def __init__(self, most: int = 64) -> None:
        self.most = most
        self._routes: OrderedDict[str, Route] = OrderedDict()

    def get(self, plan_id: str) -> Route | None:
        """The route of a plan, which counts as used now."""
        route = self._routes.get(plan_id)
        if route is not None:
            with suppress(KeyError):  # another thread made room
                self._routes.move_to_end(plan_id)
        return route

    def put(self, route: Route) -> Route:
        """Keep a route; the one that is kept under its id.

        Raises
        ------
        ConfigError : none is taken here
        """
        if self.most < 1:
            raise ConfigError(
                "this tier takes no plans while it runs; start it with --max-plans, or give it the plan with --plan"
            )
        kept = self._routes.setdefault(route.plan_id, route)
        while len(self._routes) > self.most:
            self._routes.popitem(last=False)
        return kept

    def latest(self, count: int) -> tuple[Route, ...]:
        """The routes used last, the latest first."""
        return tuple(reversed(self._routes.values()))[:count]

    def __contains__(self, plan_id: object) -> bool:
        return plan_id in self._routes

    def __len__(self) -> int:
        return len(self._routes)
