"""``offramp explore`` on a tiny grid, twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import offramp
from tests.training.test_config import write

CONFIG = """
name = "small"
[data]
name = "digits"
tune = 0.2
calibrate = 0.2
test = 0.2
[model]
factory = "offramp.training.zoo.resnet:CifarResNet"
arguments = { depth = 8, channels = 1, widths = [4, 6, 8] }
[input]
scale = 16.0
[[exits]]
after = "stack2"
[training]
epochs = 1
batch_size = 64
learning_rate = 0.01
"""
NETWORK = """
[[tiers]]
name = "device"
slow_down = 8
energy = "horowitz-45nm"
[[tiers]]
name = "cloud"
energy = "horowitz-45nm"
[[links]]
source = "device"
target = "cloud"
bandwidth_bps = 50e6
rtt_s = 0.002
"""
EXPLORE = 'build = "config.toml"\nnetwork = "network.toml"\nbits = [1, 32]\ncodecs = ["raw", "zstd"]\n'


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    write(tmp_path, CONFIG)
    (tmp_path / "network.toml").write_text(NETWORK)
    (tmp_path / "explore.toml").write_text(EXPLORE)
    return tmp_path


def test_a_grid_is_explored_once(workplace: Path) -> None:
    arguments = ("explore", workplace / "explore.toml", "--output", workplace / "out", "--json")
    first = offramp(*arguments)
    assert first.code == 0, first.err
    plans = json.loads(first.out)
    assert {plan["build"] for plan in plans} == {"small-1bit-1-exits0-weights0", "small-fp32-exits0-weights0"}
    front = [plan for plan in plans if plan["on_front"]]
    assert [plan["accuracy"] for plan in front] == sorted(plan["accuracy"] for plan in front)
    assert (workplace / "out" / "explored.html").is_file()
    stamps = {file: file.stat().st_mtime_ns for file in (workplace / "out").glob("*.cascade/**/*.*")}
    again = offramp(*arguments)
    assert json.loads(again.out) == plans
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (EXPLORE.replace("1, 32", "3"), "bits.0: input should be 1, 2, 4, 8 or 32"),
        (EXPLORE.replace("1, 32", "1") + "segments = [2]\n", "no combination is possible"),
        (EXPLORE.replace("config.toml", "nothing.toml"), "cannot read the config"),
    ],
)
def test_what_is_refused(workplace: Path, text: str, sentence: str) -> None:
    (workplace / "explore.toml").write_text(text)
    called = offramp("explore", workplace / "explore.toml", "--output", workplace / "out")
    assert called.code != 0
    assert sentence in called.err
