"""How much a tier takes on."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import pytest

from offramp.cli.serve import serve
from offramp.errors import ConfigError
from offramp.runtime.limits import Limits


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"max_batch_rows": 0}, "max_batch_rows must be a whole number of at least 1, not 0"),
        ({"max_queue_rows": -1}, "max_queue_rows must"),
        ({"max_in_flight": 2.5}, "max_in_flight must"),
        ({"max_message_bytes": 0}, "max_message_bytes must"),
        ({"max_streams": 0}, "max_streams must"),
        ({"max_connections": 0}, "max_connections must"),
        ({"max_wait_s": -0.1}, "max_wait_s must be a number of seconds, zero or more"),
        ({"max_wait_s": float("nan")}, "max_wait_s must"),
        ({"max_drain_s": float("inf")}, "max_drain_s must"),
    ],
)
def test_limits_that_let_nothing_through_are_named(setting: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Limits(**setting)


def test_the_command_line_has_the_same_defaults() -> None:
    options = {name: option.default.default for name, option in inspect.signature(serve).parameters.items()}
    for field in fields(Limits):
        name = "max_wait_ms" if field.name == "max_wait_s" else field.name
        if name != "max_in_flight":  # no option: the streams and the queue bound it first
            assert options[name] == getattr(Limits(), field.name)
