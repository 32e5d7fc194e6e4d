"""The Edgent study: on made-up evidence always, on the committed records where they exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.links.trace import Trace
from offramp.planning.costs import cost_table
from studies.edgent import dynamic, static, tables
from studies.edgent import study as edgent
from studies.edgent.moving import scaled, tuning
from tests.support.instances import make_instance

RATES_BPS, DEADLINES_S = (2e4, 1e5, 1e6), (0.05, 0.3, 1.0, 3.0)


@pytest.fixture(scope="module")
def made_up() -> tables.Tables:
    """Five exits, a device that needs `DEVICE_S` for all of them."""
    case = make_instance(3, 5, 2, 5, rows=900, codecs=("raw", "zstd"))
    split = np.array(["tune", "calibrate", "test"], "<U9")[np.arange(900) % 3]
    noise = np.random.default_rng(0).normal(0, 2, case.records.logits.shape).astype(np.float32)
    records = replace(case.records, split=split, logits=case.records.logits + noise)
    edge = case.profiles["edge"]
    device = tables.slower(edge, "device", tables.DEVICE_S)
    return tables.Tables(records, {"device": device, "edge": edge})


def test_the_device_takes_as_long_as_declared(made_up: tables.Tables) -> None:
    costs = cost_table(made_up.profiles, made_up.network(1e6), "raw", 5)
    assert costs.cost_s[0, -1] == pytest.approx(tables.DEVICE_S)
    slow, fast = (made_up.profiles[tier].payload(1, "raw") for tier in ("device", "edge"))
    assert slow.encode_s == pytest.approx(tables.CODING_SLOW_DOWN * fast.encode_s)
    floats = made_up.of_floats()
    assert floats.profiles["edge"].codecs == ("raw",)
    assert floats.profiles["edge"].payload(0, "raw").payload_bytes == 4 * fast_input(made_up)


def fast_input(made_up: tables.Tables) -> float:
    return made_up.profiles["edge"].payload(0, "raw").payload_bytes


def test_a_codec_of_some_cuts_is_never_wanted_at_others(made_up: tables.Tables) -> None:
    edge = made_up.profiles["edge"]
    webp = edge.payload(0, "raw").model_copy(update={"codec": "webp"})
    padded = tables.everywhere(edge.model_copy(update={"payloads": (*edge.payloads, webp)}))
    assert set(padded.codecs) == {"raw", "zstd", "webp"}
    assert padded.payload(0, "webp").payload_bytes < 1e6 < padded.payload(1, "webp").payload_bytes


def test_edgent_is_the_optimum_of_its_space_and_offramp_contains_it(made_up: tables.Tables) -> None:
    grids = {name: static.grid(made_up, name, RATES_BPS, DEADLINES_S) for name in static.SYSTEMS}
    met = {name: sum(cell is not None for cell in cells.values()) for name, cells in grids.items()}
    assert met["device-only"] <= met["partition-only"] <= met["edgent"] <= met["offramp"]
    assert met["right-sizing-only"] <= met["edgent"]
    assert met["edge-only"] <= met["partition-only"]
    tune = made_up.records.on("tune").correct.mean(1)
    for (rate, deadline_s), cell in grids["edgent"].items():
        best = static.exhaustive(cost_table(made_up.profiles, made_up.network(rate), "raw", 5), deadline_s)
        assert (best is None) == (cell is None)
        if cell is not None and best is not None:
            assert cell.exit == best[0]
            assert cell.longest_s == pytest.approx(best[1])
            ours = grids["offramp"][rate, deadline_s]
            assert ours is not None
            assert ours.longest_s <= deadline_s + 1e-9
            assert tune[ours.exit] >= tune[cell.exit] - 0.05


def test_every_system_replays_a_trace(made_up: tables.Tables) -> None:
    trace = Trace((0.0, 20.0, 30.0, 60.0), (2e6, 0.0, 4e4, 1e6), "tunnel", loop=True)
    found = dict(dynamic.run(made_up, [trace], 1.0))
    assert list(found) == list(dynamic.SYSTEMS)
    assert len({outcome.samples for outcome in found.values()}) == 1
    assert found["offramp"].late == 0
    assert found["clairvoyant"].right_in_time >= found["offramp"].right_in_time - 3
    assert found["Edgent static"].late >= found["offramp"].late
    again = dict(dynamic.run(made_up, [trace], 1.0, ["offramp"]))
    assert again["offramp"] == found["offramp"]
    double = dynamic.total([found["SPINN"], found["SPINN"]])
    assert double.samples == 2 * found["SPINN"].samples
    assert double.miss_rate == found["SPINN"].miss_rate


def test_traces_for_tuning_are_set_apart() -> None:
    traces = [Trace((0.0,), (float(rate),), f"{rate}") for rate in range(1, 9)]
    assert [trace.name for trace in tuning(traces)] == ["1", "5"]
    assert scaled(traces[1], 3.0).bandwidth_bps == (6.0,)


def test_missing_outcomes_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"python -m studies\.edgent\.dynamic"):
        dynamic.load_stored(tmp_path / "dynamic.json")


def test_the_committed_records(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("fp32", *tables.LOSSY)
    files = (*(tables.RECORDS / f"{name}.parquet" for name in names), tables.PROFILE, dynamic.FILE)
    if not all(file.is_file() for file in files):
        pytest.skip("the records, profile or outcomes of B-AlexNet are not in this checkout")
    monkeypatch.setenv("OFFRAMP_DATA", str(Path(__file__).parent))  # no traces there
    monkeypatch.setattr(edgent, "BANDWIDTHS_BPS", (5e4, 2e5, 1e6))
    rows = {row.name: row for row in edgent.study()}
    for name in (
        "met by Edgent on bytes, not by offramp",
        "met by offramp, not by Edgent on bytes",
        "less accurate than Edgent on bytes",
    ):
        assert rows[name].holds, name
    for row in rows.values():
        if row.name.startswith("Edgent"):
            assert row.holds is not False, row.name
