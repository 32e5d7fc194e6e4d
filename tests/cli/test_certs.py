"""``offramp certs``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from offramp.errors import ConfigError
from offramp.runtime.certificates import read_authorities
from offramp.runtime.development_ca import make_certificates


def certs(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "offramp.cli.main", "certs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_certificates_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    assert certs(str(folder), "--hosts", "device, edge").returncode == 0
    assert sorted(file.name for file in folder.iterdir()) == [
        "ca.key", "ca.pem", "device.key", "device.pem", "edge.key", "edge.pem",
    ]  # fmt: skip
    again = certs(str(folder), "--hosts", "edge")
    assert again.returncode == 2
    assert "edge.pem is there already; pass --overwrite" in again.stderr
    assert certs(str(folder), "--hosts", "edge", "--overwrite").returncode == 0
    assert certs(str(folder), "--hosts", "../edge").returncode == 2


def test_without_the_library_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path, ["cloud"])
    for name in ("cryptography", "cryptography.x509"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"install offramp\[security\]"):
        make_certificates(tmp_path, ["edge"])
    with pytest.raises(ConfigError, match=r"install offramp\[security\]"):
        read_authorities(tmp_path / "ca.pem")
