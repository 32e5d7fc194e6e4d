"""Many builds from one config: low-bit segments, bits, exits and loss weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from offramp.errors import ConfigError
from offramp.files import read_toml
from offramp.training.config import BuildConfig, ExitConfig, LowBitConfig, Weights, load_config

__all__ = ["ExploreConfig", "GridBuild", "load_explore_config"]

#: stands for no low-bit part
FULL: Final = 32
_NonEmpty = Field(min_length=1)


class ExploreConfig(BaseModel):
    """``EXPLORE.toml``: a build config, a network, and what to vary.

    Parameters
    ----------
    build : the build config everything else is taken from; with ``[training]``
    network : network file whose tiers declare an energy model
    bits : of weights and activations; 32 is full precision
    segments : how many segments, from the front, are low-bit
    exits : lists of modules behind which exits stand; none: those of the build config
    weights : of the exits' losses; none: those of the build config
    codecs : measured at every cut; ``palette`` sends low-bit hand-overs at their true bits
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    build: Path
    network: Path
    bits: Annotated[tuple[Literal[1, 2, 4, 8, 32], ...], _NonEmpty] = (1, 4, FULL)
    segments: Annotated[tuple[Annotated[int, Field(ge=1)], ...], _NonEmpty] = (1,)
    exits: tuple[Annotated[tuple[str, ...], _NonEmpty], ...] = ()
    weights: tuple[Weights, ...] = ()
    codecs: tuple[str, ...] = ("raw", "palette")

    def builds(self, folder: Path) -> Iterator[GridBuild]:
        """Every build of the grid, each with its checkpoint below ``folder``; impossible ones are left out.

        Raises
        ------
        ConfigError : the build config cannot be read, has no ``[training]``, or lets N exits be placed by themselves
        """
        base = load_config(self.build)
        if base.training is None or not isinstance(base.exits, tuple) or not base.exits:
            raise ConfigError(f"{self.build}: exploring needs [training] and [[exits]] that name their modules")
        places = [tuple(exit_.after for exit_ in base.exits)] if not self.exits else self.exits
        weights: tuple[Weights | None, ...] = self.weights or (None,)
        for (x, after), (w, each), bits in itertools.product(enumerate(places), enumerate(weights), self.bits):
            for segments in self.segments if bits != FULL else (0,):
                if segments > len(after):
                    continue
                kind = "fp32" if bits == FULL else f"{bits}bit-{segments}"
                name = f"{base.name}-{kind}-exits{x}-weights{w}"
                yield GridBuild(name, bits, segments, after, _config(base, name, bits, segments, after, each, folder))


@dataclass(frozen=True)
class GridBuild:
    """One point of the grid."""

    name: str
    bits: int
    segments: int
    exits: tuple[str, ...]
    config: BuildConfig


def load_explore_config(path: str | Path) -> ExploreConfig:
    """Read and check an ``EXPLORE.toml``; relative paths in it start from its folder.

    Raises
    ------
    ConfigError : the file is missing, no TOML, or a key is unknown, missing or wrong
    """
    file = Path(path)
    body = read_toml(file, "config")
    try:
        config = ExploreConfig.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{file}: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error
    found = {"build": file.parent / config.build, "network": file.parent / config.network}
    return config.model_copy(update=found)


def _config(
    base: BuildConfig,
    name: str,
    bits: int,
    segments: int,
    after: tuple[str, ...],
    weights: Weights | None,
    folder: Path,
) -> BuildConfig:
    assert base.training is not None
    assert isinstance(base.exits, tuple)
    training = base.training.model_copy(
        update={"checkpoint": folder / "checkpoints" / name, **({} if weights is None else {"weights": weights})}
    )
    heads = {exit_.after: exit_.head for exit_ in base.exits}
    usual = base.exits[-1].head
    exits = tuple(ExitConfig(after=module, head=heads.get(module, usual), name=module) for module in after)
    update: dict[str, object] = {"name": name, "exits": exits, "training": training, "lowbit": None}
    if bits != FULL:
        given = base.lowbit
        kept = {} if given is None else given.model_dump(include={"recipe", "shortcuts", "warm_start"})
        update["lowbit"] = LowBitConfig.model_validate(
            {"segments": segments, "weight_bits": bits, "activation_bits": bits, "hand_over_bits": bits, **kept}
        )
    return base.model_copy(update=update)
