"""Where a tier's segments run: here, or elsewhere; what is decided does not depend on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade
from offramp.errors import ConfigError
from offramp.runtime.engine import Engine, Local, engine_named
from offramp.runtime.engine_ray import RemoteSegment, Replica, replica_range
from offramp.runtime.server import serve
from offramp.runtime.tier import Tier
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


class OneReplica(Engine):
    """A replica without the network in between."""

    name = "one-replica"

    def __init__(self, cascade: Cascade, replicas: str | None = None) -> None:
        self.cascade = cascade
        self.replica = Replica(str(cascade.path), cascade.manifest.fingerprint)

    def load(self, index: int, precision: str) -> Segment:
        return RemoteSegment(
            self.cascade.manifest.segments[index],
            self.cascade.path,
            lambda tensors, temperature: self.replica.compute(index, precision, tensors, temperature),
        )


@pytest.mark.parametrize("engine", [Local, OneReplica])
def test_a_tier_answers_alike_on_every_engine(cascade: Cascade, engine: type[Engine]) -> None:
    plan, rows = plan_of(cascade, ("cloud",) * 3, GATES), tiny_rows(40)
    tier = Tier(cascade, "cloud", [plan], engine=engine(cascade))
    tier.warm(tier.route(), 0, 3)
    run = tier.run(tier.route(), 0, [rows])
    expected = local_chain(cascade, rows, GATES)
    assert run.rows.label.tolist() == [label for label, _, _ in expected]
    assert run.rows.exit.tolist() == [exit_index for _, exit_index, _ in expected]
    assert tier.expected_s(tier.route(), 0, 3) > 0


def test_what_runs_elsewhere_is_not_waited_for_on_the_event_loop() -> None:
    assert Local.inline
    assert not OneReplica.inline


def test_a_replica_with_another_cascade_says_so(cascade: Cascade) -> None:
    with pytest.raises(ConfigError, match="put the same folder on every machine"):
        Replica(str(cascade.path), "0" * 16)


def test_there_is_a_name_for_each(cascade: Cascade) -> None:
    assert repr(engine_named("local", cascade)) == "Local()"
    with pytest.raises(ConfigError, match="unknown engine 'spark'; there are local, ray"):
        engine_named("spark", cascade)
    with pytest.raises(ConfigError, match="leave the replicas out"):
        engine_named("local", cascade, "2")


@pytest.mark.parametrize("text", ["0", "2-1", "-1", "a", "1-", "1-2-3", ""])
def test_odd_numbers_of_replicas(text: str) -> None:
    if not text:
        assert replica_range(text) == (1, 1)
        return
    with pytest.raises(ConfigError, match="replicas must be"):
        replica_range(text)


def test_a_slow_machine_is_imitated_here_only(cascade: Cascade, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    plan_of(cascade, ("cloud",) * 3, GATES).save(file)
    with pytest.raises(ConfigError, match="by the engine local only"):
        serve(cascade.path, tier="cloud", plans=[file], engine="ray", slow_down=2.0)


def test_without_ray_it_says_what_to_install(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'offramp\[ray\]'"):
        engine_named("ray", cascade)


def test_a_segment_without_an_exit_hands_on_only() -> None:
    spec = RemoteSegment.__new__(RemoteSegment)
    spec._elsewhere = lambda tensors, temperature: (tuple(tensors), ())
    output = spec.run([np.zeros(2, np.float32)])
    assert output.label is None
    assert len(output.hand_over) == 1
