"""Bad input: one sentence on stderr, the right exit code, nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.support import offramp
from tests.support.tiny import make_tiny_cascade

CONFIG = """
name = "bad"
[data]
name = "digits"
split_seed = 0
tune = 0.2
calibrate = 0.2
test = 0.2
[model]
factory = "offramp.training.zoo.digits:DigitsNet"
[[exits]]
after = "stages.0"
[training]
epochs = 1
batch_size = 32
learning_rate = 1e-3
"""

TWO_TIERS = """
[[tiers]]
name = "device"
[[tiers]]
name = "cloud"
[[links]]
source = "device"
target = "{target}"
bandwidth_bps = {rate}
"""


def check(called_code: int, err: str, code: int, words: str) -> None:
    assert called_code == code, err
    assert words in err
    assert err.startswith("offramp: error: ")
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("calibrate", "none.cascade"), 5, "no such records file"),
        (("record", "none.cascade"), 3, "no such cascade folder"),
        (("report", "none.cascade"), 3, "no such cascade folder"),
        (("build", "none.toml"), 2, "none.toml"),
        (("serve", "none.cascade", "--tier", "cloud"), 3, "no such cascade folder"),
        (("plan", "none.cascade", "--network", "none.toml"), 3, "no such cascade folder"),
        (("relay", "--listen", "nowhere", "--target", "127.0.0.1:1", "--bandwidth-bps", "1e6"), 2, "nowhere"),
        (("relay", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:1", "--bandwidth-bps", "0"), 2, "positive"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_missing_things(
    arguments: tuple[str, ...], code: int, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    called = offramp(*arguments)
    check(called.code, called.err, code, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml", "not valid TOML"),
        (TWO_TIERS.format(target="clod", rate=1e6), "did you mean 'cloud'?"),
        (TWO_TIERS.format(target="cloud", rate=0), "bandwidth_bps must be a positive number"),
        (TWO_TIERS.format(target="cloud", rate=-5), "bandwidth_bps must be a positive number"),
        (TWO_TIERS.format(target="cloud", rate="nan"), "bandwidth_bps must be a positive number"),
    ],
)
def test_network_files(text: str, words: str, tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    (tmp_path / "network.toml").write_text(text)
    called = offramp("plan", cascade.path, "--network", tmp_path / "network.toml")
    check(called.code, called.err, 2, words)


def test_an_unknown_module_path_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(CONFIG.replace("stages.0", "stage.0"))
    called = offramp("build", tmp_path / "bad.toml", "--output", tmp_path / "bad.cascade")
    assert called.code == 2, called.err
    assert "stage.0" in called.err
    assert "stages.0" in called.err
    assert not (tmp_path / "bad.cascade").exists()


def test_unknown_data(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    called = offramp("record", cascade.path, "--data", "digit")
    check(called.code, called.err, 4, "did you mean 'digits'?")
    called = offramp("record", cascade.path)
    check(called.code, called.err, 2, "pass --data")


def test_a_missing_data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_DATA", str(tmp_path))
    called = offramp("record", make_tiny_cascade(tmp_path).path, "--data", "cifar10-jpeg")
    check(called.code, called.err, 4, "no such file; OFFRAMP_DATA must name the folder")


def test_a_data_file_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "rows.npz").write_bytes(b"no zip")
    called = offramp("record", make_tiny_cascade(tmp_path).path, "--data", tmp_path / "rows.npz")
    check(called.code, called.err, 4, "rows.npz")


def test_rows_of_another_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", inputs=np.zeros((9, 5), np.float32), labels=np.zeros(9, np.int64))
    called = offramp("record", make_tiny_cascade(tmp_path).path, "--data", tmp_path / "rows.npz")
    assert called.code in (4, 5), called.err
    assert len(called.err.strip().splitlines()) == 1


def test_a_tampered_cascade(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    file = cascade.path / "segment-01.onnx"
    file.write_bytes(file.read_bytes()[::-1])
    called = offramp("serve", cascade.path, "--tier", "cloud")
    check(called.code, called.err, 3, "does not match its sha256")


def test_verbose_shows_the_traceback() -> None:
    called = offramp("record", "none.cascade", "--verbose")
    assert called.code == 3
    assert "Traceback" in called.err


def test_wrong_options() -> None:
    called = offramp("plan", "x.cascade", "--network", "n.toml", "--accuracy-loss", "2")
    assert called.code == 2
    assert "Traceback" not in called.err


def test_version() -> None:
    from offramp import __version__

    called = offramp("--version")
    assert (called.code, called.out.strip()) == (0, __version__)
