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
from numpy.typing import NDArray

from offramp.cascade.manifest import DataSpec
from offramp.cascade.store import Cascade, sha256_of_file
from offramp.cascade.text import InputReader
from offramp.data.dataset import Dataset, split_rows
from offramp.data.registry import load_dataset
from offramp.errors import CascadeError, ConfigError
from offramp.training.attach import MultiExit
from offramp.training.auto import propose_exits
from offramp.training.checkpoint import Checkpoint
from offramp.training.config import AutoExits, BuildConfig, DataConfig, TrainingConfig
from offramp.training.distillation import Distillation
from offramp.training.dynamics import TrainingDynamics
from offramp.training.export import VERIFIED_ROWS, Origin, export_cascade
from offramp.training.factory import make_model
from offramp.training.lowbit.apply import apply_low_bit
from offramp.training.recipe import Progress, Recipe, Rows
from offramp.training.recipes import make_recipe
from offramp.training.state import EpochResult
from offramp.training.text.rows import TokenRows
from offramp.training.text.tokenizer import StoredTokenizer, load_tokenizer

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
    training = config.training
    with _threads(1 if training is None else training.threads):
        network = make_network(config, dataset)
        tokenizer = _tokenizer(config)
        rows = _SplitRows.of(config.data, dataset, tokenizer)
        history = () if training is None else _train(config, training, network, rows, resume, progress)
        seed = None if training is None else training.seed
        origin = Origin(config.name, dataset.label_names, rows.data, command, seed, commit)
        some = rows.tune.batch(torch.arange(min(len(rows.tune), VERIFIED_ROWS)))
        cascade, difference = export_cascade(network, some, folder, origin, tokenizer, overwrite=overwrite)
    return BuildReport(cascade, difference, history, time.perf_counter() - begin_s)


def make_network(config: BuildConfig, dataset: Dataset) -> MultiExit:
    """The untrained network of a config, initialised from its seed.

    Raises
    ------
    ConfigError : the model cannot be made, its exits cannot be attached, or it has another number of
        classes than the data
    """
    rows = _rows(dataset, np.arange(2), _tokenizer(config))
    example = rows.batch(torch.arange(2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if config.training is None else config.training.seed)
        model = make_model(config.model.factory, config.model.arguments)
        inputs = None if config.input is None else config.input.module()
        if isinstance(config.exits, AutoExits):
            head = config.exits.head or ("pool-linear" if config.text is None else "mean-linear")
            places = propose_exits(model, example, config.exits.auto, head, inputs)
        else:
            places = tuple(place.placement() for place in config.exits)
        if config.lowbit is not None:
            example_in = example[0] if inputs is None else inputs(example[0])
            apply_low_bit(model, config.lowbit, places, example_in)
        network = MultiExit(model, places, example, inputs, sequences=config.text is not None)
    if network.classes != len(dataset.label_names):
        raise ConfigError(
            f"the model gives {network.classes} logits, but data {dataset.name!r} has "
            f"{len(dataset.label_names)} classes; set it in model.arguments"
        )
    return network


@dataclass(frozen=True)
class _SplitRows:
    """The rows that train, those that tune, and what the manifest says of the split.

    ``index`` (train,) says where the train rows stand in the data.
    """

    train: Rows
    tune: Rows
    index: NDArray[np.intp]
    data: DataSpec

    @classmethod
    def of(cls, config: DataConfig, dataset: Dataset, tokenizer: StoredTokenizer | None) -> _SplitRows:
        """The split that the config asks for."""
        split = split_rows(dataset, config.split_seed, config.tune, config.calibrate, config.test)
        data = DataSpec(
            name=dataset.name,
            sha256=dataset.sha256,
            split_seed=config.split_seed,
            tune=config.tune,
            calibrate=config.calibrate,
            test=config.test,
        )
        index, tune = (np.flatnonzero(split == name) for name in ("train", "tune"))
        return cls(_rows(dataset, index, tokenizer), _rows(dataset, tune, tokenizer), index, data)


def _train(
    config: BuildConfig,
    training: TrainingConfig,
    network: MultiExit,
    rows: _SplitRows,
    resume: bool,
    progress: Progress | None,
) -> tuple[EpochResult, ...]:
    """Train ``network`` in place by the config's recipe."""
    recipe = make_recipe(config, training, rows.train.batch(torch.arange(2)))
    dynamics = None if training.dynamics is None else TrainingDynamics(training.dynamics, rows.train, rows.index)
    return recipe.fit(
        network,
        rows.train,
        rows.tune,
        checkpoint=_checkpoint(config, training.checkpoint, rows.data, recipe),
        resume=resume,
        progress=progress,
        after_epoch=dynamics,
    )


def _tokenizer(config: BuildConfig) -> StoredTokenizer | None:
    return None if config.text is None else load_tokenizer(config.text.tokenizer, config.text.max_length)


def _rows(dataset: Dataset, index: NDArray[np.intp], tokenizer: StoredTokenizer | None) -> Rows:
    labels = torch.from_numpy(dataset.labels[index])
    columns = dataset.rows(index)
    if any(column.dtype == object for column in columns) and tokenizer is None:
        raise ConfigError(f"data {dataset.name!r} is text; add [text] with a tokenizer")
    read = InputReader(None if tokenizer is None else tokenizer.tokenizer)
    first, *sides = (torch.from_numpy(array) for array in read(columns))
    return (Rows if tokenizer is None else TokenRows)(first, labels, tuple(sides))


def _checkpoint(config: BuildConfig, folder: Path | None, data: DataSpec, recipe: Recipe) -> Checkpoint | None:
    """Keyed by all that shapes the weights, so that no run goes on from another's state.

    Settings left at their default are not part of the key: it outlives settings added later.
    """
    if folder is None:
        return None
    settings = config.model_dump(
        mode="json",
        exclude={
            "name": True,
            "data": True,
            "lowbit": {"warm_start"},
            "training": {"threads", "checkpoint", "dynamics", "teacher"},
        },
        exclude_defaults=True,
    )
    body: list[object] = [settings, data.model_dump()]
    if isinstance(recipe, Distillation):
        body.append(recipe.teacher.identity)
    if config.lowbit is not None and config.lowbit.warm_start is not None:
        body.append(sha256_of_file(config.lowbit.warm_start))
    return Checkpoint(folder, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
