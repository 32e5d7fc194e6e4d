"""The commands of the quickstart and the demo, as processes, with a training of one epoch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quickstart.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with ``examples/digits``, trained for one epoch only and on faster tiers."""
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "examples" / "digits")
    config = tmp_path / "examples" / "digits" / "config.toml"
    config.write_text(re.sub(r"^epochs = \d+", "epochs = 1", config.read_text(), flags=re.MULTILINE))
    network = tmp_path / "examples" / "digits" / "network.toml"
    network.write_text(re.sub(r"^slow_down = \d+", "slow_down = 5", network.read_text(), flags=re.MULTILINE))
    return tmp_path


def offramp(arguments: list[str], folder: Path) -> str:
    command = [sys.executable, "-m", "offramp.cli.main", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, f"offramp {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def commands(page: Path) -> list[str]:
    """The lines of the page's block of ``offramp`` commands."""
    blocks: list[str] = re.findall(r"^```bash\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if block.startswith("offramp")).strip().splitlines()


def test_readme_and_page_agree() -> None:
    assert commands(ROOT / "README.md") == commands(PAGE)


@pytest.mark.e2e
def test_quickstart(checkout: Path) -> None:
    for line in commands(PAGE):
        program, *arguments = line.split()
        assert program == "offramp"
        offramp(arguments, checkout)
    assert "<html" in (checkout / "out" / "digits.html").read_text()[:1000].lower()


@pytest.mark.e2e
def test_demo(checkout: Path) -> None:
    printed = offramp(["demo", "--example", "examples/digits", "--rows", "30"], checkout)
    assert "cloud killed: 30 answered" in printed
    assert (checkout / "out" / "demo" / "report.html").is_file()
    runs = {file.stem for file in (checkout / "out" / "demo" / "digits.cascade" / "runs").iterdir()}
    assert runs == {"plan", "device-only", "cloud-only", "cloud killed"}
