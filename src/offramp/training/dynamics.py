"""Training dynamics: how sure the last exit is of the truth of every training row, epoch by epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from offramp.errors import RecordMismatch, TrainingError
from offramp.records.file import RecordsFile, write_tables
from offramp.training.attach import MultiExit
from offramp.training.recipe import Rows

__all__ = ["TrainingDynamics", "load_dynamics"]

_BATCH = 256


class TrainingDynamics:
    """Keeps P(truth) of every row after each epoch in a Parquet file, written anew after each.

    For `Recipe.fit` (``after_epoch``). A resumed run goes on from the file; each epoch costs one pass over the rows.

    Parameters
    ----------
    file : to write
    rows : the training rows
    index : (n,) their rows in the data set
    """

    def __init__(self, file: Path, rows: Rows, index: NDArray[np.intp]) -> None:
        self.file, self.rows, self.index = file, rows, np.asarray(index, np.int64)
        self._found: list[NDArray[np.float32]] = []

    def __call__(self, epoch: int, network: MultiExit) -> None:
        """Look at the network after ``epoch``.

        Raises
        ------
        TrainingError : a resumed run whose file is gone, or of other rows
        """
        if epoch and not self._found:
            self._found = self._stored(epoch)
        self._found = [*self._found[:epoch], self._truth(network)]
        self._write()

    def _stored(self, epochs: int) -> list[NDArray[np.float32]]:
        try:
            row, dynamics = load_dynamics(self.file)
        except RecordMismatch as error:
            raise TrainingError(f"{self.file}: the dynamics of the first {epochs} epochs are gone ({error})") from error
        if not np.array_equal(row, self.index) or len(dynamics) < epochs:
            raise TrainingError(f"{self.file}: dynamics of other rows, or of fewer than {epochs} epochs; train anew")
        return list(dynamics)

    def _truth(self, network: MultiExit) -> NDArray[np.float32]:
        network.eval()
        found = np.empty(len(self.index), np.float32)
        with torch.no_grad():
            for batch in self.rows.batches(torch.arange(len(self.rows)), _BATCH):
                probabilities = network(*self.rows.batch(batch))[-1].float().softmax(1)
                truth = probabilities.gather(1, self.rows.labels[batch][:, None])[:, 0]
                found[batch.numpy()] = truth.numpy()
        return found

    def _write(self) -> None:
        import pyarrow as pa

        values = np.stack(self._found, axis=1).astype(np.float16)
        columns = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), len(self._found))
        write_tables(self.file, [pa.table({"row": pa.array(self.index), "dynamics": columns})], {"kind": "dynamics"})


def load_dynamics(file: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n,) rows of the data set, and (epochs, n) P(truth).

    Raises
    ------
    RecordMismatch : the file is missing or damaged
    """
    try:
        tables = list(RecordsFile(file).tables())
        row = np.concatenate([table["row"].to_numpy() for table in tables])
        values = np.concatenate([np.stack(table["dynamics"].to_numpy(zero_copy_only=False)) for table in tables])
    except (KeyError, ValueError, OSError) as error:
        raise RecordMismatch(f"{file}: no training dynamics ({error})") from error
    return row, values.T.astype(np.float32)
