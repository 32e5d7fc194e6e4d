"""What is minimised, term by term: seconds, joules, bytes, money, or their weighted sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.links.network import Link, Network
from offramp.planning.coefficients import Conditions, latency_terms
from offramp.planning.costs import CostTable
from offramp.planning.objective import Objective
from offramp.profiles.energy import EnergyModel

__all__ = ["UNITS", "energy_terms", "price_terms", "value_terms"]

Floats = NDArray[np.float64]
Terms = dict[str, Floats]

#: what an objective is counted in
UNITS = {
    "latency": "s",
    "latency_quantile": "s",
    "energy": "J",
    "bytes": "bytes",
    "price": "of the price",
    "weighted": "of the weighted sum",
}


def value_terms(table: CostTable, network: Network, objective: Objective) -> Terms:
    """Every term of what is minimised, by its name: (P, E, C) coefficients of `Conditions`, none negative.

    Raises
    ------
    ConfigError : energy counts, but the first tier declares no energy model
    """
    if objective.weights is None:
        makers = {"energy": energy_terms, "bytes": _byte_terms, "price": price_terms}
        return makers.get(objective.minimise, latency_terms)(table, network)
    weights = objective.weights
    weighted = {
        "latency": (weights.latency_s, latency_terms),
        "energy": (weights.energy_j, energy_terms),
        "bytes": (weights.bytes, _byte_terms),
        "price": (weights.price, price_terms),
    }
    result: Terms = {}
    for kind, (weight, terms) in weighted.items():
        if weight > 0:
            result |= {f"{kind} {name}": weight * value for name, value in terms(table, network).items()}
    return result


def energy_terms(table: CostTable, network: Network) -> Terms:
    """Joules of the first tier: computing, its radio, and idling while others compute or bytes travel.

    Modelled: see `offramp.profiles.energy`. Computing costs as much under load as without.
    """
    if table.compute_j is None or table.energy is None:
        raise ConfigError(
            f"{network.name}: tier {table.tiers[0]!r} declares no energy model, so its joules are unknown; "
            "add energy = NAME to it"
        )
    conditions, model = Conditions(len(table.tiers)), table.energy
    waiting = sum(latency_terms(table, network).values(), np.zeros((*table.cost_s.shape, conditions.columns)))
    waiting[..., conditions.load_column(0)] = 0.0
    waiting[..., 0] = np.maximum(waiting[..., 0] - table.codec_s[:, :, 0], 0.0)
    result = {"compute": conditions.at(0, table.compute_j), "idle": model.idle_w * waiting}
    if model.compute == "time":
        result["codec"] = conditions.at(0, model.busy_w * table.codec_s[:, :, 0])
    if network.links:
        result["radio"] = _radio(table, network.links[0], model, conditions)
    return result


def _radio(table: CostTable, link: Link, model: EnergyModel, conditions: Conditions) -> Floats:
    """The link's joules of a byte, both ways, where it declares them; else the model's of a byte sent."""
    up = table.up_bytes[:, :, 0]
    if link.energy_j_per_byte > 0:
        return conditions.at(0, (up + table.down_bytes[:, :, 0]) * link.energy_j_per_byte)
    per_byte, per_s = model.sent_energy_j(1.0), model.sent_energy_j(0.0, transfer_s=1.0)
    return conditions.at(0, up * per_byte) + conditions.at(conditions.link_column(0), 8.0 * up * per_s)


def price_terms(table: CostTable, network: Network) -> Terms:
    """Money: every tier's price of a second at work, every link's price of a byte."""
    conditions = Conditions(len(table.tiers))
    column = {name: index for index, name in enumerate(table.names)}
    result = {}
    for index, tier in enumerate(network.tiers):
        seconds = table.terms_s[:, :, column[f"compute:{tier.name}"]]
        busy = conditions.at(conditions.load_column(index), seconds) + conditions.at(0, table.codec_s[:, :, index])
        result[f"compute:{tier.name}"] = tier.price_per_s * busy
    for index, link in enumerate(network.links):
        moved = table.up_bytes[:, :, index] + table.down_bytes[:, :, index]
        result[f"link:{link.source}-{link.target}"] = conditions.at(0, moved * link.price_per_byte)
    return result


def _byte_terms(table: CostTable, network: Network) -> Terms:
    return {"sent": Conditions(len(table.tiers)).at(0, table.sent_bytes)}
