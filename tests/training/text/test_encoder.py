"""Encoders of the BERT family: cut behind every layer, exported, walked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offramp.cascade.segment import SegmentOutput
from offramp.cascade.store import Cascade
from offramp.cascade.walk import walk
from offramp.errors import ConfigError
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.auto import propose_exits
from offramp.training.export import Origin, export_cascade, max_logit_difference
from offramp.training.text.encoder import text_classifier
from offramp.training.text.tokenizer import load_tokenizer
from offramp.training.token_heads import TOKEN_HEADS
from tests.support.texts import make_bert_folder, make_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert_folder(tmp_path_factory.mktemp("bert"))


def make_rows(lengths: list[int], pairs: bool = False) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 18, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    types = (torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None] // 2).long() * mask
    return (ids * mask, mask, types) if pairs else (ids * mask, mask)


def make_network(folder: Path, pairs: bool) -> MultiExit:
    torch.manual_seed(1)
    model = text_classifier(str(folder), 3, pairs=pairs)
    places = [ExitPlacement("layers.0", "pooler-linear", "early")]
    return MultiExit(model, places, make_rows([4, 3], pairs), sequences=True).eval()


@pytest.fixture(scope="module", params=[False, True], ids=["single", "pairs"])
def network(folder: Path, request: pytest.FixtureRequest) -> MultiExit:
    return make_network(folder, request.param)


@pytest.fixture(scope="module")
def cascade(folder: Path, network: MultiExit, tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    rows = make_rows([5, 9, 2], pairs=len(network.input_names) == 3)
    tokenizer = load_tokenizer(folder, 32)
    origin = Origin("text", tuple("abc"))
    made, difference = export_cascade(network, rows, tmp_path_factory.mktemp("export") / "t.cascade", origin, tokenizer)
    assert difference <= 1e-4
    return made


def test_the_layers_compute_what_the_encoder_computes(folder: Path) -> None:
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(str(folder), attn_implementation="eager").eval()
    model = text_classifier(str(folder), 3, pairs=True).eval()
    ids, mask, types = make_rows([7, 3], pairs=True)
    with torch.no_grad():
        expected = encoder(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        hidden = model.embeddings(ids, types)
        for layer in model.layers:
            hidden = layer(hidden, mask)
    torch.testing.assert_close(hidden[mask.bool()], expected[mask.bool()])


@pytest.mark.parametrize("lengths", [[1], [32], [2, 2], [3, 11, 7], [6] * 20])
def test_segments_equal_the_model_at_any_length_and_batch(
    network: MultiExit, cascade: Cascade, lengths: list[int]
) -> None:
    rows = make_rows(lengths, pairs=len(network.input_names) == 3)
    assert max_logit_difference(network, cascade.load_segments(), rows) <= 1e-4


def test_exits_are_proposed_behind_layers(tmp_path: Path) -> None:
    model = text_classifier(str(make_bert_folder(tmp_path, layers=4)), 3)
    places = propose_exits(model, make_rows([6, 5]), 3, "mean-linear")
    assert [place.after for place in places] == ["layers.0", "layers.2"]


def test_the_mask_is_handed_on(cascade: Cascade) -> None:
    manifest = cascade.manifest
    assert [spec.name for spec in manifest.inputs] in (["ids", "mask"], ["ids", "mask", "types"])
    assert [(spec.name, spec.dtype, spec.shape) for spec in manifest.tensors_at(1)] == [
        ("cut1", "float32", (None, None, 16)),
        ("mask1", "int64", (None, None)),
    ]


def test_padding_changes_no_answer(cascade: Cascade) -> None:
    texts, _ = make_texts(12)
    column = np.array(texts, dtype=object)
    read, segments = cascade.reader(), cascade.load_segments()
    columns = [column] * (len(cascade.manifest.inputs) - 1)

    def answers(rows: list[NDArray[np.object_]]) -> NDArray[np.float32]:
        def never(_index: int, output: SegmentOutput) -> NDArray[np.bool_]:
            assert output.label is not None
            return np.zeros(len(output.label), bool)

        return walk(segments, (0, 1), (1.0, 1.0), read(rows), never, 3).probabilities

    together = answers(columns)
    alone = np.concatenate([answers([each[i : i + 1] for each in columns]) for i in range(len(texts))])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", TOKEN_HEADS)
def test_head_contract(name: str) -> None:
    torch.manual_seed(0)
    head = TOKEN_HEADS[name]((4, 8), 3)
    hidden, (_, mask, types) = torch.randn(3, 6, 8), make_rows([6, 2, 1], pairs=True)
    logits = head(hidden, mask, types)
    assert logits.shape == (3, 3)
    torch.testing.assert_close(head(hidden[1:2, :2], mask[1:2, :2], types[1:2, :2]), logits[1:2])
    with pytest.raises(ConfigError, match="attach the exit behind a layer"):
        TOKEN_HEADS[name]((3, 8, 8), 3)


def test_a_head_that_compares_needs_two_texts_all_the_way(folder: Path) -> None:
    with pytest.raises(ConfigError, match="compares two texts; the rows of this network are one"):
        text_classifier(str(folder), 3, head="pair-linear")
    model = text_classifier(str(folder), 3, pairs=True)
    early = MultiExit(model, [ExitPlacement("layers.0", "pair-linear")], make_rows([4, 3], True), sequences=True)
    with pytest.raises(ConfigError, match="give the network pairs of texts and its last exit the same head"):
        early(*make_rows([4, 3], True))


def comparing(folder: Path, early: str) -> tuple[nn.Module, MultiExit, tuple[Tensor, ...]]:
    model = text_classifier(str(folder), 3, head="pair-linear", pairs=True)
    rows = make_rows([5, 9, 2], pairs=True)
    return model, MultiExit(model, [ExitPlacement("layers.0", early)], rows, sequences=True).eval(), rows


@pytest.mark.parametrize("early", TOKEN_HEADS)
def test_the_types_are_handed_on_to_a_head_that_compares(folder: Path, early: str) -> None:
    model, network, rows = comparing(folder, early)
    assert network.handed_inputs(1) == ("mask", "types")
    with torch.no_grad():
        first, last = network(*rows)
        torch.testing.assert_close(model(*rows), last)
    assert first.shape == (3, 3)


@pytest.mark.parametrize("early", ["mean-linear", "pair-linear"])
def test_a_head_that_compares_is_exported(folder: Path, tmp_path: Path, early: str) -> None:
    """Behind an exit that does not look at the types, and behind one that does."""
    _, network, rows = comparing(folder, early)
    origin, tokenizer = Origin("text", tuple("abc")), load_tokenizer(folder, 32)
    _, difference = export_cascade(network, rows, tmp_path / "pair.cascade", origin, tokenizer)
    assert difference <= 1e-4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model_type": "t5", "architectures": ["T5Model"]}, "cannot load|no embeddings followed by layers"),
        ({"model_type": "no-such-model"}, "cannot load"),
    ],
)
def test_other_models_are_refused(folder: Path, tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    body = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**body, **change}))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(ConfigError, match=sentence):
        text_classifier(str(tmp_path), 2)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json"):
        text_classifier(str(tmp_path), 2)


def test_an_unknown_head_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="known are mean-linear, pair-linear, pooler-linear"):
        text_classifier(str(folder), 2, head="pool-linear")
