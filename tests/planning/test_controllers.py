"""Controllers follow their links."""

from __future__ import annotations

import pytest

from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.change_point import ChangeDetector
from offramp.links.estimators import Ewma, HarmonicMean, WindowQuantile
from offramp.links.hysteresis import Hysteresis
from offramp.links.trace import Trace
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.controllers.clairvoyant import ClairvoyantController
from offramp.planning.controllers.configurator import ConfiguratorController
from offramp.planning.controllers.fixed import FixedController
from offramp.planning.controllers.in_time import InTimeController
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.controllers.replanning import ReplanningController
from offramp.planning.controllers.rerun import RerunController
from offramp.planning.most_accurate import MostAccurate
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.published.bandwidth_states import BandwidthState
from offramp.planning.published.configurator import Configurator
from offramp.planning.replanner import Replanner
from tests.support.instances import make_instance

CASE = make_instance(5, 4, 2, 2, rows=200)


def tell(controller: Controller, bandwidth_bps: float, *seconds: int) -> None:
    for second in seconds:
        controller.observe(Sent(0, bandwidth_bps / 8, 1.0, float(second)))


def replanner(deadline_s: float | None = None) -> Replanner:
    return Replanner(CASE.records, CASE.profiles, CASE.network, Objective(accuracy_loss=0.05, deadline_s=deadline_s))


def test_a_fixed_controller_does_not_move() -> None:
    prepared = replanner()
    plan = prepared.plan_of(prepared.replan())
    controller = FixedController(plan)
    tell(controller, 0.0, 1)
    assert controller.plan_at(2.0) is plan
    assert plan.plan_id in repr(controller)


def test_replanning_takes_the_fastest_plan_of_what_is_seen() -> None:
    prepared = replanner()
    controller = ReplanningController(prepared, [LinkView(Ewma(1e9, weight=1.0))])
    for second, rate in enumerate((1e9, 1e4, 1e6, 0.0, 1e8)):
        tell(controller, rate, second)
        plan = controller.plan_at(float(second))
        assert plan.plan_id == prepared.plan_of(prepared.replan(rate)).plan_id
        assert controller.plan_at(second + 0.5) is plan
    tell(controller, 0.0, 9)
    assert set(controller.plan_at(9.0).placement) == {"device"}


def test_hysteresis_holds_a_plan_back() -> None:
    controller = ReplanningController(replanner(), [LinkView(Ewma(1e9, weight=1.0))], Hysteresis(dwell_s=60.0))
    far = controller.plan_at(0.0)
    tell(controller, 1e4, 1)
    near = controller.plan_at(1.0)
    assert near is not far
    tell(controller, 1e9, 2)
    assert controller.plan_at(2.0) is near  # dwells
    tell(controller, 1e9, 70)
    assert controller.plan_at(70.0) is far


def test_an_infeasible_moment_keeps_the_plan() -> None:
    quick_s = replanner().replan(1e9).value
    controller = ReplanningController(replanner(deadline_s=quick_s * 2.4), [LinkView(Ewma(1e9, weight=1.0))])
    plan = controller.plan_at(0.0)
    tell(controller, 1e3, 1)
    assert controller.plan_at(1.0) is plan


def test_in_time_is_careful_with_a_low_quantile() -> None:
    planner = MostAccurate(CASE.records, CASE.profiles, CASE.network, 1.0)
    deadline_s = 1.2 * planner.choose(1e7).longest_s
    planner = MostAccurate(CASE.records, CASE.profiles, CASE.network, deadline_s)
    bold = InTimeController(planner, [LinkView(HarmonicMean(1e9, window=1))])
    careful = InTimeController(planner, [LinkView(WindowQuantile(1e9, window=5, quantile=0.0))])
    for controller in (bold, careful):
        tell(controller, 1e4, 1)
        tell(controller, 1e9, 2)
    assert bold.plan_at(2.0) is planner.plan_of(planner.choose(1e9))
    low = planner.cost_s(1e4)
    try:
        expected = planner.best(low)
    except ValueError:
        expected = planner.fastest(low)
    assert careful.plan_at(2.0) is planner.plan_of(expected)


def test_clairvoyant_sees_the_transfer_to_come() -> None:
    planner = MostAccurate(CASE.records, CASE.profiles, CASE.network, 10.0)
    fast = planner.choose(1e9)
    planner = MostAccurate(CASE.records, CASE.profiles, CASE.network, 1.01 * fast.longest_s)
    trace = Trace((0.0, 5.0), (1e9, 0.0))
    controller = ClairvoyantController(planner, {"device-edge": trace})
    tell(controller, 0.0, 1)
    assert controller.plan_at(1.0) is planner.plan_of(planner.choose(1e9))
    assert set(controller.plan_at(6.0).placement) == {"device"}
    same = ClairvoyantController(planner, {"device-edge": Trace((0.0,), (3e6,))})
    assert same._cost_s(0.0) == pytest.approx(planner.cost_s(3e6))
    three = make_instance(5, 4, 3, 2, rows=60)
    chain = MostAccurate(three.records, three.profiles, three.network, 10.0)
    assert ClairvoyantController(chain, {})._cost_s(3.0) == pytest.approx(chain.cost_s())


def test_a_view_believes_its_detector_after_a_change() -> None:
    view = LinkView(WindowQuantile(5e6, window=20, quantile=0.5), ChangeDetector())
    for second in range(30):
        view.observe(Sent(0, (5e6 if second < 25 else 5e5) / 8, 1.0, float(second)))
    assert view.estimator.bandwidth_bps == 5e6
    assert view.bandwidth_bps == pytest.approx(5e5, rel=0.1)


def test_one_view_per_link() -> None:
    with pytest.raises(ConfigError, match="2 views for 1 links"):
        ReplanningController(replanner(), [LinkView(Ewma(1e6))] * 2)
    with pytest.raises(ConfigError, match="0 views for 1 links"):
        InTimeController(MostAccurate(CASE.records, CASE.profiles, CASE.network, 1.0), [])


def test_a_planner_is_asked_once_for_a_step_and_falls_back() -> None:
    prepared = replanner()
    asked = list[float]()

    def plan_for(bandwidth_bps: float) -> Plan:
        asked.append(bandwidth_bps)
        if bandwidth_bps < 1e5:
            raise PlanInfeasible("too slow")
        return prepared.plan_of(prepared.replan(bandwidth_bps))

    controller = RerunController(plan_for, LinkView(Ewma(0.0, weight=1.0)), step=1.5)
    with pytest.raises(PlanInfeasible, match="none to fall back on"):
        controller.plan_at(0.0)
    tell(controller, 1.0e9, 1)
    plan = controller.plan_at(1.0)
    tell(controller, 1.01e9, 2)
    assert controller.plan_at(2.0) is plan
    assert len(asked) == 2
    assert asked[1] <= 1e9 <= asked[1] * 1.5
    tell(controller, 0.0, 3)
    assert controller.plan_at(3.0) is plan  # the last one
    local = prepared.plan_of(prepared.replan(0.0))
    careful = RerunController(plan_for, LinkView(Ewma(0.0)), fallback=lambda bandwidth_bps: local)
    assert careful.plan_at(0.0) is local
    with pytest.raises(ConfigError, match="step must be above 1"):
        RerunController(plan_for, LinkView(Ewma(0.0)), step=1.0)
    with pytest.raises(ConfigError, match="floor_bps must be above 0"):
        RerunController(plan_for, LinkView(Ewma(0.0)), floor_bps=0.0)


def test_the_configurator_follows_changes_of_its_link() -> None:
    prepared = replanner()
    near, far = (prepared.plan_of(prepared.replan(rate)) for rate in (0.0, 1e9))
    states = [BandwidthState(1e4), BandwidthState(1e9)]
    controller = ConfiguratorController(Configurator(states, [near, far], start=1))
    tell(controller, 1e9, *range(20))
    assert controller.plan_at(19.0) is far
    tell(controller, 1e4, *range(20, 25))
    assert controller.plan_at(25.0) is near
    controller.observe(Sent(1, 1e9, 1.0, 26.0))
    assert controller.plan_at(26.0) is near
