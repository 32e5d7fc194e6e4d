"""What HIL-N and Hedge-HI share; and that sharing it changed none of their decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.hedge_hi_restart import HedgeHIRestart
from offramp.policies.hil_n import HilN
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from tests.policies.instances import calibrated

ROWS = 400
PRICE = 0.45
KINDS = {kind.name: kind for kind in (HilN, HedgeHI, HedgeHIRestart)}


def stream_of_prices() -> Stream:
    rng = np.random.default_rng(7)
    return replace(calibrated(rng, ROWS, remote=0.9), price=rng.uniform(0.05, 0.8, ROWS).round(3))


STREAMS = {"one price": calibrated(np.random.default_rng(3), ROWS, remote=0.9), "prices": stream_of_prices()}


#: as each decided when it was a class of its own: name, stream, samples until feedback comes, decisions
KNOWN = [
    ("hil-n", "one price", 0,
     "1b04104f0109018c510ab1526511300c3af02048a21da8302020430558411406e1804a180c0c9088a050a11245701ef88065"),
    ("hil-n", "one price", 40,
     "1b04104f0109018c510ab1526511300c3af02048a21da8302020c30558411416e1804a980c0c9088a050a116c5701ef88065"),
    ("hil-n", "prices", 0,
     "1b1414cf1509018c5101b1726511208c185020498215a032a000590558451416a1800a1a081c80806250a117c7701af88025"),
    ("hil-n", "prices", 40,
     "1b1415cf1589018c5101b1726551208c185020498215a032a000590558451416a1800a0a080c80806250a117c7701af98025"),
    ("hedge-hi", "one price", 0,
     "3b54914f314971ec512ff3727d71320dbff378eca3bdecb22421e3255a675416e7904ab84d0e9faae6d3a3b6c5721ef8c265"),
    ("hedge-hi", "one price", 40,
     "3b54914f314971ec512ff3727d71320dbff378eca3bdecb22421e3255a675436e7904ab84d0e9faae6d3a3b6c5721ef8c265"),
    ("hedge-hi", "prices", 0,
     "3b1d15ef558ba9cd7123b172f751a69d9d72206b92bfb976ac385925787d5e37fbd1aa3e3e1d99c266d1f997f7707efb8065"),
    ("hedge-hi", "prices", 40,
     "3b1d15efd58ba9cd7123b172f751a69d9d72206b92bfb976ac385925787d5e37fbd1aa3e3e1d99c266d1f997f7707efbc065"),
    ("hedge-hi-restart", "one price", 0,
     "ffffffffffffffffd1aff3f27df330adbff7f76cab7dee7abce9e30558e35c97f3dd5bb83e8cdf8fb6dfe3b4e5f45fe9c0e7"),
    ("hedge-hi-restart", "one price", 40,
     "ffffffffffffffffd1aff3f27df330adbff7f76cab7dee7abce9e3255ae35c97f3dd5bb83e8cdf8fb6dfe3b4e5f45ff9c0e7"),
    ("hedge-hi-restart", "prices", 0,
     "fffffffffffffffff1a7b1f2f7f3b4ad9dd7e72b9b7df27ebcf85b2d7bff5eb7fbddfb3e3e9ddfc776ddfbb7f7f47ffbc0e7"),
    ("hedge-hi-restart", "prices", 40,
     "fffffffffffffffff1a7b1f2f7f3b4ad9dd7e72b9b7df27ebcf85b2d58f55eb7bbddfb3e3e9ddf8776ddfbb7f7f47bf980a7"),
]  # fmt: skip


def decisions(name: str, stream: str, delay: int) -> str:
    """Who goes on, four samples to a digit."""
    policy = KINDS[name].start(Setting((None,), price=PRICE, horizon=20_000), seed=11)
    return np.packbits(replay(policy, STREAMS[stream], delay=delay).exit.astype(bool)).tobytes().hex()


@pytest.mark.parametrize(("name", "stream", "delay", "known"), KNOWN, ids=lambda one: str(one)[:16])
def test_the_decisions_are_those_before_the_base_class(name: str, stream: str, delay: int, known: str) -> None:
    assert decisions(name, stream, delay) == known
