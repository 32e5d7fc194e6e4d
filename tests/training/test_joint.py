"""Joint training: learning, resuming, refusing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from offramp.errors import ConfigError, TrainingError
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.augment import Augment
from offramp.training.checkpoint import Checkpoint
from offramp.training.inputs import ImageInput
from offramp.training.joint import JointTraining
from offramp.training.recipe import Rows, accuracies
from offramp.training.state import EpochResult
from offramp.training.zoo.digits import DigitsNet

RECIPE = JointTraining(
    epochs=3, batch_size=8, learning_rate=1e-2, augment=Augment(1, True), seed=5, label_smoothing=0.1
)


def make_network(seed: int = 0) -> MultiExit:
    torch.manual_seed(seed)
    net = DigitsNet(classes=2, widths=(4, 4), blocks=(1, 1), strides=(2, 1))
    with_dropout = nn.Sequential(net.stem, net.stages, nn.Dropout2d(0.2), nn.Conv2d(4, 2, 4), nn.Flatten())
    return MultiExit(with_dropout, [ExitPlacement("1.0")], torch.zeros(2, 8, 8, 1, dtype=torch.uint8), ImageInput())


def make_rows(count: int = 40) -> Rows:
    """Dark and bright images."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 8, 8, 1), generator=generator) + 150 * labels[:, None, None, None]
    return Rows(images.to(torch.uint8), labels)


def fit(network: MultiExit, recipe: JointTraining = RECIPE, **options: object) -> tuple[EpochResult, ...]:
    return recipe.fit(network, make_rows(), make_rows(10), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("autocast", ["none", "bfloat16"])
def test_every_exit_learns(optimizer: str, autocast: str) -> None:
    network = make_network()
    recipe = JointTraining(
        epochs=12,
        batch_size=8,
        learning_rate=2e-2,
        optimizer=optimizer,  # type: ignore[arg-type]
        autocast=autocast,  # type: ignore[arg-type]
        weight_decay=1e-3,
    )
    history = fit(network, recipe)
    assert history[-1].loss < history[0].loss / 2
    assert min(accuracies(network, make_rows())) > 0.9
    assert not network.training


def test_the_same_seed_gives_the_same_weights() -> None:
    one, two = make_network(), make_network()
    assert fit(one) == fit(two)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_the_callers_random_state_is_left_alone() -> None:
    network = make_network()
    before = torch.get_rng_state()
    fit(network)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, optimizer: str) -> None:
    recipe = JointTraining(**{**RECIPE.__dict__, "optimizer": optimizer})
    whole = make_network()
    expected = fit(whole, recipe)

    class Interrupted(Exception):
        pass

    def stop_in_the_second_epoch(epoch: int, _epochs: int, step: int, _steps: int, _m: dict[str, float]) -> None:
        if epoch == 1 and step == 2:
            raise Interrupted

    checkpoint = Checkpoint(tmp_path / "state", "a")
    with pytest.raises(Interrupted):
        fit(make_network(), recipe, checkpoint=checkpoint, progress=stop_in_the_second_epoch)
    resumed = make_network(seed=99)
    assert fit(resumed, recipe, checkpoint=checkpoint, resume=True) == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_finished_run_is_only_loaded(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "a")
    history = fit(make_network(), checkpoint=checkpoint)
    seen: list[int] = []
    again = fit(make_network(3), checkpoint=checkpoint, resume=True, progress=lambda epoch, *_: seen.append(epoch))
    assert again == history
    assert not seen


def test_without_resume_a_checkpoint_is_replaced(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "other").save({"history": []})
    checkpoint = Checkpoint(tmp_path, "a")
    fit(make_network(), checkpoint=checkpoint)
    state = checkpoint.load()
    assert state is not None
    assert len(state["history"]) == 3


def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    Checkpoint(tmp_path, "a").save({})
    with pytest.raises(TrainingError, match="other data, model or settings"):
        Checkpoint(tmp_path, "b").load()


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "a")
    checkpoint.save({"value": torch.zeros(3)})
    checkpoint.file.write_bytes(checkpoint.file.read_bytes()[:100])
    with pytest.raises(TrainingError, match="damaged"):
        checkpoint.load()


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "a")
    checkpoint.save({"value": 1})
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save({"value": lambda: None})
    assert checkpoint.load() == {"value": 1}
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.file.name]


def test_progress_counts_to_the_end() -> None:
    seen: list[tuple[int, int, int, int]] = []
    metrics: list[dict[str, float]] = []

    def note(epoch: int, epochs: int, step: int, steps: int, told: dict[str, float]) -> None:
        seen.append((epoch, epochs, step, steps))
        metrics.append(told)

    fit(make_network(), progress=note)
    assert seen == [(epoch, 3, step + 1, 5) for epoch in range(3) for step in range(5)]
    assert metrics[-1]["eta_s"] == 0.0
    assert metrics[0]["eta_s"] > 0.0


def test_weights_must_match_the_exits() -> None:
    with pytest.raises(ConfigError, match="3 numbers for 2 exits"):
        fit(make_network(), JointTraining(1, 8, 0.1, weights=(1.0, 1.0, 1.0)))


def test_a_diverging_run_stops_with_a_sentence() -> None:
    network = make_network()
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"epoch 1: the loss is nan; lower training\.learning_rate"):
        fit(network)
