"""``[lowbit]`` of a config: trained, resumed, exported to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

from offramp.cascade.packed import pack_weights
from offramp.cascade.segment import LOGITS, session_options
from offramp.data.registry import load_dataset
from offramp.errors import ConfigError, TrainingError
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.build import build, make_network
from offramp.training.checkpoint import Checkpoint
from offramp.training.config import BuildConfig, load_config
from offramp.training.inputs import ImageInput
from offramp.training.joint import JointTraining
from offramp.training.lowbit.apply import apply_low_bit
from offramp.training.lowbit.convert import freeze
from offramp.training.onnx_file import ExitSegment, segment_to_onnx
from offramp.training.recipe import Rows
from offramp.training.zoo.resnet import CifarResNet
from tests.training.test_config import CONFIG, write

LOWBIT = """
[lowbit]
segments = 1
weight_bits = 1
activation_bits = 1
hand_over_bits = 1
"""
RESNET = (
    CONFIG.replace("zoo.digits:DigitsNet", "zoo.resnet:CifarResNet")
    .replace(
        "{ widths = [4, 4], blocks = [1, 1], strides = [2, 1] }",
        "{ depth = 8, channels = 1, widths = [4, 6, 8] }",
    )
    .replace("stages.0", "stack2")
)


def low_bit(text: str = LOWBIT, config: str = RESNET) -> str:
    return config.replace("[[exits]]", f"{text}\n[[exits]]")


class Stop(Exception):
    pass


def trained(config: BuildConfig) -> tuple[MultiExit, torch.Tensor]:
    """A build up to its export: the network, rows to verify it on, and what the checkpoint keeps."""
    given: list[Any] = []

    def stop(*arguments: object, **_: object) -> None:
        given.extend(arguments[:2])
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("offramp.training.build.export_cascade", stop)
        with pytest.raises(Stop):
            build(config, "nowhere.cascade")
    network, (rows, *_) = given
    return network, rows


@pytest.mark.parametrize("recipe", ["learned", "published"])
@pytest.mark.parametrize(("weights", "activations"), [(1, 1), (2, 4), (4, 4), (8, 8)])
def test_a_low_bit_segment_is_exported_with_the_trained_arithmetic(
    tmp_path: Path, recipe: str, weights: int, activations: int
) -> None:
    text = (
        f'[lowbit]\nsegments = 1\nrecipe = "{recipe}"\nweight_bits = {weights}\nactivation_bits = {activations}\n'
        f"hand_over_bits = {activations}\n"
    )
    network, rows = trained(load_config(write(tmp_path, low_bit(text))))
    freeze(network.eval())
    segment = ExitSegment(network, 0).eval()
    content = pack_weights(segment_to_onnx(segment, (rows[:2],), network.input_names, ("handed",)))
    session = ort.InferenceSession(content, session_options(), providers=["CPUExecutionProvider"])
    for some in (rows, rows[:1]):
        handed, logits = session.run(["handed", LOGITS], {network.input_names[0]: some.numpy()})
        assert len(np.unique(np.asarray(handed))) <= 2**activations
        with torch.no_grad():
            expected = network(some)[0].numpy()
        np.testing.assert_allclose(np.asarray(logits), expected, rtol=0, atol=1e-5)


def test_a_low_bit_network_is_built(tmp_path: Path) -> None:
    report = build(load_config(write(tmp_path, low_bit())), tmp_path / "small.cascade")
    assert report.max_difference <= 1e-5
    segment = report.cascade.segment(0)
    (handed,) = segment.run((load_dataset("digits").inputs[0][:50],)).hand_over
    assert len(np.unique(handed)) == 2
    assert segment.spec.low_bit is not None
    assert segment.spec.low_bit.kernel is None  # its channels are no multiple of 8


def test_it_starts_from_a_trained_network_and_resumes(tmp_path: Path) -> None:
    trained(load_config(write(tmp_path, RESNET)))
    text = low_bit(LOWBIT + 'warm_start = "state/checkpoint.pt"\n').replace('= "state"', '= "state-1bit"')
    config = load_config(write(tmp_path, text))
    kept = torch.load(tmp_path / "state" / "checkpoint.pt", weights_only=True)["network"]
    network = make_network(config, load_dataset("digits"))
    for name in ("segments.0.stack1.0.conv1.weight", "segments.1.linear.weight", "segments.0.stem.1.running_mean"):
        found = network.state_dict()[name.replace("stack1.0", "stack1.0")]
        assert torch.equal(found, kept[name])
    first = build(config, tmp_path / "low.cascade")
    again = build(config, tmp_path / "low.cascade", overwrite=True, resume=True)
    assert again.cascade.manifest.fingerprint == first.cascade.manifest.fingerprint

    (tmp_path / "state" / "checkpoint.pt").write_bytes(b"another")
    with pytest.raises(ConfigError, match="damaged, or no checkpoint"):
        build(config, tmp_path / "low.cascade", overwrite=True, resume=True)
    torch.save({"stem.0.weight": torch.zeros(1)}, tmp_path / "state" / "checkpoint.pt")
    with pytest.raises(ConfigError, match=r"'stem.0.weight' has shape \(1,\), the network's \(4, 1, 3, 3\)"):
        build(config, tmp_path / "low.cascade", overwrite=True)
    torch.save({"other": torch.zeros(1)}, tmp_path / "state" / "checkpoint.pt")
    with pytest.raises(ConfigError, match=r"has no 'stem.0.weight'; it is a checkpoint of another network"):
        build(config, tmp_path / "low.cascade", overwrite=True)


def test_other_bits_are_another_run(tmp_path: Path) -> None:
    trained(load_config(write(tmp_path, low_bit())))
    other = load_config(write(tmp_path, low_bit(LOWBIT.replace("activation_bits = 1", "activation_bits = 2"))))
    with pytest.raises(TrainingError, match="other data, model or settings"):
        build(other, tmp_path / "other.cascade", resume=True)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("weight_bits = 1", "weight_bits = 3", r"lowbit\.weight_bits: input should be 1, 2, 4 or 8"),
        ("weight_bits = 1", "weigth_bits = 1", r"'lowbit\.weigth_bits'; did you mean 'weight_bits'"),
        ("segments = 1", 'segments = 1\nmodules = ["stem"]', r"needs either segments or modules"),
        ("segments = 1", 'modules = ["stem"]', r"hand_over_bits needs segments"),
    ],
)
def test_what_a_config_must_not_say(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(write(tmp_path, low_bit(LOWBIT.replace(old, new))))


@pytest.mark.parametrize("bits", [1, 4])
def test_an_interrupted_run_goes_on_exactly(tmp_path: Path, bits: int) -> None:
    file = write(tmp_path, low_bit(LOWBIT.replace("_bits = 1", f"_bits = {bits}")))
    settings = load_config(file).lowbit
    assert settings is not None
    recipe = JointTraining(epochs=3, batch_size=8, learning_rate=1e-3)
    rows = Rows(torch.randint(0, 255, (24, 8, 8, 1), generator=torch.Generator().manual_seed(0)), torch.arange(24) % 2)

    def network() -> MultiExit:
        torch.manual_seed(0)
        net, places = CifarResNet(8, 2, (4, 6, 8), 1), [ExitPlacement("stack2")]
        apply_low_bit(net, settings, places, ImageInput()(rows.inputs[:2]))
        return MultiExit(net, places, rows.inputs[:2], ImageInput())

    def stop(epoch: int, *_: object) -> None:
        if epoch == 1:
            raise Stop

    whole = network()
    recipe.fit(whole, rows, rows)
    with pytest.raises(Stop):
        recipe.fit(network(), rows, rows, checkpoint=Checkpoint(tmp_path, "a"), progress=stop)
    resumed = network()
    replace(recipe).fit(resumed, rows, rows, checkpoint=Checkpoint(tmp_path, "a"), resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
