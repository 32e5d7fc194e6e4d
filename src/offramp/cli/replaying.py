"""What ``offramp replay`` makes of its options: the samples, what they cost, and what a policy is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from offramp.cli.common import GateKind, fit_kind, records_file
from offramp.errors import ConfigError, NotEnoughSamples

if TYPE_CHECKING:
    from offramp.cascade.manifest import Manifest
    from offramp.policies.base import Policy
    from offramp.policies.costs import Costs, Late
    from offramp.policies.setting import Setting
    from offramp.policies.shuffled import Telling
    from offramp.policies.stream import Stream
    from offramp.records.records import Records

__all__ = ["Case", "FeedbackName", "Prices", "Samples", "prepare", "telling_of"]

FeedbackName = Literal["nothing", "answers", "audits", "truth"]


@dataclass(frozen=True)
class Samples:
    """Which rows of which records, as which policy sees them; as the options of the command say."""

    cascade: Path
    records: Path | None
    split: str
    exit_index: int | None
    plan: Path | None
    gate: GateKind | None
    published: bool


@dataclass(frozen=True)
class Prices:
    """What paths cost; as the options of the command say."""

    price: float | None
    network: Path | None
    mistake_s: float | None
    layer_costs: str | None
    mistake_costs: tuple[float, float]
    budget: float | None
    latency_s: str | None
    deadline_s: float | None
    late_price: float | None


@dataclass(frozen=True)
class Case:
    """What is replayed. ``sees`` names what the policy sees at an exit."""

    name: str
    stream: Stream
    setting: Setting
    costs: Costs
    sees: GateKind


def prepare(kind: type[Policy], samples: Samples, prices: Prices) -> Case:
    """The samples, what a policy of this kind starts from, and what its paths cost.

    Raises
    ------
    OfframpError : files that are not there or do not fit, options that do not go together
    """
    from offramp.cascade.store import open_cascade
    from offramp.policies.costs import Costs
    from offramp.records.records import load_records

    manifest = open_cascade(samples.cascade).manifest
    evidence = load_records(records_file(samples.cascade, samples.records))
    evidence.require(manifest.fingerprint)
    sees: GateKind = samples.gate or getattr(kind, "reads", None) or "max_probability"
    paid = _price(prices, manifest, samples.exit_index or 0)
    stream, setting = _problem(evidence, manifest, samples, sees, paid)
    layers = _per_exit("--layer-costs", prices.layer_costs, evidence.exits, samples.exit_index)
    latency_s = _per_exit("--latency-s", prices.latency_s, evidence.exits, samples.exit_index)
    setting = replace(setting, layer_costs=layers, budget=prices.budget, mistake_costs=prices.mistake_costs)
    late = _late(latency_s, prices.deadline_s, prices.late_price)
    return Case(manifest.name, stream, setting, Costs.of_setting(setting, late=late), sees)


def telling_of(
    kind: type[Policy], feedback: FeedbackName, audit_share: float, label_share: float, delay: int
) -> Telling:
    """What the policy hears.

    Raises
    ------
    ConfigError : shares or a delay that cannot be, or labels of audits for a policy that hears no audits
    """
    from offramp.policies.base import FeedbackKind
    from offramp.policies.shuffled import Telling

    if label_share and kind.feedback is not FeedbackKind.AUDITS:
        raise ConfigError(
            f"policy {kind.name!r} hears no audits, so there are none to label; leave --label-share out, or take a "
            "policy that does, such as guarded-gain"
        )
    return Telling(FeedbackKind[feedback.upper()], audit_share, delay, label_share)


def _per_exit(option: str, text: str | None, exits: int, exit_index: int | None) -> tuple[float, ...]:
    """Numbers with commas between, one for each exit; with one early exit alone, those of that one and of the last."""
    if text is None:
        return ()
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        rule = "takes one number per exit with commas between, such as 0.1,0.3"
        raise ConfigError(f"{option} {rule}; not {text!r}") from error
    if len(numbers) != exits:
        raise ConfigError(f"{option}: {len(numbers)} numbers for the {exits} exits of the cascade; give one per exit")
    return numbers if exit_index is None else (numbers[exit_index], numbers[-1])


def _late(latency_s: tuple[float, ...], deadline_s: float | None, price: float | None) -> Late | None:
    """When an answer is late, where that is asked."""
    import numpy as np

    from offramp.policies.costs import Late

    if bool(latency_s) != (deadline_s is not None) or (price is not None and deadline_s is None):
        raise ConfigError(
            "say when an answer is late: --latency-s and --deadline-s together, --late-price only with them"
        )
    return None if deadline_s is None else Late(np.array(latency_s), deadline_s, price)


def _price(prices: Prices, manifest: Manifest, exit_index: int) -> float:
    """The one given, or what the tensors behind an exit cost on the first link."""
    from offramp.links.network import load_network
    from offramp.policies.pricing import MistakeWorth, prices_over

    network = prices.network
    if (prices.price is None) == (network is None) or (network is None) != (prices.mistake_s is None):
        raise ConfigError("say what going on costs: --price, or --network together with --mistake-s")
    if prices.price is not None:
        return prices.price
    assert network is not None
    links = load_network(network).links
    if not links:
        raise ConfigError(f"{network.name}: the network has no link that a price could come from; give --price")
    payload = _payload_bytes(manifest, exit_index)
    return float(prices_over(links[0], [payload], MistakeWorth(latency_s=prices.mistake_s))[0])


def _payload_bytes(manifest: Manifest, exit_index: int) -> int:
    """Of the tensors that go on from an early exit."""
    from offramp.cascade.cuts import row_bytes

    early = len(manifest.exit_segments) - 1
    if not 0 <= exit_index < early:
        raise ConfigError(f"there is no early exit {exit_index}; {manifest.name!r} has {early}")
    payload = row_bytes(manifest.tensors_at(manifest.exit_segments[exit_index] + 1))
    if payload is None:
        raise ConfigError("the tensors that go on have no fixed size, so their bytes are not known; give --price")
    return payload


def _problem(
    evidence: Records, manifest: Manifest, samples: Samples, sees: GateKind, price: float
) -> tuple[Stream, Setting]:
    """The samples, and what the policy starts from."""
    from offramp.planning.plan import load_plan
    from offramp.policies.setting import Setting
    from offramp.policies.stream import stream_of
    from offramp.policies.two_stage import two_stage
    from offramp.records.fit_gates import choosing_rows

    if samples.split == "tune":
        raise ConfigError("the tune rows are what the policy begins from; replay calibrate or test rows")
    degrees = manifest.calibration.temperatures
    thresholds: tuple[float | None, ...] = (None,) * (evidence.exits - 1)
    if samples.plan is None:
        gates = fit_kind(sees, evidence, degrees)
    else:
        followed = load_plan(samples.plan)
        followed.require(manifest.fingerprint)
        degrees, thresholds, gates = followed.temperatures, followed.thresholds, followed.scores or None
    stream = stream_of(evidence.on(samples.split), temperatures=degrees, gates=gates)
    try:
        tune = stream_of(choosing_rows(evidence, gates), temperatures=degrees, gates=gates)
    except NotEnoughSamples:  # a policy that needs them says so
        tune = None
    if samples.exit_index is not None:
        at = samples.exit_index
        stream, tune = two_stage(stream, at), None if tune is None else two_stage(tune, at)
        thresholds = thresholds[at : at + 1]
    if tune is not None and samples.published:
        tune = tune.published()
    rows = None if tune is None else tune.labelled
    return stream, Setting(thresholds, price, horizon=len(stream), classes=evidence.classes, rows=rows)
