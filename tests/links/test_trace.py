"""Bandwidth over time: rules, arithmetic, files."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.links.trace import Trace, constant, load_trace

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("time_s", "bandwidth_bps", "words"),
    [
        ((), (), "has no rows"),
        ((0.0, 1.0), (1.0,), "2 times, but 1 bandwidths"),
        ((1.0,), (1.0,), "must start at 0, not 1.0"),
        ((0.0, 2.0, 1.0), (1.0, 1.0, 1.0), "row 2: time_s must rise, but 1.0 follows 2.0"),
        ((0.0, 1.0, 1.0), (1.0, 1.0, 1.0), "row 2: time_s must rise"),
        ((0.0, NAN), (1.0, 1.0), "row 1: time_s must be a number"),
        ((0.0, INF), (1.0, 1.0), "row 1: time_s must be a number"),
        ((0.0, 1.0), (1.0, -1.0), "row 1: bandwidth_bps must be zero or more, not -1.0"),
        ((0.0,), (NAN,), "row 0: bandwidth_bps must be zero or more, not nan"),
        ((0.0,), (INF,), "bandwidth_bps must be zero or more"),
    ],
)
def test_rules(time_s: tuple[float, ...], bandwidth_bps: tuple[float, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Trace(time_s, bandwidth_bps, "t")


def test_one_row_cannot_loop() -> None:
    with pytest.raises(ConfigError, match="cannot loop"):
        Trace((0.0,), (1.0,), loop=True)


def test_value_at_a_time() -> None:
    trace = Trace((0.0, 1.0, 3.0), (1.0, 0.0, 5.0))
    assert [trace.at(t) for t in (-1.0, 0.0, 0.99, 1.0, 2.9, 3.0, 1e9)] == [1, 1, 1, 0, 0, 5, 5]


def test_a_loop_starts_again() -> None:
    trace = Trace((0.0, 1.0, 3.0), (8.0, 0.0, 16.0), loop=True)
    assert trace.period_s == 5.0
    assert [trace.at(t) for t in (0.5, 4.9, 5.0, 6.5, 50.2)] == [8, 16, 8, 0, 8]
    assert trace.bytes_between(0.0, 50.0) == pytest.approx(50.0)
    assert trace.finish_s(0.0, 50.0) == pytest.approx(50.0)
    assert trace.finish_s(4.0, 3.0) == pytest.approx(6.0)


def test_an_outage_that_never_ends() -> None:
    assert Trace((0.0, 1.0), (8.0, 0.0)).finish_s(0.5, 1.0) == math.inf
    assert Trace((0.0, 1.0), (0.0, 0.0), loop=True).finish_s(0.5, 1.0) == math.inf
    assert constant(0.0).finish_s(3.0, 0.0) == 3.0


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    steps = draw(st.lists(st.integers(1, 50), min_size=0, max_size=6))
    times = [0.0]
    for step in steps:
        times.append(times[-1] + step / 10)
    rates = draw(st.lists(st.sampled_from([0.0, 8e2, 8e3, 4e4]), min_size=len(times), max_size=len(times)))
    return Trace(tuple(times), tuple(rates), loop=len(times) > 1 and draw(st.booleans()))


moments = st.floats(0, 40).map(lambda t: round(t, 3))


@given(trace=traces(), begin_s=moments, size=st.integers(1, 50_000))
def test_finishing_carries_exactly_the_payload(trace: Trace, begin_s: float, size: int) -> None:
    end_s = trace.finish_s(begin_s, size)
    if end_s == math.inf:
        assert trace.bytes_between(begin_s, begin_s + 1e4) < size
    else:
        assert end_s > begin_s
        assert trace.bytes_between(begin_s, end_s) == pytest.approx(size, rel=1e-6)


@given(trace=traces(), times=st.tuples(moments, moments, moments).map(sorted))
def test_bytes_add_up(trace: Trace, times: list[float]) -> None:
    a, b, c = times
    whole = trace.bytes_between(a, c)
    assert trace.bytes_between(a, b) + trace.bytes_between(b, c) == pytest.approx(whole, abs=1e-6 * (1 + whole))


@given(rate=st.floats(1, 1e9), begin_s=moments, size=st.integers(0, 10**7))
def test_a_constant_rate_is_a_division(rate: float, begin_s: float, size: int) -> None:
    assert constant(rate).finish_s(begin_s, size) == pytest.approx(begin_s + size * 8 / rate)


def test_reading_csv_and_gzip(tmp_path: Path) -> None:
    text = "bandwidth_bps,time_s\n1000,10.5\n0,11.5\n2000,13\n"
    (tmp_path / "a.csv").write_text(text)
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write(text)
    plain, packed = load_trace(tmp_path / "a.csv"), load_trace(tmp_path / "b.csv.gz", loop=True)
    assert plain == Trace((0.0, 1.0, 2.5), (1000.0, 0.0, 2000.0), "a.csv")
    assert packed.time_s == plain.time_s
    assert packed.loop


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time_s,bps\n0,1\n", "no column 'bandwidth_bps'"),
        ("", "no column"),
        ("time_s,bandwidth_bps\n", "has no rows"),
        ("time_s,bandwidth_bps\n0,fast\n", "line 2: bandwidth_bps must be a number, not 'fast'"),
        ("time_s,bandwidth_bps\n0,1\n1\n", "line 3: bandwidth_bps must be a number, not None"),
        ("time_s,bandwidth_bps\n0,1\n2,1\n1,1\n", "row 2: time_s must rise"),
        ("time_s,bandwidth_bps\n0,-5\n", "zero or more"),
        ("time_s,bandwidth_bps\n0,nan\n", "zero or more, not nan"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_trace(file)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the trace"):
        load_trace(tmp_path / "none.csv")
    (tmp_path / "no.csv.gz").write_bytes(b"time_s,bandwidth_bps\n")
    with pytest.raises(ConfigError, match="cannot read the trace"):
        load_trace(tmp_path / "no.csv.gz")
