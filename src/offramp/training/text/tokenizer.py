"""The tokenizer that goes into a cascade."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from offramp.cascade.manifest import TokenizerSpec
from offramp.cascade.text import Tokenizer
from offramp.errors import ConfigError
from offramp.training.text.encoder import minilm_folder

__all__ = ["StoredTokenizer", "load_tokenizer"]

FILE = "tokenizer.json"
MINILM = "minilm"


@dataclass(frozen=True)
class StoredTokenizer:
    """A tokenizer, the bytes of its file, and what the manifest says of it."""

    tokenizer: Tokenizer
    content: bytes

    @property
    def spec(self) -> TokenizerSpec:
        """For the manifest."""
        return self.tokenizer.spec


def load_tokenizer(path: str | Path, max_length: int) -> StoredTokenizer:
    """Read a ``tokenizer.json``.

    Parameters
    ----------
    path : the file, a Hugging Face folder that holds it, or ``minilm`` for the packaged one
    max_length : tokens of a row at most, the special ones included

    Raises
    ------
    ConfigError : no such file, or no tokenizer
    """
    place = minilm_folder() if str(path) == MINILM else Path(path)
    file = place / FILE if place.is_dir() else place
    if not file.is_file():
        raise ConfigError(f"{file}: no such file; text.tokenizer must name a {FILE}, a folder with one, or 'minilm'")
    content = file.read_bytes()
    spec = TokenizerSpec(
        file=FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        file_bytes=len(content),
        max_length=max_length,
        pad_id=_pad_id(content),
    )
    return StoredTokenizer(Tokenizer(file, spec), content)


def _pad_id(content: bytes) -> int:
    """What the file says of padding, else the id of the usual token; 0 if there is neither."""
    try:
        body = json.loads(content)
        if body.get("padding"):
            return int(body["padding"]["pad_id"])
        named = {str(token["content"]): int(token["id"]) for token in body.get("added_tokens") or ()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0  # loading the tokenizer says what is wrong
    return next((named[name] for name in ("[PAD]", "<pad>") if name in named), 0)
