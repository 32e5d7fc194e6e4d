"""From a config and sentences to a cascade that answers text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade, open_cascade
from offramp.data.registry import load_dataset
from offramp.errors import CascadeError, ConfigError, SampleError
from offramp.planning.plan import Plan
from offramp.records.collect import collect
from offramp.runtime.device import Device
from offramp.training.build import build
from offramp.training.config import load_config
from tests.support.texts import make_bert_folder, make_texts

CONFIG = """
name = "kind"
data = {{ name = "{data}", tune = 0.2, calibrate = 0.2, test = 0.2 }}
exits = [{{ after = "layers.0", head = "mean-linear", name = "early" }}]

[model]
factory = "offramp.training.text.encoder:text_classifier"
arguments = {{ folder = "{folder}", classes = 2 }}

[text]
tokenizer = "bert"
max_length = 10

[training]
epochs = 6
batch_size = 8
learning_rate = 2e-2
weights = "depth"
checkpoint = "state"
"""


def write_config(folder: Path, text: str = CONFIG) -> Path:
    file = folder / "config.toml"
    file.write_text(text.format(data=folder / "kind.tsv?text=sentence", folder=folder / "bert"))
    return file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kind")
    make_bert_folder(folder / "bert")
    texts, labels = make_texts(160)
    lines = [f"{label}\t{text}" for text, label in zip(texts, labels, strict=True)]
    (folder / "kind.tsv").write_text("label\tsentence\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def cascade(place: Path) -> Cascade:
    report = build(load_config(write_config(place)), place / "kind.cascade")
    assert report.max_difference <= 1e-4
    assert len(report.history) == 6
    return report.cascade


def test_the_cascade_learns_and_carries_its_tokenizer(place: Path, cascade: Cascade) -> None:
    records = collect(cascade, load_dataset(f"{place}/kind.tsv?text=sentence"))
    assert records.on("test").correct.mean(1).min() > 0.8
    spec = cascade.manifest.tokenizer
    assert spec is not None
    assert (cascade.path / spec.file).read_bytes() == (place / "bert" / "tokenizer.json").read_bytes()


def test_a_resumed_build_is_the_same(place: Path, cascade: Cascade) -> None:
    again = build(load_config(write_config(place)), place / "again.cascade", resume=True)
    assert again.cascade.manifest.fingerprint == cascade.manifest.fingerprint


def test_a_device_answers_text(cascade: Cascade) -> None:
    plan = Plan(
        cascade=cascade.name,
        cascade_fingerprint=cascade.manifest.fingerprint,
        tiers=("device",),
        placement=("device", "device"),
        gates=[{"threshold": 0.9}],
        temperatures=(1.0, 1.0),
    )
    texts = ["great film and the plot is good", "awful film and the plot is bad", "", "film " * 300]
    with Device(cascade, plan) as device:
        answers = [device.infer(text) for text in texts]
        together = device.infer_batch(np.array(texts, dtype=object))
        with pytest.raises(SampleError, match="expected text, but found int"):
            device.infer(["a", 1])  # type: ignore[arg-type]  # wrong on purpose
    assert [answer.label for answer in answers] == [answer.label for answer in together]
    assert [answer.label for answer in answers[:2]] == [1, 0]
    for one, other in zip(answers, together, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)


def test_another_tokenizer_is_refused(cascade: Cascade) -> None:
    assert cascade.manifest.tokenizer is not None
    file = cascade.path / cascade.manifest.tokenizer.file
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-2] + b" }")
        with pytest.raises(CascadeError, match="the tokenizer does not match its sha256"):
            open_cascade(cascade.path)
        file.unlink()
        with pytest.raises(CascadeError, match="the tokenizer is missing"):
            open_cascade(cascade.path)
    finally:
        file.write_bytes(content)


def test_the_fingerprint_covers_the_tokenizer(cascade: Cascade) -> None:
    manifest = cascade.manifest
    assert manifest.tokenizer is not None
    other = manifest.tokenizer.model_copy(update={"max_length": 11})
    assert manifest.model_copy(update={"tokenizer": other}).fingerprint != manifest.fingerprint


def test_text_needs_a_tokenizer(place: Path, tmp_path: Path) -> None:
    text = CONFIG.replace("[text]\n", "").replace('tokenizer = "bert"\nmax_length = 10\n', "")
    config = load_config(write_config(place, text))
    with pytest.raises(ConfigError, match=r"is text; add \[text\]"):
        build(config, tmp_path / "out.cascade")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[training]\n", "[input]\n[training]\n", "keep one of them"),
        ('weights = "depth"', "augment = {{ crop = 1 }}", "changes images"),
        ("max_length = 10", "max_length = 1", "greater than or equal to 2"),
        ('tokenizer = "bert"', 'tokeniser = "bert"', "did you mean 'tokenizer'"),
    ],
)
def test_what_does_not_go_with_text_is_refused(place: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(write_config(place, CONFIG.replace(old, new)))
