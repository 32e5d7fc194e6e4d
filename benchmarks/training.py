"""Samples per second of our training loop against a bare torch loop of the same network.

ResNet-8 with three exits on made-up 32 x 32 images, one thread, bf16 autocast, channels_last, SGD. The
two take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.augment import Augment
from offramp.training.inputs import ImageInput
from offramp.training.joint import JointTraining
from offramp.training.recipe import Rows, set_memory_format
from offramp.training.zoo.resnet import CifarResNet

__all__ = ["run"]

BATCH = 128


def run(quick: bool) -> list[dict[str, Any]]:
    """Samples/s of the bare loop (baseline) and of ours, and ours / baseline.

    Parameters
    ----------
    quick : few steps and turns
    """
    steps, turns = (2, 2) if quick else (16, 9)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (steps * BATCH, 32, 32, 3), generator=generator, dtype=torch.uint8)
    rows = Rows(images, torch.randint(0, 10, (len(images),), generator=generator))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        jobs = [_bare(rows), _ours(rows, Augment()), _ours(rows, Augment(crop=4, flip=True, cutout=8))]
        bare_s, plain_s, augmented_s = _take_turns(jobs, turns)
    finally:
        torch.set_num_threads(before)
    return [
        _row("training loop", bare_s, plain_s, len(rows), turns, "aim: at least 0.95"),
        _row("with augmentation", bare_s, augmented_s, len(rows), turns, "ours also crops, flips and cuts out"),
    ]


def _row(
    name: str, bare_s: Sequence[float], ours_s: Sequence[float], samples: int, turns: int, notes: str
) -> dict[str, Any]:
    return {
        "name": name,
        "baseline": samples / float(np.median(bare_s)),
        "ours": samples / float(np.median(ours_s)),
        "ratio": float(np.median(np.divide(bare_s, ours_s))),
        "unit": "samples/s",
        "how": f"measured: medians of {turns} turns of {samples} samples, the ratio of every turn taken apart",
        "notes": f"baseline: forward, losses, backward, step and nothing else; {notes}",
    }


def _network() -> MultiExit:
    torch.manual_seed(0)
    places = [ExitPlacement("stack1", "conv-pool-linear"), ExitPlacement("stack2", "conv-pool-linear")]
    example = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    network = MultiExit(CifarResNet(8), places, example, ImageInput((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)))
    set_memory_format(network, torch.channels_last)
    return network


def _bare(rows: Rows) -> Callable[[], None]:
    network = _network().train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def epoch() -> None:
        for images, labels in zip(torch.split(rows.inputs, BATCH), torch.split(rows.labels, BATCH), strict=True):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = network(images)
            loss = torch.stack([cross_entropy(each.float(), labels) for each in logits]).mean()
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()

    return epoch


def _ours(rows: Rows, augment: Augment) -> Callable[[], None]:
    network = _network()
    recipe = JointTraining(1, BATCH, 1e-3, optimizer="sgd", autocast="bfloat16", augment=augment)
    nothing = Rows(rows.inputs[:0], rows.labels[:0])

    def epoch() -> None:
        recipe.fit(network, rows, nothing, progress=lambda *_: None)

    return epoch


def _take_turns(jobs: Sequence[Callable[[], None]], turns: int) -> list[list[float]]:
    """Seconds of every job in every turn, after one turn to warm up."""
    seconds: list[list[float]] = [[] for _ in jobs]
    for turn in range(turns + 1):
        for spent, job in zip(seconds, jobs, strict=True):
            begin_s = time.perf_counter()
            job()
            if turn:
                spent.append(time.perf_counter() - begin_s)
    return seconds
