"""The curl commands of the protocol page, against a tier as a process."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import open_cascade
from offramp.planning.plan import GateSpec, Plan
from offramp.runtime.process import ReadyProcess

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "protocol.md"
CASCADE = ROOT / "examples" / "cifar10" / "resnet8.cascade"

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")]


def test_the_curl_commands_get_answers(tmp_path: Path) -> None:
    manifest = open_cascade(CASCADE).manifest
    plan = Plan(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        tiers=("device", "cloud"),
        placement=("cloud",) * 3,
        gates=(GateSpec(threshold=0.5),) * (len(manifest.exit_segments) - 1),
        temperatures=manifest.calibration.temperatures,
    )
    plan.save(tmp_path / "plan.json")
    arguments = [
        "--cascade",
        str(CASCADE),
        "--tier",
        "cloud",
        "--plan",
        str(tmp_path / "plan.json"),
        "--rest-port",
        "0",
    ]
    server = ReadyProcess("offramp.runtime.server", arguments, "the tier")
    try:
        port = server.wait_ready()["rest_port"]
        first, second = (
            subprocess.run(
                ["bash", "-e", "-c", block.replace("127.0.0.1:8000", f"127.0.0.1:{port}")],
                cwd=tmp_path, capture_output=True, check=True, timeout=60,
            ).stdout
            for block in re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        )  # fmt: skip
    finally:
        assert server.close() == 0
    answer = json.loads(first)
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert answer["id"] == "grey"
    assert list(outputs) == ["label", "confidence", "exit", "tier"]
    assert outputs["tier"] == ["cloud"]
    (probabilities,) = json.loads(second)["outputs"]
    assert probabilities["shape"] == [1, 10]
    assert np.isclose(sum(probabilities["data"]), 1, atol=1e-5)
