"""Every recipe keeps one contract; each has its own point."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
import torch
from torch import nn

import offramp.training
from offramp.errors import ConfigError, TrainingError
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.augment import Augment
from offramp.training.checkpoint import Checkpoint
from offramp.training.distillation import Distillation
from offramp.training.frozen import FrozenBackbone
from offramp.training.inputs import ImageInput
from offramp.training.joint import JointTraining
from offramp.training.recipe import Batch, Recipe, Rows, accuracies
from offramp.training.recipes import RECIPES
from offramp.training.schedule import SCHEDULES
from offramp.training.self_distillation import SelfDistillation
from offramp.training.soft_targets import soft_target_loss
from offramp.training.state import EpochResult
from offramp.training.teacher import TorchTeacher
from offramp.training.weights import exit_weights
from offramp.training.zoo.digits import DigitsNet


def make_network(seed: int = 0, exits: bool = True) -> MultiExit:
    torch.manual_seed(seed)
    net = DigitsNet(classes=2, widths=(4, 4), blocks=(1, 1), strides=(2, 1))
    places = [ExitPlacement("stages.0")] if exits else []
    return MultiExit(net, places, torch.zeros(2, 8, 8, 1, dtype=torch.uint8), ImageInput())


def make_rows(count: int = 40) -> Rows:
    """Dark and bright images."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 8, 8, 1), generator=generator) + 150 * labels[:, None, None, None]
    return Rows(images.to(torch.uint8), labels)


class Brightness(nn.Module):
    """Knows the answer: logits from the mean."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 1, 8, 8) to (n, 2)."""
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([0.5 - mean, mean - 0.5], 1) * 20


def make_teacher(classes: int = 2) -> TorchTeacher:
    example = torch.zeros(2, 8, 8, 1, dtype=torch.uint8)
    module = Brightness() if classes == 2 else nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
    return TorchTeacher(module, ImageInput(), example, "brightness")


def make(name: str, **changed: object) -> Recipe:
    settings: dict[str, object] = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "augment": Augment(1, True, 2)}
    if name == "distillation":
        settings["teacher"] = make_teacher()
    return RECIPES[name](**{**settings, **changed})  # type: ignore[arg-type]


def weights_of(network: MultiExit) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_every_recipe_of_the_package_has_a_name() -> None:
    for module in pkgutil.iter_modules(offramp.training.__path__, "offramp.training."):
        if not module.ispkg:
            importlib.import_module(module.name)
    found = {cls for cls in Recipe.__subclasses__() if cls.__module__.startswith("offramp.")}
    assert found == set(RECIPES.values())


@pytest.mark.parametrize("name", RECIPES)
def test_the_early_exit_learns(name: str) -> None:
    network = make_network()
    history = make(name, epochs=20, learning_rate=5e-2, augment=Augment()).fit(network, make_rows(), make_rows(10))
    assert history[-1].loss < history[0].loss
    assert accuracies(network, make_rows())[0] > 0.9
    assert not network.training


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    one, two = make_network(), make_network()
    assert make(name).fit(one, make_rows(), make_rows(10)) == make(name).fit(two, make_rows(), make_rows(10))
    assert same(weights_of(one), weights_of(two))


@pytest.mark.parametrize("patience", [0, 1])
@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, name: str, patience: int) -> None:
    class Interrupted(Exception):
        pass

    def stop_in_the_second_epoch(epoch: int, _epochs: int, step: int, *_: object) -> None:
        if epoch == 1 and step == 2:
            raise Interrupted

    recipe = make(name, patience=patience)
    whole = make_network()
    expected = recipe.fit(whole, make_rows(), make_rows(10))
    checkpoint, resumed = Checkpoint(tmp_path, "a"), make_network()
    with pytest.raises(Interrupted):
        recipe.fit(make_network(), make_rows(), make_rows(10), checkpoint=checkpoint, progress=stop_in_the_second_epoch)
    assert recipe.fit(resumed, make_rows(), make_rows(10), checkpoint=checkpoint, resume=True) == expected
    assert same(weights_of(whole), weights_of(resumed))


@pytest.mark.parametrize("name", RECIPES)
def test_weights_must_match_the_exits_that_learn(name: str) -> None:
    with pytest.raises(ConfigError, match=r"5 numbers for \d exits"):
        make(name, weights=(1.0,) * 5).fit(make_network(), make_rows(), make_rows(10))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("rule", ["equal", "branchynet", "depth"])
def test_rules_weigh_any_number_of_exits(name: str, rule: str) -> None:
    make(name, weights=rule, epochs=1).fit(make_network(), make_rows(), make_rows(10))


def test_a_frozen_backbone_stays_to_the_bit() -> None:
    network = make_network()
    before = weights_of(network)
    logits = network.eval()(make_rows().inputs)[-1]
    FrozenBackbone(3, 8, 1e-2, weight_decay=0.1).fit(network, make_rows(), make_rows(10))
    after = weights_of(network)
    assert same({k: v for k, v in before.items() if "segments" in k}, after)
    assert not same({k: v for k, v in before.items() if "heads" in k}, after)
    assert torch.equal(network(make_rows().inputs)[-1], logits)


@pytest.mark.parametrize("recipe", [FrozenBackbone(1, 8, 0.1), SelfDistillation(1, 8, 0.1)])
def test_recipes_for_early_exits_refuse_a_network_without(recipe: Recipe) -> None:
    with pytest.raises(ConfigError, match=r"has none; add \[\[exits\]\]"):
        recipe.fit(make_network(exits=False), make_rows(), make_rows(10))


def test_self_distillation_teaches_the_early_exit_alone() -> None:
    recipe = SelfDistillation(1, 8, 0.1, share=1.0)
    early, last = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    first, second = recipe.losses(Batch((torch.zeros(4),), torch.tensor([0, 1, 2, 0]), [early, last]))
    torch.autograd.backward(first)
    assert last.grad is None  # the teacher is not pulled down to its pupil
    assert torch.equal(first, soft_target_loss(early, last, 3.0))
    assert torch.equal(second, torch.nn.functional.cross_entropy(last, torch.tensor([0, 1, 2, 0])))


def test_distillation_learns_from_the_teacher_against_the_labels() -> None:
    rows = make_rows()
    wrong = Rows(rows.inputs, 1 - rows.labels)
    network = make_network()
    Distillation(12, 8, 2e-2, teacher=make_teacher(), share=1.0).fit(network, wrong, make_rows(10))
    assert min(accuracies(network, rows)) > 0.9


def test_distillation_refuses_a_teacher_of_other_classes() -> None:
    with pytest.raises(ConfigError, match="knows 3 classes, the network 2"):
        Distillation(1, 8, 0.1, teacher=make_teacher(3)).fit(make_network(), make_rows(), make_rows(10))


def test_early_stopping_keeps_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([(0.2, 0.2), (0.9, 0.5), (0.6, 0.6), (0.7, 0.7), (1.0, 1.0)])
    seen: list[dict[str, torch.Tensor]] = []

    def told(network: MultiExit, _rows: Rows) -> tuple[float, ...]:
        seen.append(weights_of(network))
        return next(scores)

    monkeypatch.setattr("offramp.training.recipe.accuracies", told)
    network = make_network()
    history = JointTraining(10, 8, 1e-2, patience=2).fit(network, make_rows(), make_rows(10))
    assert [result.score for result in history] == pytest.approx([0.2, 0.7, 0.6, 0.7])
    assert same(weights_of(network), seen[1])


def test_a_score_is_the_mean_over_exits() -> None:
    assert EpochResult(1.0, (0.5, 0.7)).score == pytest.approx(0.6)
    assert EpochResult(1.0, ()).score == 0.0


def test_rules_for_weights() -> None:
    assert exit_weights((), 3) == exit_weights("equal", 3) == (1.0, 1.0, 1.0)
    assert exit_weights("branchynet", 1) == (1.0,)
    with pytest.raises(ConfigError, match="no rule; known are"):
        exit_weights("deep", 3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_end_near_zero_and_never_pass_the_peak(name: str) -> None:
    rates = [SCHEDULES[name](step, 50, 0.4) for step in range(50)]  # type: ignore[index]
    assert 0.39 < max(rates) <= 0.4
    assert 0 < rates[-1] < 0.01
    assert min(rates) > 0


def test_a_loss_that_is_not_finite_stops_every_recipe() -> None:
    network = make_network()
    with torch.no_grad():
        network.heads[0][-1].weight.fill_(float("inf"))  # type: ignore[index]
    with pytest.raises(TrainingError, match="the loss is"):
        make("frozen").fit(network, make_rows(), make_rows(10))
