"""Neurosurgeon: one cut, no exits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.errors import ConfigError
from offramp.planning.making import whole_request
from offramp.planning.plan import Plan
from offramp.planning.published.base import TwoTierPlanner
from offramp.planning.published.space import Space

__all__ = ["Neurosurgeon"]

Floats = NDArray[np.float64]


class Neurosurgeon(TwoTierPlanner):
    """The cut with the least latency, or the least energy of the phone, of a network that always runs to its end.

    The paper predicts layer times with one regression per layer type and multiplies those of the server by its load;
    here they are those of the profiles, measured or predicted, and a segment takes the place of a layer. Its transfer
    is bytes over bandwidth; here encoding, the round trip, the protocol and the answer count as well. It sends
    tensors as they are (``codecs=["raw"]``). Its energy is that of computing and of the radio, nothing for waiting.

    Source: Kang et al., ASPLOS 2017, doi 10.1145/3037697.3037698.

    Examples
    --------
    >>> Neurosurgeon(codecs=["raw"], pair=("device", "edge"))
    Neurosurgeon(temperatures=None, codecs=('raw',), pair=('device', 'edge'))
    """

    name = "neurosurgeon"
    goals = ("latency", "energy")

    def choose(self, space: Space) -> Plan:
        latency = space.cost_s[:, -1]
        value = phone_energy_j(space) if space.objective.minimise == "energy" else latency
        deadline = space.objective.deadline_s
        in_time = np.ones(len(space), bool) if deadline is None else latency <= deadline + TINY
        if not in_time.any():
            raise space.infeasible(self.name, latency)
        best = int(np.where(in_time, value, np.inf).argmin())
        exits = space.records[0].exits
        return space.plan(best, whole_request(exits, exits - 1), self.name)


def phone_energy_j(space: Space) -> Floats:
    """(R,) modelled joules of the first tier for one sample that runs to the end: its segments, and its radio.

    Raises
    ------
    ConfigError : the first tier names no energy model
    """
    model = space.tables[0].energy
    if model is None:
        name = space.network.tier_names[0]
        raise ConfigError(f"{space.network.name}: tier {name!r} names no energy model; add energy = NAME to it")
    joules = space.gather(lambda table: np.zeros(table.cost_s.shape) if table.compute_j is None else table.compute_j)
    if not space.network.links:
        return np.asarray(joules[:, -1])
    link = space.network.links[0]
    per_byte = link.energy_j_per_byte or model.sent_energy_j(1.0, link.transfer_s(1.0))
    return np.asarray(joules[:, -1] + space.sent_bytes[:, -1] * per_byte)
