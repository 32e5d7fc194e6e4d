"""Making a user's model from ``module:function``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from offramp.errors import ConfigError

__all__ = ["make_model"]


def make_model(factory: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Import ``module:function`` and call it; modules in the current folder are found too.

    Raises
    ------
    ConfigError : no such module or function, it refuses the arguments, or returns no ``nn.Module``

    Examples
    --------
    >>> type(make_model("torch.nn:Linear", {"in_features": 4, "out_features": 2})).__name__
    'Linear'
    """
    module_name, _, function = factory.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"model.factory {factory!r}: cannot import {module_name!r} ({error})") from error
    finally:
        sys.path.remove(here)
    make = getattr(module, function, None)
    if make is None:
        near = get_close_matches(function, vars(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"model.factory {factory!r}: {module_name} has no {function!r}{hint}")
    try:
        model = make(**arguments)
    except TypeError as error:
        raise ConfigError(f"model.factory {factory!r}: does not take the arguments given ({error})") from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model.factory {factory!r}: returned a {type(model).__name__}, not a torch nn.Module")
    return model
