"""Shares, energy and accuracy of low-bit edges, with what the radio adds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.counting import exits_taken
from offramp.profiles.energy import EnergyModel, energy_model
from studies.hybrid.cases import CASES, EXAMPLES, Case, CaseSpec, load_case
from studies.hybrid.rules import RULES, at_share, certified_exits, score_of
from studies.row import StudyRow

__all__ = ["TRAININGS", "study"]

#: twins of full precision before the hybrids that begin from their weights
TRAININGS = (*dict.fromkeys(spec.twin for spec in CASES), *(spec.name for spec in CASES))

#: above the published share, so that the test rows reach it too
_ROOM = 0.02
#: an image as the data has it
_IMAGE_BYTES = 3072.0
_POINTS_OF_LOSS = {"published": 2.0, "aim": 1.0}


def study(folder: Path = EXAMPLES, specs: tuple[CaseSpec, ...] = CASES) -> Iterator[StudyRow]:
    """Every row of the study; cases without records are counted as left out.

    Raises
    ------
    RecordMismatch : records of another build, or of other rows than their twin's
    """
    models = [energy_model("horowitz-45nm"), energy_model(Path(__file__).with_name("jouppi-7nm.toml"))]
    loaded = [load_case(spec, folder) for spec in specs]
    found = [case for case in loaded if case is not None]
    for case in found:
        yield from _network(case)
        for rule in RULES:
            yield from _at_shares(case, rule, models)
            yield from _at_ratio(case, rule, models[0])
        yield from _certified(case, models[0])
        yield from _radio(case, models[0])
    yield from _seeds(found)
    missing = [spec.name for spec, case in zip(specs, loaded, strict=True) if case is None]
    if missing:
        yield StudyRow("cases left out", None, len(missing), "cases", f"no records yet: {', '.join(missing)}")


def _network(case: Case) -> Iterator[StudyRow]:
    name, rows = case.spec.name, len(case.records.on("test"))
    accuracy = case.records.on("test").correct.mean(1)
    how = f"recorded, {rows:,} test rows"
    yield StudyRow(f"{name}: full precision ({case.spec.twin})", None, 100 * case.twin_accuracy, "%", how)
    for exit_name, value in zip(case.records.exit_names, accuracy.tolist(), strict=True):
        yield StudyRow(f"{name}: exit {exit_name}, all rows", None, 100 * value, "%", how)
    edge = [segment for segment in case.manifest.segments if segment.low_bit is not None]
    stored, full = sum(s.file_bytes for s in edge), sum(4 * s.low_bit.weights for s in edge if s.low_bit)
    packed = sum(s.low_bit.weights * s.low_bit.weight_bits / 8 for s in edge if s.low_bit)
    how = f"counted; the packed weights are {packed / 1e3:.1f} kB, in fp32 they would be {full / 1e3:.1f} kB"
    yield StudyRow(f"{name}: files of the edge", None, stored / 1e3, "kB", how)


def _at_shares(case: Case, rule: str, models: list[EnergyModel]) -> Iterator[StudyRow]:
    spec = case.spec
    tune, test = score_of(rule, case, "tune"), score_of(rule, case, "test").astype(np.float32)
    for goal, share, ratio in (
        ("published", spec.share, spec.ratio),
        ("aim", spec.share_aim, spec.ratio_aim),
    ):
        threshold = at_share(tune, share + _ROOM)
        taken = exits_taken(test, np.full(len(test), threshold))
        where = f"{spec.name}, {rule} at {100 * share:.0f} %"
        how = f"replayed on {len(taken):,} test rows; one threshold for all exits, chosen on the tune rows"
        ours = _share(taken, case)
        known = goal == "published" and spec.published
        target = 100 * share if known else None
        yield StudyRow(f"{where}: end at the edge", target, 100 * ours, "%", how, ours >= share)
        for model in models:
            published = ratio if known and model is models[0] else None
            less = _ratio(case, model, taken)
            words = f"modelled ({model.name}): compute of edge and cloud alone, as published; {goal} {ratio:g}"
            yield StudyRow(f"{where}: less energy, {model.name}", published, less, "x", words, less >= ratio)
        lost = 100 * (case.twin_accuracy - _accuracy(case, taken))
        most = _POINTS_OF_LOSS[goal]
        words = f"{how}; against the network of full precision; {goal}: at most {most:g}"
        yield StudyRow(f"{where}: accuracy lost", None, lost, "points", words, lost <= most)


def _at_ratio(case: Case, rule: str, model: EnergyModel) -> Iterator[StudyRow]:
    """All three published figures at once: the smallest share above the published one that saves as much energy."""
    spec = case.spec
    tune, test = score_of(rule, case, "tune"), score_of(rule, case, "test").astype(np.float32)
    wanted = spec.ratio * (1.0 + _ROOM)
    for share in np.arange(spec.share + _ROOM, 1.0, 0.01):
        threshold = at_share(tune, float(share))
        if _ratio(case, model, exits_taken(tune.astype(np.float32), np.full(len(tune), threshold))) >= wanted:
            break
    taken = exits_taken(test, np.full(len(test), threshold))
    where = f"{spec.name}, {rule} at {spec.ratio:g}x"
    how = (
        f"replayed on {len(taken):,} test rows; one threshold for all exits, by which {100 * share:.0f} % of the tune "
        f"rows leave: the smallest share from the published one on that saves {spec.ratio:g}x of compute ({model.name})"
    )
    ours, less = _share(taken, case), _ratio(case, model, taken)
    lost = 100 * (case.twin_accuracy - _accuracy(case, taken))
    yield StudyRow(f"{where}: end at the edge", 100 * spec.share, 100 * ours, "%", how, ours >= spec.share)
    yield StudyRow(f"{where}: less energy", spec.ratio, less, "x", how, less >= spec.ratio)
    most = _POINTS_OF_LOSS["published"]
    yield StudyRow(f"{where}: accuracy lost", None, lost, "points", f"{how}; at most {most:g}", lost <= most)


def _certified(case: Case, model: EnergyModel) -> Iterator[StudyRow]:
    for loss in (0.01, 0.02):
        taken = certified_exits(case, loss, 0.05, case.compute_energy_j(model))
        where = f"{case.spec.name}, certified loss of {100 * loss:g} points"
        if taken is None:
            continue
        own = float(case.records.on("test").correct[-1].mean())
        how = (
            "replayed on the test rows; thresholds certified on the calibrate rows against the hybrid's own last exit, "
            "delta 5 %"
        )
        yield StudyRow(f"{where}: end at the edge", None, 100 * _share(taken, case), "%", how)
        yield StudyRow(f"{where}: less energy", None, _ratio(case, model, taken), "x", f"modelled ({model.name})")
        lost = 100 * (own - _accuracy(case, taken))
        yield StudyRow(f"{where}: accuracy lost", None, lost, "points", how, lost <= 100 * loss)


def _radio(case: Case, model: EnergyModel) -> Iterator[StudyRow]:
    """Edge, radio and cloud at the published share, against sending every image."""
    rule = "calibrated confidence"
    threshold = at_share(score_of(rule, case, "tune"), case.spec.share + _ROOM)
    test = score_of(rule, case, "test").astype(np.float32)
    taken = exits_taken(test, np.full(len(test), threshold))
    onward = 1.0 - _share(taken, case)
    compute = float(case.compute_energy_j(model)[taken].mean())
    for radio in ("wifi", "lte"):
        cloud = model.sent_energy_j(_IMAGE_BYTES, radio=radio) + case.twin_energy_j(model)
        how = f"modelled ({model.name}, {radio}): the radio of the device, bytes alone, and compute of all tiers"
        yield StudyRow(f"{case.spec.name}, {radio}: every image to the cloud", None, 1e3 * cloud, "mJ", how)
        for form, size in case.payload_bytes().items():
            joules = compute + onward * model.sent_energy_j(size, radio=radio)
            words = (
                f"{how}; {100 * onward:.0f} % of the rows hand over {size:,.0f} bytes; compute {1e3 * compute:.3g} mJ"
            )
            yield StudyRow(
                f"{case.spec.name}, {radio}: hybrid, {form}", None, 1e3 * joules, "mJ", words, joules < cloud
            )
    with_memory = float(case.compute_energy_j(model, memory=True)[taken].mean())
    how = f"modelled ({model.name}): as above, and every segment's file read from memory once a row"
    yield StudyRow(f"{case.spec.name}: compute and memory", None, 1e3 * with_memory, "mJ", how)


def _seeds(cases: list[Case]) -> Iterator[StudyRow]:
    """How far the seeds of a hybrid lie apart."""
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(case.spec.name.partition("-seed")[0], []).append(case)
    for name, members in families.items():
        if len(members) > 1:
            finals = [100 * float(case.records.on("test").correct[-1].mean()) for case in members]
            how = f"recorded, {len(members)} seeds: " + ", ".join(f"{value:.2f} %" for value in finals)
            yield StudyRow(f"{name}: spread over seeds, last exit", None, max(finals) - min(finals), "points", how)


def _share(taken: NDArray[np.intp], case: Case) -> float:
    return float((taken < case.records.exits - 1).mean())


def _accuracy(case: Case, taken: NDArray[np.intp]) -> float:
    right = case.records.on("test").correct
    return float(right[taken, np.arange(len(taken))].mean())


def _ratio(case: Case, model: EnergyModel, taken: NDArray[np.intp]) -> float:
    return case.twin_energy_j(model) / float(case.compute_energy_j(model)[taken].mean())
