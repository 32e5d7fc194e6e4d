"""A declared model of energy: joules for computing, sending and waiting, every constant with its source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from offramp.errors import ConfigError, RecordMismatch
from offramp.files import first_fault, read_model, read_toml
from offramp.profiles.profile import SegmentCost

__all__ = ["EnergyModel", "energy_model", "energy_model_names"]

_FOLDER = Path(__file__).with_name("energy_models")

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EnergyModel(BaseModel):
    """Joules of a tier, from constants that somebody else measured or declared: always modelled, never measured.

    ``compute`` says where the energy of a segment comes from: ``operations``, its multiply-accumulates
    (``j_per_mac`` by precision) and its weights, each read from memory once in a run (``j_per_byte``), or ``time``,
    ``busy_w`` as long as it runs. Neither counts feature maps read and written. ``busy_w`` and ``idle_w`` are of the
    same thing (a board, a chip), so that a second of work adds ``busy_w - idle_w`` to one of waiting.
    Sending costs ``radio_j_per_byte``, and ``radio_w`` as long as it takes; ``radio`` names the one in use.
    ``sources`` tells for every constant, by name, where it is from.

    Raises
    ------
    ValueError : a constant is negative or NaN or has no source, or one that ``compute`` needs is missing

    Examples
    --------
    >>> model = energy_model("horowitz-45nm")
    >>> cost = SegmentCost(segment=0, median_s=1e-3, mean_s=1e-3, p95_s=1e-3, repeats=15, macs=10**6, model_bytes=4000)
    >>> f"{model.segment_energy_j(cost):.3g} J modelled, {model.sent_energy_j(3072):.3g} J to send an image"
    '5.24e-06 J modelled, 0.00697 J to send an image'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1)]
    compute: Literal["operations", "time"]
    j_per_mac: dict[str, Amount] = {}
    j_per_byte: Amount = 0.0
    busy_w: Amount = 0.0
    idle_w: Amount = 0.0
    radio: str | None = None
    radio_j_per_byte: dict[str, Amount] = {}
    radio_w: dict[str, Amount] = {}
    sources: dict[str, Annotated[str, Field(min_length=1)]]

    @model_validator(mode="after")
    def _complete(self) -> EnergyModel:
        constants = dict(self._constants())
        if missing := next((name for name in constants if name not in self.sources), None):
            raise ValueError(f"{missing} has no source; say under sources where it is from")
        if surplus := next((name for name in self.sources if name not in constants), None):
            raise ValueError(f"sources names {surplus!r}, but there is no such constant")
        if self.compute == "operations" and not self.j_per_mac:
            raise ValueError("compute = 'operations' needs j_per_mac")
        if self.compute == "time" and self.busy_w < self.idle_w:
            raise ValueError(f"busy_w {self.busy_w} is less than idle_w {self.idle_w}")
        if self.compute == "time" and not self.busy_w:
            raise ValueError("compute = 'time' needs busy_w")
        if self.radio is not None and self.radio not in self.radio_j_per_byte:
            raise ValueError(f"radio {self.radio!r} has no radio_j_per_byte")
        return self

    def _constants(self) -> Iterator[tuple[str, float]]:
        """Name and value of every constant that is declared: a zero that stands for 'none' needs no source."""
        for field in ("j_per_mac", "radio_j_per_byte", "radio_w"):
            yield from ((f"{field}.{key}", value) for key, value in getattr(self, field).items())
        yield from ((name, value) for name in ("j_per_byte", "busy_w", "idle_w") if (value := getattr(self, name)))

    def segment_energy_j(self, cost: SegmentCost) -> float:
        """Joules of one run of a segment, for all the rows of its batch.

        Parameters
        ----------
        cost : of a profile; ``median_s`` is read where ``compute`` is ``time``, else ``macs`` and ``model_bytes``

        Raises
        ------
        RecordMismatch : the cost does not say its macs, or the model has no figure for its precision
        """
        if self.compute == "time":
            return self.busy_w * cost.median_s
        if cost.macs is None or cost.model_bytes is None:
            raise RecordMismatch(
                f"energy model {self.name!r} counts operations, but segment {cost.segment} of the profile does not "
                "say its macs and model_bytes; run 'offramp profile' again, or use a model that goes by time"
            )
        low = cost.low_bit_macs if cost.precision == "fp32" else 0
        joules = self._mac_energy_j(cost.precision) * (cost.macs - low)
        if low:
            joules += self._mac_energy_j(f"{cost.bits}bit") * low
        return joules * cost.batch + self.j_per_byte * cost.model_bytes

    def _mac_energy_j(self, precision: str) -> float:
        if precision not in self.j_per_mac:
            raise RecordMismatch(
                f"energy model {self.name!r} has no j_per_mac for {precision}; it knows {', '.join(self.j_per_mac)}"
            )
        return self.j_per_mac[precision]

    def sent_energy_j(self, payload_bytes: float, transfer_s: float = 0.0, radio: str | None = None) -> float:
        """Joules the sender spends on a transfer.

        Parameters
        ----------
        payload_bytes : sent
        transfer_s : seconds it takes, for ``radio_w``; 0 counts the bytes alone
        radio : default the model's own; 0 J where it has none

        Raises
        ------
        ConfigError : the model does not know that radio
        """
        name = radio or self.radio
        if name is None:
            return 0.0
        if name not in self.radio_j_per_byte:
            known = ", ".join(self.radio_j_per_byte) or "none"
            raise ConfigError(f"energy model {self.name!r} has no radio {name!r}; it knows {known}")
        return self.radio_j_per_byte[name] * payload_bytes + self.radio_w.get(name, 0.0) * transfer_s

    def to_json(self) -> str:
        """The text of a model file."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def energy_model_names() -> tuple[str, ...]:
    """Names of the built-in models."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def energy_model(name_or_path: str | Path) -> EnergyModel:
    """A built-in model by its name, or one read from a TOML or JSON file.

    Raises
    ------
    ConfigError : no such model or file, or one that breaks a rule of `EnergyModel`

    Examples
    --------
    >>> energy_model_names()
    ('horowitz-45nm', 'raspberry-pi-3b')
    >>> energy_model("raspberry-pi-3b").idle_w
    1.4
    """
    text = str(name_or_path)
    if text in energy_model_names():
        return _read(_FOLDER / f"{text}.toml")
    file = Path(name_or_path)
    if file.suffix in (".toml", ".json"):
        return _read(file)
    names = energy_model_names()
    near = get_close_matches(text, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(
        f"unknown energy model {text!r}; {hint}built in are {', '.join(names)}, or give a .toml or .json file"
    )


def _read(file: Path) -> EnergyModel:
    what, again = "energy model", "correct the file"
    if file.suffix == ".json":
        return read_model(EnergyModel, file, missing=f"cannot read the {what}", again=again)
    body = read_toml(file, what)
    try:
        return EnergyModel.model_validate(body)
    except ValidationError as error:
        raise ConfigError(f"{file}: {first_fault(error)}; {again}") from error
