"""From text to a cascade's inputs, with the tokenizer it carries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import TokenizerSpec
from offramp.errors import CascadeError, ConfigError, SampleError

__all__ = ["InputReader", "Tokenizer", "Tokens"]

Array = NDArray[Any]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tokens:
    """n tokenised rows, as long as the longest of them.

    ``ids``, ``mask`` (1 for a token, 0 for padding) and ``types`` (0 for the first text, 1 for the
    second) are (n, length) int64; ``truncated`` (n,) tells which rows lost tokens.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    types: NDArray[np.int64]
    truncated: NDArray[np.bool_]


class Tokenizer:
    """Text to token ids; needs the package ``tokenizers`` and nothing of transformers.

    Parameters
    ----------
    file : a ``tokenizer.json``; padding and truncation settings in it are not used
    spec : length limit and padding

    Raises
    ------
    CascadeError : the file is no tokenizer
    ConfigError : the package ``tokenizers`` is missing
    """

    def __init__(self, file: Path, spec: TokenizerSpec) -> None:
        try:
            import tokenizers
        except ImportError as error:
            raise ConfigError("this cascade reads text: pip install 'offramp[text]'") from error
        try:
            self._inner = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises plain Exception
            raise CascadeError(f"{file}: not a tokenizer of the package 'tokenizers' ({error})") from error
        self._inner.no_padding()
        self._inner.enable_truncation(spec.max_length)
        self.spec = spec
        self._told = False

    def encode(self, texts: Sequence[str], second: Sequence[str] | None = None) -> Tokens:
        """Tokenise n texts, or n pairs of texts.

        A row above ``max_length`` tokens loses the end of its longer text; the first time, a warning
        is logged. An empty text is a row of special tokens.

        Raises
        ------
        SampleError : no rows, something that is no text, or another number of second texts
        """
        rows = _texts(texts) if second is None else list(zip(_texts(texts), _texts(second), strict=False))
        if second is not None and len(second) != len(texts):
            raise SampleError(f"{len(texts)} first texts, but {len(second)} second ones")
        if not rows:
            raise SampleError("the inputs have no rows; at least one is needed")
        encodings = self._inner.encode_batch(rows)
        shape = (len(rows), max(1, *(len(each) for each in encodings)))
        ids, mask, types = (np.full(shape, fill, np.int64) for fill in (self.spec.pad_id, 0, 0))
        for row, each in enumerate(encodings):
            ids[row, : len(each)] = each.ids
            mask[row, : len(each)] = 1
            types[row, : len(each)] = each.type_ids
        truncated = np.array([bool(each.overflowing) for each in encodings])
        if truncated.any() and not self._told:
            self._told = True
            logger.warning("a text of more than %d tokens was cut; this is said once", self.spec.max_length)
        return Tokens(ids, mask, types, truncated)

    def __repr__(self) -> str:
        return f"Tokenizer(max_length={self.spec.max_length}, pad_id={self.spec.pad_id})"


class InputReader:
    """Rows as the data has them to the inputs of a cascade.

    Parameters
    ----------
    tokenizer : of a cascade that reads text; without it rows are inputs already

    Examples
    --------
    >>> InputReader(None)([np.zeros((2, 4))])[0].shape
    (2, 4)
    """

    def __init__(self, tokenizer: Tokenizer | None) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows: Sequence[Array]) -> tuple[Array, ...]:
        """One array of n rows for each input; one or two columns of text are tokenised.

        Raises
        ------
        SampleError : see `Tokenizer.encode`, or more than two columns of text
        """
        if self.tokenizer is None or not any(_is_text(column) for column in rows):
            return tuple(rows)
        if len(rows) > 2:
            raise SampleError(f"the cascade reads one or two texts a row, but {len(rows)} were given")
        tokens = self.tokenizer.encode(*(column.tolist() for column in rows))
        return (tokens.ids, tokens.mask) if len(rows) == 1 else (tokens.ids, tokens.mask, tokens.types)

    def row(self, sample: Array | str | Sequence[Array] | Sequence[str]) -> tuple[Array, ...]:
        """The inputs for one sample: a text, two texts, or arrays without the row dimension.

        Raises
        ------
        SampleError : see `Tokenizer.encode`
        """
        parts = [sample] if isinstance(sample, str | np.ndarray) else list(sample)
        if not any(isinstance(part, str) for part in parts):
            return tuple(np.asarray(part)[None] for part in parts)
        return self([np.array([part], dtype=object) for part in parts])


def _is_text(column: Array) -> bool:
    return column.dtype.kind in "OUT"


def _texts(column: Sequence[str]) -> list[str]:
    for row, text in enumerate(column):
        if not isinstance(text, str):
            raise SampleError(f"row {row}: expected text, but found {type(text).__name__}")
    return list(column)
