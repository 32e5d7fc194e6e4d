"""``report.html``: one file that opens offline and says how every number was obtained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from offramp.cascade.store import write_text_atomic
from offramp.errors import ConfigError
from offramp.records.records import Records
from offramp.reporting.data import ReportData

__all__ = ["ReportData", "write_report"]


def write_report(path: Path, data: ReportData) -> None:
    """Write the report, atomically.

    Parameters
    ----------
    path : the HTML file; folders are made as needed, a file that was there is replaced
    data : what is missing in it leaves its section out

    Raises
    ------
    ConfigError : plotly is not installed
    RecordMismatch : records, plan and cascade do not belong together
    """
    try:
        import plotly  # noqa: F401
    except ImportError as error:
        raise ConfigError("a report needs plotly; run pip install 'offramp[report]'") from error
    from offramp.reporting.page import page

    if data.records:
        data.records.require(data.manifest.fingerprint)
    if data.search:
        data.search.plan.require(data.manifest.fingerprint)
    write_text_atomic(path, page(data.title, _subtitle(data), list(_sections(data))))


def _subtitle(data: ReportData) -> str:
    manifest = data.manifest
    text = f"cascade {manifest.name}: {len(manifest.segments)} segments, exits {', '.join(manifest.exit_names)}"
    if data.records:
        text += f"; {len(data.records):,} recorded rows of {data.records.provenance.data}"
    return text


def _sections(data: ReportData) -> Iterator[str]:
    from offramp.reporting import sections
    from offramp.reporting.certificates import certified
    from offramp.reporting.headline import headline

    yield headline(data)
    if data.runs:
        yield sections.runs(data.runs, data.manifest)
    if data.search and data.search.front:
        yield sections.front(data.search, _rows(data.records, "tune"))
    if data.runs:
        yield sections.latency(data.runs)
    test = _rows(data.records, "test")
    if test is not None:
        yield sections.reliability(test, data.manifest)
    if data.shown_certificate and (calibrate := _rows(data.records, "calibrate")) is not None:
        yield certified(data.shown_certificate, calibrate, test)
    if data.runs or data.search:
        yield sections.shares(data)
    if data.search:
        yield from sections.losers(data.search)
    yield sections.provenance(data)


def _rows(records: Records | None, split: str) -> Records | None:
    """The rows of a split, or None where there are none."""
    return records.on(split) if records is not None and (records.split == split).any() else None
