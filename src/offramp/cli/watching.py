"""What ``offramp run`` does beside answering: it adapts, audits, and shows metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from offramp.cli.common import load_profiles, records_file

if TYPE_CHECKING:
    from offramp.links.network import Network
    from offramp.planning.plan import Plan
    from offramp.records.records import Records
    from offramp.runtime.adapting import Adaptation
    from offramp.runtime.audit import Audit
    from offramp.runtime.device import Device

__all__ = ["adaptation_for", "audit_for", "limit_for", "watched"]

#: what another plan must save until it pays, in seconds of 100 requests, and least seconds between two switches
SWITCHING_S, HORIZON, DWELL_S = 0.01, 100.0, 1.0
#: disagreement tolerated beyond what the records show, where the plan tolerates less
LEAST_SLACK = 0.01


def adaptation_for(cascade: Path, plan: Plan, network: Network) -> Adaptation:
    """A re-planning controller for what the plan was made for, from the cascade's records and profiles.

    Where the plan carries a certificate only its settings may be chosen, so that it holds whatever the links do.

    Raises
    ------
    ConfigError, RecordMismatch, PlanInfeasible : records, profiles, network and plan do not belong together, or there
        is no plan
    """
    from offramp.links.change_point import ChangeDetector
    from offramp.links.estimators import Ewma
    from offramp.links.hysteresis import Hysteresis
    from offramp.planning.controllers.link_view import LinkView
    from offramp.planning.controllers.replanning import ReplanningController
    from offramp.planning.replanner import Replanner
    from offramp.runtime.adapting import Adaptation

    profiles = load_profiles(cascade, network.tier_names)
    replanner = Replanner(
        _records_of(cascade, plan),
        profiles,
        network,
        plan.objective,
        temperatures=plan.temperatures,
        gates=plan.scores or None,
        certificate=plan.certificate,
    )
    views = [LinkView(Ewma(link.bandwidth_bps), ChangeDetector()) for link in network.links]
    in_seconds = plan.objective.minimise in ("latency", "latency_quantile")
    hysteresis = Hysteresis(SWITCHING_S if in_seconds else 0.0, HORIZON, DWELL_S)
    controller = ReplanningController(replanner, views, hysteresis)
    return Adaptation(controller, network, hop_s=profiles[network.tier_names[0]].transport.hop_s)


def audit_for(cascade: Path, plan: Plan, share: float, limit: float | None, log: Path) -> Audit:
    """An audit whose alarm tolerates what the records show and the plan allows, unless a limit is given.

    Raises
    ------
    ConfigError, RecordMismatch : no such share or limit, or no records of the plan
    """
    from offramp.runtime.audit import Audit

    return Audit(share, limit_for(_records_of(cascade, plan), plan) if limit is None else limit, log=log)


def limit_for(records: Records, plan: Plan) -> float:
    """Disagreement with the last exit on the calibrate rows, plus the accuracy the plan may lose."""
    import numpy as np

    from offramp.planning.replay import replay_exits

    held_out = records.on("calibrate")
    said = held_out.predictions
    taken = replay_exits(plan, held_out)
    differ = float((said[taken, np.arange(len(held_out))] != said[-1]).mean())
    return min(differ + max(plan.objective.accuracy_loss, LEAST_SLACK), 0.99)


def _records_of(cascade: Path, plan: Plan) -> Records:
    """The evidence for what the plan runs."""
    from offramp.records.records import load_records

    records = load_records(records_file(cascade, cascade / "records" / f"{plan.variant}.parquet"))
    records.require(plan.cascade_fingerprint)
    return records


def watched(device: Device) -> dict[str, float | str | bool | None]:
    """What adapting and auditing came to, for the summary of a run."""
    found: dict[str, float | str | bool | None] = {}
    if device.adapter is not None:
        found |= {"last_plan_id": device.plan.plan_id, "plan_switches": device.adapter.switches}
    if device.auditor is not None:
        auditor = device.auditor
        found |= {
            "audited": auditor.audited,
            "audit_lost": auditor.lost,
            "audit_loss": auditor.loss,
            "alarm_raised_at": auditor.alarm.raised_at,
        }
    return found
