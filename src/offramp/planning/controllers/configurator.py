"""Edgent's configurator as a controller."""

from __future__ import annotations

from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.plan import Plan
from offramp.planning.published.configurator import Configurator

__all__ = ["ConfiguratorController"]


class ConfiguratorController(Controller):
    """Gives every sample the configurator's plan, and shows it the bandwidth of one link.

    Parameters
    ----------
    configurator : started
    link : the one its map is for
    """

    def __init__(self, configurator: Configurator, link: int = 0) -> None:
        self.configurator, self.link = configurator, link

    def plan_at(self, now_s: float) -> Plan:
        return self.configurator.current

    def observe(self, sent: Sent) -> None:
        if sent.link == self.link:
            self.configurator.observe(sent.bandwidth_bps)

    def __repr__(self) -> str:
        return f"ConfiguratorController({self.configurator!r}, link={self.link})"
