"""The energy model: what it adds up, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from offramp.errors import ConfigError, RecordMismatch
from offramp.profiles.energy import EnergyModel, energy_model, energy_model_names
from offramp.profiles.profile import SegmentCost


def cost(**changes: Any) -> SegmentCost:
    base = SegmentCost(segment=0, median_s=2.0, mean_s=2.0, p95_s=3.0, repeats=15, macs=1000, model_bytes=40)
    return base.model_copy(update=changes)


def model(**changes: Any) -> EnergyModel:
    body: dict[str, Any] = {
        "name": "mine",
        "compute": "operations",
        "j_per_mac": {"fp32": 4.0, "int8": 1.0},
        "j_per_byte": 3.0,
        "idle_w": 2.0,
        "radio": "wifi",
        "radio_j_per_byte": {"wifi": 5.0, "lte": 7.0},
        "radio_w": {"lte": 11.0},
    }
    body |= changes
    named = ["j_per_byte", "busy_w", "idle_w"]
    body.setdefault(
        "sources",
        {name: "declared" for name in named if body.get(name)}
        | {f"{f}.{k}": "declared" for f in ("j_per_mac", "radio_j_per_byte", "radio_w") for k in body[f]},
    )
    return EnergyModel.model_validate(body)


def test_operations_are_macs_and_weights_read_once() -> None:
    assert model().segment_energy_j(cost()) == 4.0 * 1000 + 3.0 * 40
    assert model().segment_energy_j(cost(precision="int8")) == 1.0 * 1000 + 3.0 * 40
    assert model().segment_energy_j(cost(batch=8)) == 4.0 * 8000 + 3.0 * 40


def test_time_is_power_times_seconds() -> None:
    by_time = model(compute="time", busy_w=6.0)
    assert by_time.segment_energy_j(cost(macs=None)) == 12.0


def test_sending_costs_bytes_and_seconds() -> None:
    assert model().sent_energy_j(10) == 50.0
    assert model().sent_energy_j(10, transfer_s=2.0) == 50.0
    assert model().sent_energy_j(10, transfer_s=2.0, radio="lte") == 70.0 + 22.0
    assert model(radio=None).sent_energy_j(10) == 0.0


def test_what_a_model_cannot_answer() -> None:
    with pytest.raises(RecordMismatch, match="segment 0 of the profile does not say its macs and model_bytes"):
        model().segment_energy_j(cost(macs=None))
    with pytest.raises(RecordMismatch, match="no j_per_mac for int4; it knows fp32, int8"):
        model().segment_energy_j(cost(precision="int4"))
    with pytest.raises(ConfigError, match="no radio '5g'; it knows wifi, lte"):
        model().sent_energy_j(1, radio="5g")


@pytest.mark.parametrize("name", energy_model_names())
def test_built_in_models_name_a_source_for_every_constant(name: str, tmp_path: Path) -> None:
    built_in = energy_model(name)
    assert built_in.name == name
    assert built_in.segment_energy_j(cost()) > 0
    assert built_in.sent_energy_j(3072) > 0
    file = tmp_path / "copy.json"
    file.write_text(built_in.to_json())
    assert energy_model(file) == built_in


def test_the_published_constants() -> None:
    constants = energy_model("horowitz-45nm")
    assert constants.j_per_mac["fp32"] == pytest.approx(3.7e-12 + 0.9e-12)
    assert constants.j_per_mac["int8"] == pytest.approx(0.2e-12 + 0.03e-12)
    assert constants.j_per_byte == pytest.approx(640e-12 / 4)
    for radio, milliwatt_per_megabit in (("wifi", 283.17), ("lte", 438.39), ("3g", 868.98)):
        assert constants.radio_j_per_byte[radio] == pytest.approx(milliwatt_per_megabit * 1e-9 * 8, rel=5e-3)


def test_low_bit_multiplications_cost_less() -> None:
    chip = energy_model("horowitz-45nm")
    plain = chip.segment_energy_j(cost(macs=1000, model_bytes=0))
    low = chip.segment_energy_j(cost(macs=1000, model_bytes=0, low_bit_macs=800, bits=1))
    assert low == pytest.approx(200 * 4.6e-12 + 800 * (3.1 / 32 + 0.1) * 1e-12)
    assert low < plain
    with pytest.raises(RecordMismatch, match="no j_per_mac for 3bit"):
        chip.segment_energy_j(cost(macs=1000, low_bit_macs=800, bits=3))


@given(macs=st.integers(0, 10**12), more=st.integers(0, 10**12), model_bytes=st.integers(0, 10**9))
def test_more_work_never_costs_less(macs: int, more: int, model_bytes: int) -> None:
    built_in = energy_model("horowitz-45nm")
    less = built_in.segment_energy_j(cost(macs=macs, model_bytes=model_bytes))
    assert built_in.segment_energy_j(cost(macs=macs + more, model_bytes=model_bytes)) >= less >= 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"j_per_mac": {"fp32": -1.0}}, "greater than or equal to 0"),
        ({"idle_w": float("nan")}, "finite number"),
        ({"sources": {}}, r"j_per_mac\.fp32 has no source"),
        ({"compute": "time"}, "busy_w 0.0 is less than idle_w 2.0"),
        ({"compute": "time", "idle_w": 0.0}, "compute = 'time' needs busy_w"),
        ({"j_per_mac": {}}, "compute = 'operations' needs j_per_mac"),
        ({"radio": "5g"}, "radio '5g' has no radio_j_per_byte"),
        ({"volts": 5}, "Extra inputs"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        model(**changes)


def test_a_source_without_a_constant_is_refused() -> None:
    with pytest.raises(ValidationError, match="sources names 'busy_w', but there is no such constant"):
        model(sources=model().sources | {"busy_w": "declared"})


def test_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown energy model 'horowitz'; did you mean 'horowitz-45nm'\?"):
        energy_model("horowitz")
    with pytest.raises(ConfigError, match="built in are horowitz-45nm, raspberry-pi-3b"):
        energy_model("zzz")
    with pytest.raises(ConfigError, match="cannot read the energy model"):
        energy_model(tmp_path / "none.toml")
    file = tmp_path / "mine.toml"
    file.write_text("name = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        energy_model(file)
    other = tmp_path / "mine.json"
    other.write_text(json.dumps(model().model_dump() | {"sources": {}}))
    with pytest.raises(ConfigError, match=r"mine\.json: file: j_per_mac\.fp32 has no source"):
        energy_model(str(other))
