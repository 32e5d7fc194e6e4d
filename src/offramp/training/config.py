"""``CONFIG.toml`` of ``offramp build``."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from offramp.errors import ConfigError
from offramp.files import read_toml
from offramp.training.attach import ExitPlacement
from offramp.training.inputs import ImageInput
from offramp.training.lowbit.spec import LowBit
from offramp.training.schedule import Schedule

__all__ = ["AutoExits", "BuildConfig", "LowBitConfig", "TeacherConfig", "TrainingConfig", "load_config", "with_exits"]

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
#: tags of the two forms of a value; no part of a key
LIST, RULE = "<list>", "<rule>"
Weights = Annotated[
    Annotated[tuple[Positive, ...], Tag(LIST)] | Annotated[Literal["equal", "branchynet", "depth"], Tag(RULE)],
    Discriminator(lambda value: RULE if isinstance(value, str) else LIST),
]
Factory = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


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

    factory: Factory
    arguments: dict[str, Any] = {}


class InputConfig(_Section):
    """``[input]``: preprocessing of images; without it rows go into the model as they are."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 255.0

    def module(self) -> ImageInput:
        """The module put in front of segment 0."""
        return ImageInput(self.mean, self.std, self.scale)


class TextConfig(_Section):
    """``[text]``: rows are one or two columns of text.

    ``tokenizer`` is a ``tokenizer.json``, a Hugging Face folder with one, or ``minilm``; it goes into
    the cascade. ``max_length`` counts tokens, the special ones included.
    """

    tokenizer: str
    max_length: Annotated[int, Field(ge=2)] = 128


class ExitConfig(_Section):
    """``[[exits]]``: an early exit behind a module."""

    after: str
    head: str = "pool-linear"
    name: str = ""

    def placement(self) -> ExitPlacement:
        """As `MultiExit` takes it."""
        return ExitPlacement(self.after, self.head, self.name)


class AutoExits(_Section):
    """``[exits]`` with ``auto = N``: N exits, the last included, at equal shares of the FLOPs.

    The head of images is ``pool-linear`` where none is named, that of text ``mean-linear``.
    """

    auto: Annotated[int, Field(ge=2)]
    head: str = ""


class AugmentConfig(_Section):
    """``[training.augment]``: random shifts of up to ``crop`` pixels, mirroring, a blank square."""

    crop: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    cutout: Annotated[int, Field(ge=0)] = 0


class TeacherConfig(_Section):
    """``[training.teacher]``: a cascade, or a factory and a file with a state dict.

    ``input`` is the preprocessing of a teacher from a factory, the network's own by default.
    """

    cascade: Path | None = None
    factory: Factory | Literal[""] = ""
    arguments: dict[str, Any] = {}
    weights: Path | None = None
    input: InputConfig | None = None


class TrainingConfig(_Section):
    """``[training]``: the recipe and its settings."""

    recipe: Literal["joint", "frozen", "self-distillation", "distillation"] = "joint"
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]
    optimizer: Literal["adam", "sgd"] = "adam"
    schedule: Schedule = "one-cycle"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    weights: Weights = ()
    label_smoothing: Share = 0.0
    augment: AugmentConfig = AugmentConfig()
    teacher: TeacherConfig | None = None
    temperature: Annotated[float, Field(gt=0)] | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int = 0
    autocast: Literal["none", "bfloat16"] = "none"
    patience: Annotated[int, Field(ge=0)] = 0
    threads: Annotated[int, Field(ge=1)] = 1
    checkpoint: Path | None = None
    dynamics: Path | None = None


class LowBitConfig(_Section):
    """``[lowbit]``: a few bits for the weights and activations of the first segments, or of named modules.

    ``segments`` counts from the front; ``modules`` are paths. ``hand_over_bits`` also quantises what the last of the
    segments hands over. ``warm_start`` is the checkpoint of the trained network of full precision.
    """

    segments: Annotated[int, Field(ge=1)] | None = None
    modules: tuple[str, ...] = ()
    weight_bits: Literal[1, 2, 4, 8]
    activation_bits: Literal[1, 2, 4, 8]
    recipe: Literal["learned", "published"] = "learned"
    shortcuts: Literal["auto", "block", "conv"] = "auto"
    hand_over_bits: Literal[1, 2, 4, 8] | None = None
    warm_start: Path | None = None

    @model_validator(mode="after")
    def _one_choice(self) -> LowBitConfig:
        if (self.segments is None) == (not self.modules):
            raise ValueError("[lowbit] needs either segments or modules")
        if self.hand_over_bits is not None and self.segments is None:
            raise ValueError("hand_over_bits needs segments: it is for what the last of them hands over")
        return self

    def spec(self) -> LowBit:
        """As `make_low_bit` takes it."""
        return LowBit(self.weight_bits, self.activation_bits, self.recipe, self.shortcuts)


Exits = Annotated[
    Annotated[tuple[ExitConfig, ...], Tag(LIST)] | Annotated[AutoExits, Tag(RULE)],
    Discriminator(lambda value: RULE if isinstance(value, dict | AutoExits) else LIST),
]


class BuildConfig(_Section):
    """All of ``CONFIG.toml``. Without ``[training]`` the model is exported as its factory made it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    data: DataConfig
    model: ModelConfig
    input: InputConfig | None = None
    text: TextConfig | None = None
    exits: Exits = ()
    lowbit: LowBitConfig | None = None
    training: TrainingConfig | None = None

    @model_validator(mode="after")
    def _images_or_text(self) -> BuildConfig:
        if self.text is not None and self.input is not None:
            raise ValueError("[input] prepares images and [text] text; keep one of them")
        if self.text is not None and self.training is not None and self.training.augment != AugmentConfig():
            raise ValueError("training.augment changes images; remove it beside [text]")
        return self

    @model_validator(mode="after")
    def _heads_need_training(self) -> BuildConfig:
        if self.exits and self.training is None:
            raise ValueError("exits without [training] would guess; add the section, or remove the exits")
        if self.lowbit is not None and self.training is None:
            raise ValueError("[lowbit] without [training] would guess; add the section, or remove [lowbit]")
        return self


def load_config(path: str | Path) -> BuildConfig:
    """Read and check a build config; relative paths in it start from its folder.

    Raises
    ------
    ConfigError : the file is missing, no TOML, or a key is unknown, missing or wrong
    """
    file = Path(path)
    body = read_toml(file, "config")
    try:
        config = BuildConfig.model_validate(body)
    except ValidationError as error:
        raise ConfigError(f"{file}: {_sentence(error)}") from error
    return _resolved(config, file.parent)


def with_exits(config: BuildConfig, exits: str) -> BuildConfig:
    """``config`` with its exits replaced by ``auto:N``, see `AutoExits`.

    Raises
    ------
    ConfigError : another text, N below 2, or a config without ``[training]``
    """
    kind, _, count = exits.partition(":")
    if kind != "auto" or not count.isdecimal() or int(count) < 2:
        raise ConfigError(f"exits {exits!r}: write auto:N with N of 2 or more, the last exit included")
    if config.training is None:
        raise ConfigError(f"exits {exits!r}: the config has no [training], and early exits must be trained; add it")
    head = config.exits.head if isinstance(config.exits, AutoExits) else ""
    return config.model_copy(update={"exits": AutoExits(auto=int(count), head=head)})


def _sentence(error: ValidationError) -> str:
    """One complaint, with the nearest name where a key is unknown; a typo comes before what it leaves missing."""
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    location = [part for part in first["loc"] if part not in {LIST, RULE}]
    where = ".".join(str(part) for part in location)
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        return f"{where}{': ' if where else ''}{message[:1].lower()}{message[1:]}"
    known = _keys_at(tuple(part for part in first["loc"][:-1] if isinstance(part, str)))
    near = get_close_matches(str(first["loc"][-1]), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
    return f"unknown key {where!r}{hint}"


def _keys_at(location: tuple[str, ...]) -> list[str]:
    """Keys of the section at ``location``."""
    sections: dict[tuple[str, ...], type[_Section]] = {
        (): BuildConfig,
        ("data",): DataConfig,
        ("model",): ModelConfig,
        ("input",): InputConfig,
        ("text",): TextConfig,
        ("exits", LIST): ExitConfig,
        ("exits", RULE): AutoExits,
        ("lowbit",): LowBitConfig,
        ("training",): TrainingConfig,
        ("training", "augment"): AugmentConfig,
        ("training", "teacher"): TeacherConfig,
        ("training", "teacher", "input"): InputConfig,
    }
    return sorted(sections[location].model_fields)


def _resolved(config: BuildConfig, folder: Path) -> BuildConfig:
    data, training = config.data, config.training
    if data.name.endswith(".npz"):
        data = data.model_copy(update={"name": str(folder / data.name)})
    if training is not None:
        training = _with_paths(training, folder)
    text = config.text
    if text is not None and (place := folder / text.tokenizer).exists():
        text = text.model_copy(update={"tokenizer": str(place)})
    lowbit = config.lowbit
    if lowbit is not None and lowbit.warm_start is not None:
        lowbit = lowbit.model_copy(update={"warm_start": folder / lowbit.warm_start})
    return config.model_copy(update={"data": data, "text": text, "lowbit": lowbit, "training": training})


def _with_paths(training: TrainingConfig, folder: Path) -> TrainingConfig:
    changed: dict[str, object] = {}
    if training.checkpoint is not None:
        changed["checkpoint"] = folder / training.checkpoint
    if training.dynamics is not None:
        changed["dynamics"] = folder / training.dynamics
    if (teacher := training.teacher) is not None:
        paths = {"cascade": teacher.cascade, "weights": teacher.weights}
        found = {key: folder / path for key, path in paths.items() if path is not None}
        changed["teacher"] = teacher.model_copy(update=found)
    return training.model_copy(update=changed)
