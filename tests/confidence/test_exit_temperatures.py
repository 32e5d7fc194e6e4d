"""The variants of one temperature per exit."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from offramp.confidence.exit_temperatures import (
    TEMPERATURE_METHODS,
    fit_temperatures,
    global_temperature,
    leaving,
    survivor_temperatures,
)
from offramp.confidence.offloading_temperatures import Offloading, offloading_temperatures
from offramp.confidence.scores import softmax
from offramp.confidence.temperature import fit_temperature
from offramp.errors import ConfigError

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 1500)
#: two exits, the second better; both too sure of themselves, the first more so
LOGITS = np.stack([k * (RNG.normal(0, 1, (1500, 4)) + s * np.eye(4)[LABELS]) for k, s in ((4.0, 1.2), (2.5, 2.0))])


def confidence_at(temperatures: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.stack([softmax(z, t).max(-1) for z, t in zip(LOGITS, temperatures, strict=True)])


@pytest.mark.parametrize("method", TEMPERATURE_METHODS)
def test_every_method_gives_one_per_exit(method: Any) -> None:
    found = fit_temperatures(LOGITS, LABELS, method, 0.8)
    assert found.shape == (2,)
    assert (found > 1).all()


def test_per_exit_is_each_alone() -> None:
    np.testing.assert_array_equal(fit_temperatures(LOGITS, LABELS), [fit_temperature(z, LABELS) for z in LOGITS])


def test_one_exit_makes_all_methods_alike() -> None:
    alone = [fit_temperatures(LOGITS[:1], LABELS, method) for method in TEMPERATURE_METHODS]
    np.testing.assert_allclose(alone, alone[0][0], rtol=1e-4)


def test_global_stands_still_where_it_says() -> None:
    found = global_temperature(LOGITS, LABELS, 0.8)
    exits = leaving(confidence_at(np.full(2, found)), 0.8)
    assert fit_temperature(LOGITS[exits, np.arange(1500)], LABELS) == pytest.approx(found, rel=0.02)


def test_survivors_are_those_the_first_exit_lets_go_on() -> None:
    found = survivor_temperatures(LOGITS, LABELS, 0.8)
    assert found[0] == fit_temperature(LOGITS[0], LABELS)
    on = softmax(LOGITS[0], found[0]).max(-1) < 0.8
    assert found[1] == fit_temperature(LOGITS[1][on], LABELS[on])


def test_an_exit_nobody_reaches_is_fitted_on_all_rows() -> None:
    np.testing.assert_array_equal(survivor_temperatures(LOGITS, LABELS, 0.0), fit_temperatures(LOGITS, LABELS))


def test_leaving_is_the_first_that_reaches_it() -> None:
    confidence = np.random.default_rng(1).random((3, 100))
    for target in (0.0, 0.5, 1.0):
        expected = [next((e for e in range(2) if column[e] >= target), 2) for column in confidence.T]
        assert leaving(confidence, target).tolist() == expected


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="there are temperature, global, survivors"):
        fit_temperatures(LOGITS, LABELS, cast("Any", "magic"))
    for method in ("global", "survivors"):
        with pytest.raises(ConfigError, match="target accuracy"):
            fit_temperatures(LOGITS, LABELS, cast("Any", method), 1.2)


def test_offloading_is_seeded_and_never_worse_than_its_start() -> None:
    correct = LOGITS.argmax(-1) == LABELS
    for weight in (0.0, 1.0, 10.0):
        objective = Offloading((0.1, 1.0), 0.8, weight)
        found, again = (
            offloading_temperatures(LOGITS, LABELS, objective, np.random.default_rng(7), steps=60) for _ in range(2)
        )
        np.testing.assert_array_equal(found, again)
        start = objective.value(confidence_at(np.ones(2)), correct)
        assert objective.value(confidence_at(found), correct) >= start
        assert found[1] == 1.0


def test_offloading_follows_its_weights() -> None:
    """Cost alone sends everybody out at the first exit; accuracy alone keeps them in."""
    share = []
    for weight in (0.0, 50.0):
        found = offloading_temperatures(LOGITS, LABELS, Offloading((0.1, 1.0), 0.8, weight), np.random.default_rng(0))
        share.append((confidence_at(found)[0] >= 0.8).mean())
    assert share[0] > share[1] + 0.2


def test_offloading_refuses() -> None:
    with pytest.raises(ConfigError, match="3 costs, but there are 2 exits"):
        offloading_temperatures(LOGITS, LABELS, Offloading((1.0, 2.0, 3.0)), RNG)
    for cost in ((), (0.0, 0.0), (-1.0, 1.0)):
        with pytest.raises(ConfigError, match="cost of every exit"):
            Offloading(cost)
