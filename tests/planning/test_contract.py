"""Every planner, found by entry point, keeps the rules of the seam."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.network import Network
from offramp.planning.base import Planner
from offramp.planning.endpoints import EdgeOnly
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from tests.support.instances import make_instance

PLANNERS: dict[str, type[Planner]] = {point.name: point.load() for point in entry_points(group="offramp.planners")}
CASE = make_instance(8, segments=4, tiers=3, exits=3, rows=120)


def plan_with(planner: Planner, objective: Objective) -> Plan:
    return planner.plan(CASE.records, CASE.profiles, CASE.network, objective)


def is_named_after_its_entry_point(name: str, kind: type[Planner]) -> None:
    assert kind.name == name
    assert plan_with(kind(), Objective()).planner == name


def repr_reproduces(name: str, kind: type[Planner]) -> None:
    planner = kind(CASE.temperatures, ["raw"])
    again = eval(repr(planner), {kind.__name__: kind})
    assert repr(again) == repr(planner)


def same_input_same_plan(name: str, kind: type[Planner]) -> None:
    assert plan_with(kind(), Objective()) == plan_with(kind(), Objective())


def takes_profiles_as_a_list(name: str, kind: type[Planner]) -> None:
    listed = kind().plan(CASE.records, list(CASE.profiles.values()), CASE.network, Objective())
    assert listed == plan_with(kind(), Objective())


def plan_is_complete_and_survives_json(name: str, kind: type[Planner]) -> None:
    plan = plan_with(kind(CASE.temperatures), Objective(accuracy_loss=0.05))
    assert plan.temperatures == CASE.temperatures
    assert len(plan.placement) == 4
    assert plan.predicted is not None
    assert plan.evidence is not None
    assert plan.evidence.tune_rows == plan.evidence.calibrate_rows == 60
    assert Plan.from_json(json.dumps(json.loads(plan.to_json()))) == plan


def impossible_deadline_is_refused(name: str, kind: type[Planner]) -> None:
    with pytest.raises(PlanInfeasible, match="no plan answers within"):
        plan_with(kind(), Objective(deadline_s=1e-9))


CHECKS: list[Callable[[str, type[Planner]], None]] = [
    is_named_after_its_entry_point,
    repr_reproduces,
    same_input_same_plan,
    takes_profiles_as_a_list,
    plan_is_complete_and_survives_json,
    impossible_deadline_is_refused,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_planner_contract(name: str, check: Callable[[str, type[Planner]], None]) -> None:
    check(name, PLANNERS[name])


@pytest.mark.parametrize(("name", "tier"), [("device-only", "device"), ("edge-only", "edge"), ("cloud-only", "cloud")])
def test_endpoints_use_one_tier(name: str, tier: str) -> None:
    plan = plan_with(PLANNERS[name](), Objective())
    assert set(plan.placement) == {tier}
    assert plan.predicted is not None
    joint = plan_with(PLANNERS["offramp"](), Objective())
    assert joint.predicted is not None


def test_edge_only_needs_a_tier_in_the_middle() -> None:
    two = Network(CASE.network.tiers[:2], CASE.network.links[:1])
    with pytest.raises(ConfigError, match="edge-only needs a tier between"):
        EdgeOnly().plan(CASE.records, CASE.profiles, two, Objective())
