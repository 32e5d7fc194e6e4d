"""Reading files that hold settings or one value object, with one clear sentence where they cannot be read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from offramp.errors import ConfigError

__all__ = ["first_fault", "read_model", "read_toml"]

_Model = TypeVar("_Model", bound=BaseModel)


def read_model(kind: type[_Model], path: str | Path, *, missing: str, again: str) -> _Model:
    """The value object a JSON file holds.

    Parameters
    ----------
    kind : of what the file holds
    path : of the file
    missing : what is said where there is no such file, and how it is made
    again : what to do about a file that breaks a rule of ``kind``

    Raises
    ------
    ConfigError : the file cannot be read, is no JSON, or breaks a rule of ``kind``
    """
    file = Path(path)
    try:
        return kind.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file}: {missing}") from error
    except ValidationError as error:
        raise ConfigError(f"{file}: {first_fault(error)}; {again}") from error


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Parameters
    ----------
    path : of the file
    what : the file is, for the sentence

    Raises
    ------
    ConfigError : the file cannot be read, or is no TOML
    """
    file = Path(path)
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file}: cannot read the {what} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def first_fault(error: ValidationError, top: str = "file") -> str:
    """Where the first rule is broken, and which: ``place: message``.

    Parameters
    ----------
    error : what pydantic found
    top : the place of a rule about the whole

    Examples
    --------
    >>> class Batch(BaseModel):
    ...     rows: int
    >>> try:
    ...     Batch.model_validate({"rows": "many"})
    ... except ValidationError as error:
    ...     print(first_fault(error))
    rows: Input should be a valid integer, unable to parse string as an integer
    """
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or top
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"
