"""Gate settings that can be the cheapest for some costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from offramp.planning.pareto import undominated_rows

__all__ = ["lower_vertices", "tail_shares"]

Floats = NDArray[np.float64]

#: a point this far inside the hull is dropped; well above the tolerance of the linear programmes
_INSIDE = 1e-6
_MOST_PROGRAMMES = 500


def tail_shares(share: Floats) -> Floats:
    """(m, E - 1) share of the rows that go on to exit 1, 2, ..., of shares (m, E) by exit.

    The mean cost is that of exit 0 plus tail shares times the steps of cost from exit to exit; no step is negative.

    Examples
    --------
    >>> tail_shares(np.array([[0.5, 0.25, 0.25]]))
    array([[0.5 , 0.25]])
    """
    return np.asarray(np.cumsum(share[:, :0:-1], axis=1)[:, ::-1])


def lower_vertices(points: Floats) -> NDArray[np.intp]:
    """Rows of (m, d) that may have the least product with some weights >= 0; ascending.

    Rows at least as high as another in every column go, then those strictly inside the lower hull: one small linear
    programme each asks for weights under which the row is below all others. Of very many rows only the former go.

    Examples
    --------
    >>> lower_vertices(np.array([[0.0, 1.0], [0.9, 0.9], [1.0, 0.0], [0.4, 0.4], [1.0, 1.0]]))
    array([0, 2, 3])
    """
    kept = undominated_rows(points).tolist() if points.shape[1] else [0]
    if len(kept) > _MOST_PROGRAMMES:
        return np.array(kept, np.intp)
    for row in tuple(kept):
        others = [other for other in kept if other != row]
        if others and _margin(points[others] - points[row]) < -_INSIDE:
            kept = others
    return np.array(kept, np.intp)


def _margin(above: Floats) -> float:
    """Most by which weights >= 0 that sum to 1 keep all rows of ``above`` from falling below zero."""
    rows, columns = above.shape
    found = linprog(
        np.append(np.zeros(columns), -1.0),
        A_ub=np.hstack([-above, np.ones((rows, 1))]),
        b_ub=np.zeros(rows),
        A_eq=np.append(np.ones(columns), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * columns + [(None, None)],
    )
    return -float(found.fun) if found.success else 0.0
