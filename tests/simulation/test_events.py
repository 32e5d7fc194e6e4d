"""The event heap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.simulation.events import Events, Server


@given(times=st.lists(st.integers(0, 5), max_size=30))
def test_events_run_in_time_and_then_in_order_added(times: list[int]) -> None:
    events, seen = Events(), list[tuple[int, int]]()
    for index, time in enumerate(times):
        events.at(time, lambda entry=(time, index): seen.append(entry))  # type: ignore[misc]  # binds the loop value
    events.run()
    assert seen == sorted((time, index) for index, time in enumerate(times))


def test_time_cannot_go_back() -> None:
    events = Events(start_s=1.0)
    with pytest.raises(ValueError, match="time cannot go back"):
        events.at(0.5, lambda: None)


def test_server_is_first_come_first_served() -> None:
    events, done = Events(), list[tuple[str, float]]()
    server = Server(events)
    events.at(0.0, lambda: server.serve(lambda _: 2.0, lambda: done.append(("a", events.now_s))))
    events.at(1.0, lambda: server.serve(lambda _: 0.5, lambda: done.append(("b", events.now_s))))
    events.at(5.0, lambda: server.serve(lambda start: start, lambda: done.append(("c", events.now_s))))
    events.run()
    assert done == [("a", 2.0), ("b", 2.5), ("c", 10.0)]
    assert server.busy_s == 7.5
