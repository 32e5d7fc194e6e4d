"""One sample for all tests of this folder: it takes a second to make."""

from __future__ import annotations

import pytest

from offramp.reporting.data import ReportData
from tests.reporting.sample import make_report_data


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """A report with every section."""
    return make_report_data(tmp_path_factory.mktemp("sample"))
