"""Beginning from the weights of a trained network of full precision."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from offramp.errors import ConfigError

__all__ = ["load_warm_start", "weights_of_checkpoint"]

_SEGMENT = re.compile(r"segments\.[0-9]+\.")


def weights_of_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict of the network in a checkpoint of ``offramp build``, or of a plain ``torch.save``.

    Of a checkpoint it is the best epoch's where that was kept, else the last one's, without the heads of the exits
    and whatever the segments were. Read without running code from the file.

    Raises
    ------
    ConfigError : no such file, or nothing of that kind
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; lowbit.warm_start is a checkpoint of a trained network") from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ConfigError(
            f"{path}: damaged, or no checkpoint; lowbit.warm_start is one of a trained network"
        ) from error
    if isinstance(state, dict) and "network" in state:
        state = state.get("best") or state["network"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"{path}: holds no weights; lowbit.warm_start is a checkpoint of a trained network")
    return {_SEGMENT.sub("", name, count=1): value for name, value in state.items() if not name.startswith("heads.")}


def load_warm_start(module: nn.Module, path: Path) -> None:
    """Give ``module``, not yet low-bit, the weights in a file.

    Raises
    ------
    ConfigError : as `weights_of_checkpoint`, or the weights are of another network
    """
    found, wanted = weights_of_checkpoint(path), module.state_dict()
    for name, value in wanted.items():
        if name not in found:
            raise ConfigError(f"{path}: has no {name!r}; it is a checkpoint of another network")
        if found[name].shape != value.shape:
            raise ConfigError(
                f"{path}: {name!r} has shape {tuple(found[name].shape)}, the network's {tuple(value.shape)}; "
                "it is a checkpoint of another network"
            )
    module.load_state_dict({name: found[name] for name in wanted})
