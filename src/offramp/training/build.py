"""From a config to a cascade: model, exits, training, export, verification."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from offramp.cascade.manifest import DataSpec
from offramp.cascade.store import Cascade
from offramp.data.dataset import Dataset, split_rows
from offramp.data.registry import load_dataset
from offramp.errors import CascadeError, ConfigError
from offramp.training.attach import MultiExit
from offramp.training.auto import propose_exits
from offramp.training.checkpoint import Checkpoint
from offramp.training.config import AutoExits, BuildConfig
from offramp.training.distillation import Distillation
from offramp.training.export import Origin, export_cascade
from offramp.training.factory import make_model
from offramp.training.recipe import Progress, Recipe, Rows
from offramp.training.recipes import make_recipe
from offramp.training.state import EpochResult

__all__ = ["BuildReport", "build", "make_network"]


@dataclass(frozen=True)
class BuildReport:
    """What a build came to.

    ``max_difference`` is the largest difference of any logit between the chained ONNX segments and
    the torch model on real rows; ``history`` has one result per epoch.
    """

    cascade: Cascade
    max_difference: float
    history: tuple[EpochResult, ...]
    seconds: float


def build(
    config: BuildConfig,
    output: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    command: str = "",
    commit: str | None = None,
) -> BuildReport:
    """Attach exits, train by the config's recipe, export one ONNX file per segment, verify, save.

    Only the train rows of the split are trained on. The folder appears at the end, complete and
    verified, or not at all.

    Parameters
    ----------
    config : see `offramp.training.config.load_config`
    output : folder to make, by custom ``NAME.cascade``
    overwrite : replace a cascade that is already there
    resume : go on from ``training.checkpoint`` if it holds a state
    progress : called after every step
    command, commit : for the cascade's provenance

    Raises
    ------
    CascadeError : ``output`` exists and ``overwrite`` is off
    ConfigError : the config does not fit the data or the model
    TrainingError : training diverged, or the export differs from the model by more than 1e-4
    """
    begin_s = time.perf_counter()
    folder = Path(output)
    if folder.exists() and not overwrite:
        raise CascadeError(f"{folder}: already exists; choose another name or pass --overwrite")
    dataset = load_dataset(config.data.name)
    settings = config.data
    split = split_rows(dataset, settings.split_seed, settings.tune, settings.calibrate, settings.test)
    data = DataSpec(
        name=dataset.name,
        sha256=dataset.sha256,
        split_seed=settings.split_seed,
        tune=settings.tune,
        calibrate=settings.calibrate,
        test=settings.test,
    )
    training = config.training
    with _threads(1 if training is None else training.threads):
        network = make_network(config, dataset)
        train, tune = (_rows(dataset, np.flatnonzero(split == name)) for name in ("train", "tune"))
        history: tuple[EpochResult, ...] = ()
        if training is not None:
            recipe = make_recipe(config, training, train.inputs[:2])
            checkpoint = _checkpoint(config, training.checkpoint, data, recipe)
            history = recipe.fit(network, train, tune, checkpoint=checkpoint, resume=resume, progress=progress)
        seed = None if training is None else training.seed
        origin = Origin(config.name, dataset.label_names, data, command, seed, commit)
        cascade, difference = export_cascade(network, tune.inputs, folder, origin, overwrite=overwrite)
    return BuildReport(cascade, difference, history, time.perf_counter() - begin_s)


def make_network(config: BuildConfig, dataset: Dataset) -> MultiExit:
    """The untrained network of a config, initialised from its seed.

    Raises
    ------
    ConfigError : the model cannot be made, its exits cannot be attached, or it has another number of
        classes than the data
    """
    if len(dataset.inputs) != 1:
        raise ConfigError(f"data {dataset.name!r} has {len(dataset.inputs)} inputs a row; training takes one")
    example = torch.from_numpy(dataset.inputs[0][:2])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if config.training is None else config.training.seed)
        model = make_model(config.model.factory, config.model.arguments)
        inputs = None if config.input is None else config.input.module()
        if isinstance(config.exits, AutoExits):
            places = propose_exits(model, example, config.exits.auto, config.exits.head, inputs)
        else:
            places = tuple(place.placement() for place in config.exits)
        network = MultiExit(model, places, example, inputs)
    if network.classes != len(dataset.label_names):
        raise ConfigError(
            f"the model gives {network.classes} logits, but data {dataset.name!r} has "
            f"{len(dataset.label_names)} classes; set it in model.arguments"
        )
    return network


def _rows(dataset: Dataset, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Rows:
    return Rows(torch.from_numpy(dataset.inputs[0][index]), torch.from_numpy(dataset.labels[index]))


def _checkpoint(config: BuildConfig, folder: Path | None, data: DataSpec, recipe: Recipe) -> Checkpoint | None:
    """Keyed by all that shapes the weights, so that no run goes on from another's state.

    Settings left at their default are not part of the key: it outlives settings added later.
    """
    if folder is None:
        return None
    left_out = {"threads": True, "checkpoint": True, "teacher": True}
    exclude = {"name": True, "data": True, "training": left_out}
    body: list[object] = [config.model_dump(mode="json", exclude=exclude, exclude_defaults=True), data.model_dump()]
    if isinstance(recipe, Distillation):
        body.append(recipe.teacher.identity)
    return Checkpoint(folder, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
