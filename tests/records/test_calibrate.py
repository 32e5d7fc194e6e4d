"""Temperatures of a cascade by every method."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from offramp.cascade.store import open_cascade
from offramp.confidence.exit_temperatures import TEMPERATURE_METHODS, fit_temperatures
from offramp.errors import ConfigError, RecordMismatch
from offramp.records.calibrate import calibrate_cascade
from tests.reporting.sample import make_records
from tests.support.tiny import make_tiny_cascade


@pytest.mark.parametrize("method", TEMPERATURE_METHODS)
def test_what_is_stored_is_what_was_fitted_on_the_tune_rows(tmp_path: Path, method: Any) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    records = make_records(cascade.manifest)
    tune = records.on("tune")
    stored = open_cascade(calibrate_cascade(cascade, records, method, 0.6).path).manifest.calibration
    np.testing.assert_allclose(stored.temperatures, fit_temperatures(tune.logits, tune.labels, method, 0.6))
    assert stored.method == method
    assert ("target 0.6" in stored.fitted_on) == (method != "temperature")


def test_refusals(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    records = make_records(cascade.manifest)
    with pytest.raises(ConfigError, match="there are temperature, global, survivors"):
        calibrate_cascade(cascade, records, cast("Any", "isotonic"))
    with pytest.raises(ConfigError, match="target accuracy"):
        calibrate_cascade(cascade, records, target=80)
    other = make_tiny_cascade(tmp_path / "other", segments=2)
    with pytest.raises(RecordMismatch, match="another build"):
        calibrate_cascade(other, records)
