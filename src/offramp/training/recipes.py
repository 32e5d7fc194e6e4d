"""All training recipes by name, and making one from a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from offramp.errors import ConfigError
from offramp.training.augment import Augment
from offramp.training.config import BuildConfig, TeacherConfig, TrainingConfig
from offramp.training.distillation import Distillation
from offramp.training.frozen import FrozenBackbone
from offramp.training.joint import JointTraining
from offramp.training.recipe import Recipe
from offramp.training.self_distillation import SelfDistillation
from offramp.training.teacher import CascadeTeacher, Teacher, load_torch_teacher

__all__ = ["RECIPES", "make_recipe"]

#: every recipe, by the name used in a config
RECIPES: dict[str, type[Recipe]] = {
    recipe.name: recipe for recipe in (Distillation, FrozenBackbone, JointTraining, SelfDistillation)
}


def make_recipe(config: BuildConfig, training: TrainingConfig, example: Tensor | Sequence[Tensor]) -> Recipe:
    """The recipe of ``[training]``, ready to fit.

    Parameters
    ----------
    config : the whole config; a torch teacher without an input of its own takes the network's
    training : its ``[training]``
    example : two raw rows of every input

    Raises
    ------
    ConfigError : a setting that the recipe does not have, a missing teacher, or one that cannot be loaded
    """
    cls = RECIPES[training.recipe]
    special: dict[str, Any] = {}
    for name in ("temperature", "share"):
        if (value := getattr(training, name)) is not None:
            if name not in cls.__dataclass_fields__:
                raise ConfigError(f"training.{name}: recipe {cls.name!r} has no such setting; remove it")
            special[name] = value
    if cls is Distillation:
        if training.teacher is None:
            raise ConfigError("recipe 'distillation' needs [training.teacher] with a cascade or a factory")
        special["teacher"] = _teacher(config, training.teacher, training.threads, example)
    elif training.teacher is not None:
        raise ConfigError(f"training.teacher: recipe {cls.name!r} has no teacher; use 'distillation'")
    augment = training.augment
    return cls(
        epochs=training.epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        optimizer=training.optimizer,
        schedule=training.schedule,
        weight_decay=training.weight_decay,
        weights=training.weights,
        label_smoothing=training.label_smoothing,
        augment=Augment(augment.crop, augment.flip, augment.cutout),
        seed=training.seed,
        autocast=training.autocast,
        patience=training.patience,
        **special,
    )


def _teacher(config: BuildConfig, teacher: TeacherConfig, threads: int, example: Tensor | Sequence[Tensor]) -> Teacher:
    if (teacher.cascade is None) == (not teacher.factory):
        raise ConfigError("training.teacher needs either 'cascade' or 'factory'")
    if teacher.cascade is not None:
        return CascadeTeacher(teacher.cascade, threads)
    chosen = teacher.input or config.input
    inputs = nn.Identity() if chosen is None else chosen.module()
    return load_torch_teacher(teacher.factory, teacher.arguments, teacher.weights, inputs, example)
