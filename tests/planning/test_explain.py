"""The words around a plan."""

from __future__ import annotations

from offramp.planning.explain import reason, why


def test_reason_names_the_largest_terms_first() -> None:
    chosen = {"compute:device": 0.0151, "transfer:device-edge": 0.0, "rtt:device-edge": 0.0, "encode": 1e-6}
    other = {"compute:device": 0.01, "transfer:device-edge": 0.018, "rtt:device-edge": 0.02, "encode": 2e-6}
    assert reason(chosen, other) == (
        "32.9 ms slower: +20.0 ms rtt:device-edge, +18.0 ms transfer:device-edge, -5.1 ms compute:device"
    )


def test_reason_of_a_tie_and_of_a_faster_plan() -> None:
    assert reason({"a": 1.0}, {"b": 1.0}).startswith("just as fast")
    assert reason({"a": 0.002}, {"a": 0.001}) == "1.0 ms faster: -1.0 ms a"


def test_terms_too_small_to_matter_are_not_told() -> None:
    assert reason({"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 0.001}) == "1001 ms slower: +1000 ms a"


def test_why_compares_with_every_one_tier_plan() -> None:
    mix = {"compute:device": 0.01, "compute:cloud": 0.001, "rtt:device-cloud": 0.004}
    device, cloud = {"compute:device": 0.0582}, {"compute:cloud": 0.002, "rtt:device-cloud": 0.02}
    shares = {"device": 0.6, "edge": 0.0, "cloud": 0.4}
    text = why(("device", "cloud"), shares, mix, {"device": device, "edge": None, "cloud": cloud})
    assert text == (
        "the mix of device and cloud needs 15.0 ms on average against 58.2 ms device only (+48.2 ms compute:device), "
        "edge only (breaks a constraint) and 22.0 ms cloud only (+16.0 ms rtt:device-cloud) (tune rows); "
        "samples are answered 60% on device and 40% on cloud"
    )
    text = why(("device",), {"device": 1.0}, {"a": 0.01}, {"device": {"a": 0.01}})
    assert text == "everything on device needs 10.0 ms on average (tune rows); samples are answered 100% on device"
