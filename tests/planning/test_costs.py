"""Costs against a sum written out step by step, and the rules they obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import RecordMismatch
from offramp.planning.costs import all_placements, cost_table
from tests.support.instances import Instance, make_instance

SHAPES = {"seed": st.integers(0, 2**20), "segments": st.integers(1, 5), "tiers": st.integers(1, 4)}


def walk_through(case: Instance, placement: list[int], segment: int, codec: str) -> dict[str, float]:
    """Seconds by term of a sample leaving after ``segment``, step by step."""
    names = case.network.tier_names
    terms: dict[str, float] = {}

    def add(name: str, seconds: float) -> None:
        terms[name] = terms.get(name, 0.0) + seconds

    here = 0
    for index in range(segment + 1):
        target = placement[index]
        if target > here:
            payload = case.profiles[names[0]].payload(index, codec)
            add("encode", case.profiles[names[here]].payload(index, codec).encode_s)
            for hop in range(here, target):
                link, transport = case.network.links[hop], case.profiles[names[hop]].transport
                pair = f"{link.source}-{link.target}"
                message = payload.payload_bytes + transport.request_overhead_bytes
                add(f"transfer:{pair}", message * 8 / link.bandwidth_bps)
                add(f"rtt:{pair}", link.rtt_s)
                add(f"hop:{pair}", transport.hop_s)
                add(f"return:{pair}", transport.answer_bytes * 8 / link.bandwidth_bps)
            add("decode", case.profiles[names[target]].payload(index, codec).decode_s)
            here = target
        add(f"compute:{names[here]}", case.profiles[names[here]].segments[index].median_s)
    return terms


@given(**SHAPES, data=st.data())
def test_table_equals_walking_through(seed: int, segments: int, tiers: int, data: st.DataObject) -> None:
    exits = data.draw(st.integers(1, segments))
    case = make_instance(seed, segments, tiers, exits, rows=4, codecs=("raw", "zstd"))
    for codec in ("raw", "zstd"):
        table = cost_table(case.profiles, case.network, codec, exits)
        for row, placement in enumerate(table.placements.tolist()):
            for exit_index, segment in enumerate(table.exit_segments):
                expected = walk_through(case, placement, segment, codec)
                found = dict(zip(table.names, table.terms_s[row, exit_index].tolist(), strict=True))
                assert {k: v for k, v in found.items() if v} == pytest.approx({k: v for k, v in expected.items() if v})
                assert table.cost_s[row, exit_index] == pytest.approx(sum(expected.values()))


@given(**SHAPES)
def test_costs_never_fall_from_exit_to_exit(seed: int, segments: int, tiers: int) -> None:
    case = make_instance(seed, segments, tiers, segments, rows=4)
    table = cost_table(case.profiles, case.network, "raw", segments)
    assert (np.diff(table.cost_s, axis=1) >= 0).all()
    assert (np.diff(table.sent_bytes, axis=1) >= 0).all()


def test_bytes_leave_the_device_only_when_the_first_link_is_crossed() -> None:
    case = make_instance(5, segments=2, tiers=2, exits=2, rows=4)
    table = cost_table(list(case.profiles.values()), case.network, "raw", 2)
    device = case.profiles["device"]
    overhead = device.transport.request_overhead_bytes
    assert table.sent_bytes[table.row_of(("device", "device"))].tolist() == [0, 0]
    mixed = table.sent_bytes[table.row_of(("device", "edge"))]
    assert mixed.tolist() == [0, device.payload(1, "raw").payload_bytes + overhead]
    both = table.sent_bytes[table.row_of(("edge", "edge"))]
    assert both.tolist() == [device.payload(0, "raw").payload_bytes + overhead] * 2


@pytest.mark.parametrize(("segments", "tiers", "count"), [(1, 1, 1), (4, 1, 1), (2, 3, 6), (8, 3, 45)])
def test_number_of_placements(segments: int, tiers: int, count: int) -> None:
    placements = all_placements(segments, tiers)
    assert placements.shape == (count, segments)
    assert (np.diff(placements, axis=1) >= 0).all()


def test_what_is_missing_is_named() -> None:
    case = make_instance(1, segments=3, tiers=3, exits=2, rows=4)
    without_edge = {name: profile for name, profile in case.profiles.items() if name != "edge"}
    with pytest.raises(RecordMismatch, match="tier 'edge' has no profile"):
        cost_table(without_edge, case.network, "raw", 2)
    with pytest.raises(RecordMismatch, match="no payload for cut 0 and codec 'zstd'"):
        cost_table(case.profiles, case.network, "zstd", 2)
    with pytest.raises(RecordMismatch, match="3 segments and 2 exits, but the records hold 3"):
        cost_table(case.profiles, case.network, "raw", 3)
    short = case.profiles["edge"].model_copy(update={"segments": case.profiles["edge"].segments[:2]})
    with pytest.raises(RecordMismatch, match="'edge' does not cover the 3 segments"):
        cost_table({**case.profiles, "edge": short}, case.network, "raw", 2)
    other = case.profiles["edge"].model_copy(update={"cascade_fingerprint": "ef" * 32})
    with pytest.raises(RecordMismatch, match="another build"):
        cost_table({**case.profiles, "edge": other}, case.network, "raw", 2)
    with pytest.raises(RecordMismatch, match="'edge edge' does not fit 3 segments"):
        cost_table(case.profiles, case.network, "raw", 2).row_of(("edge", "edge"))
