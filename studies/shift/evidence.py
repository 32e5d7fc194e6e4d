"""The evidence of the study: device exits, what answers after them, and spectra, on clean and shifted rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from offramp.records.file import RecordsFile
from offramp.records.records import Records, load_records
from studies.shift.spectra import LEVELS, TUNED, Spectra

__all__ = ["CASES", "EXAMPLES", "Case", "Evidence", "Fitted", "Judged", "load_case", "load_cases"]

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Case:
    """A cascade on one device: the example with its exits, and the example that answers what they pass on.

    Without ``remote`` the last exit of ``device`` is further up, the others are on the device.
    """

    name: str
    device: str
    remote: str | None = None


CASES = (
    Case("resnet8 with exits", "cifar10"),
    Case("resnet8 | compact", "resnet8-cifar10", "compact-cifar10"),
    Case("resnet20 with exits", "resnet20"),
)


@dataclass(frozen=True)
class Fitted:
    """n rows to fit on: ``logits`` (D, n, K) of the D device exits, ``labels`` (n,), ``spectra`` (n, bands)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    spectra: NDArray[np.float64]


@dataclass(frozen=True)
class Judged(Fitted):
    """Rows to judge on: also the ``final`` answers (n,) of what stands after the device."""

    final: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(D, n) whether each device exit is right."""
        return np.asarray(self.logits.argmax(-1) == self.labels)


@dataclass(frozen=True)
class Evidence:
    """A case with its rows: ``tune`` by level, clean ``calibrate`` rows, ``test`` by level."""

    name: str
    tune: dict[str, Fitted]
    calibrate: Judged
    test: dict[str, Judged]


def load_cases(examples: Path = EXAMPLES, spectra: Spectra | None = None) -> Iterator[Evidence | str]:
    """Every case, or the reason why it is skipped."""
    spectra = spectra or Spectra()
    for case in CASES:
        lacks = _missing(case, examples)
        yield load_case(case, examples, spectra) if lacks is None else f"{case.name} ({lacks})"


def _missing(case: Case, examples: Path) -> str | None:
    needed = [_file(examples, case.device, level) for level in LEVELS]
    needed += [_file(examples, case.device, level, "tune-") for level in TUNED]
    if case.remote is not None:
        needed += [_file(examples, case.remote, level) for level in LEVELS]
    absent = [file for file in needed if not file.is_file()]
    return f"no {absent[0].relative_to(examples)}" if absent else None


def load_case(case: Case, examples: Path, spectra: Spectra) -> Evidence:
    """The rows of a case.

    Raises
    ------
    RecordMismatch : a file is damaged or of another build, or small and large model were recorded on different rows
    """
    tune = {level: _load(examples, case.device, level, "tune-").on("tune") for level in TUNED}
    test, further = _test(examples, case.device), _test(examples, case.remote)
    clean = load_records(_file(examples, case.device, "none")).on("calibrate")
    beyond = None if case.remote is None else load_records(_file(examples, case.remote, "none")).on("calibrate")
    return Evidence(
        case.name,
        {level: _fitted(records, case, spectra.of(records, level)) for level, records in tune.items()},
        _judged(clean, beyond, case, spectra.of(clean, "none")),
        {
            level: _judged(records, further.get(level), case, spectra.of(records, level))
            for level, records in test.items()
        },
    )


def _load(examples: Path, name: str, level: str, prefix: str = "") -> Records:
    """Records of one level, of the same build of the cascade as the clean ones."""
    records = load_records(_file(examples, name, level, prefix))
    if level != "none":
        records.require(str(RecordsFile(_file(examples, name, "none")).meta["cascade_fingerprint"]))
    return records


def _file(examples: Path, name: str, level: str, prefix: str = "") -> Path:
    folder = examples / name / "records"
    return folder / "fp32.parquet" if level == "none" else folder / "shift" / f"{prefix}{level}.parquet"


def _test(examples: Path, name: str | None) -> dict[str, Records]:
    """Test rows by level; clean ones only where the others have them too."""
    if name is None:
        return {}
    found = {level: _load(examples, name, level).on("test") for level in LEVELS}
    shared = np.isin(found["none"].row, found[LEVELS[-1]].row)
    return found | {"none": found["none"].take(np.flatnonzero(shared))}


def _device_exits(records: Records, case: Case) -> NDArray[np.float32]:
    return records.logits[:-1] if case.remote is None else records.logits[-1:]


def _fitted(records: Records, case: Case, spectra: NDArray[np.float64]) -> Fitted:
    return Fitted(_device_exits(records, case), records.labels, spectra)


def _judged(records: Records, remote: Records | None, case: Case, spectra: NDArray[np.float64]) -> Judged:
    last = records if remote is None else remote
    if not np.array_equal(last.row, records.row):
        raise RecordMismatch(f"{case.name}: the small and the large model were recorded on different rows")
    return Judged(_device_exits(records, case), records.labels, spectra, last.predictions[-1])
