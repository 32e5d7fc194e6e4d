"""``CONFIG.toml`` of ``offramp build``."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from offramp.errors import ConfigError
from offramp.training.attach import ExitPlacement
from offramp.training.augment import Augment
from offramp.training.inputs import ImageInput
from offramp.training.joint import JointTraining

__all__ = ["BuildConfig", "load_config"]

Share = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
    """``[data]``: a name or a ``.npz`` file, and the one split of its rows; what is left is train."""

    name: str
    split_seed: int = 0
    tune: Annotated[float, Field(gt=0, lt=1)]
    calibrate: Share = 0.0
    test: Share = 0.0


class ModelConfig(_Section):
    """``[model]``: ``module:function`` that makes an ``nn.Module``, and its keyword arguments."""

    factory: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    arguments: dict[str, Any] = {}


class InputConfig(_Section):
    """``[input]``: preprocessing of images; without it rows go into the model as they are."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 255.0

    def module(self) -> ImageInput:
        """The module put in front of segment 0."""
        return ImageInput(self.mean, self.std, self.scale)


class ExitConfig(_Section):
    """``[[exits]]``: an early exit behind a module."""

    after: str
    head: str = "pool-linear"
    name: str = ""

    def placement(self) -> ExitPlacement:
        """As `MultiExit` takes it."""
        return ExitPlacement(self.after, self.head, self.name)


class AugmentConfig(_Section):
    """``[training.augment]``: random shifts of up to ``crop`` pixels, and mirroring."""

    crop: Annotated[int, Field(ge=0)] = 0
    flip: bool = False


class TrainingConfig(_Section):
    """``[training]``: the recipe and its settings."""

    recipe: Literal["joint"] = "joint"
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    optimizer: Literal["adam", "sgd"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    weights: tuple[Annotated[float, Field(gt=0)], ...] = ()
    label_smoothing: Share = 0.0
    augment: AugmentConfig = AugmentConfig()
    seed: int = 0
    autocast: Literal["none", "bfloat16"] = "none"
    threads: Annotated[int, Field(ge=1)] = 1
    checkpoint: Path | None = None

    def training(self) -> JointTraining:
        """The recipe, ready to fit."""
        return JointTraining(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            weights=self.weights,
            label_smoothing=self.label_smoothing,
            augment=Augment(self.augment.crop, self.augment.flip),
            seed=self.seed,
            autocast=self.autocast,
        )


class BuildConfig(_Section):
    """All of ``CONFIG.toml``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    data: DataConfig
    model: ModelConfig
    input: InputConfig | None = None
    exits: tuple[ExitConfig, ...] = ()
    training: TrainingConfig


def load_config(path: str | Path) -> BuildConfig:
    """Read and check a build config; relative paths in it start from its folder.

    Raises
    ------
    ConfigError : the file is missing, no TOML, or a key is unknown, missing or wrong
    """
    file = Path(path)
    try:
        body = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: cannot read the config ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    try:
        config = BuildConfig.model_validate(body)
    except ValidationError as error:
        raise ConfigError(f"{file}: {_sentence(error)}") from error
    return _resolved(config, file.parent)


def _sentence(error: ValidationError) -> str:
    """One complaint, with the nearest name where a key is unknown; a typo comes before what it leaves missing."""
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    known = _keys_at(first["loc"][:-1])
    near = get_close_matches(str(first["loc"][-1]), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
    return f"unknown key {where!r}{hint}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at ``location``."""
    sections: dict[tuple[str, ...], type[_Section]] = {
        (): BuildConfig,
        ("data",): DataConfig,
        ("model",): ModelConfig,
        ("input",): InputConfig,
        ("exits",): ExitConfig,
        ("training",): TrainingConfig,
        ("training", "augment"): AugmentConfig,
    }
    return sorted(sections[tuple(part for part in location if isinstance(part, str))].model_fields)


def _resolved(config: BuildConfig, folder: Path) -> BuildConfig:
    data, training = config.data, config.training
    if data.name.endswith(".npz"):
        data = data.model_copy(update={"name": str(folder / data.name)})
    if training.checkpoint is not None:
        training = training.model_copy(update={"checkpoint": folder / training.checkpoint})
    return config.model_copy(update={"data": data, "training": training})
