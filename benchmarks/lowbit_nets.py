"""Edge parts of one network in several precisions."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from offramp.cascade.quantise import quantise
from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade
from offramp.training.attach import ExitPlacement, MultiExit
from offramp.training.export import Origin, export_cascade
from offramp.training.heads import GlobalAverage
from offramp.training.inputs import ImageInput
from offramp.training.lowbit.convert import make_low_bit
from offramp.training.lowbit.spec import LowBit
from offramp.training.zoo.resnet import CifarResNet

__all__ = ["conv_cascade", "edge_part", "random_images"]

PARTS = ["stem", "stack1", "stack2", "stack3.0"]
#: by the low-bit recipe: 0 is full precision
NAMES = {0: "fp32", 1: "1-bit", 4: "4-bit"}


def random_images(count: int) -> Tensor:
    """Made-up images (count, 32, 32, 3): time hangs on no value."""
    return torch.randint(0, 256, (count, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def edge_part(folder: Path, bits: int) -> Cascade:
    """ResNet-20 with an exit (``pool-linear``) behind ``stack3.0``; the edge is the first segment.

    Untrained, its norms adapted to made-up images; with an int8 variant where ``bits`` is 0.
    """
    torch.manual_seed(0)
    net = CifarResNet(20)
    if bits:
        make_low_bit(net, PARTS, LowBit(bits, bits))
    images = random_images(64)
    inputs = ImageInput((0.491, 0.482, 0.447), (0.247, 0.243, 0.262))
    network = MultiExit(net, [ExitPlacement(PARTS[-1])], images[:2], inputs)
    with torch.no_grad():
        network.train()(images)
    cascade, _ = export_cascade(network, images, folder / f"{NAMES[bits]}.cascade", _origin(NAMES[bits]))
    return cascade if bits else quantise(cascade, [images.numpy()], [0])


def conv_cascade(folder: Path, channels: int, size: int, layers: int = 8) -> tuple[Segment, Segment]:
    """fp32 and int8 segments of ``layers`` equal 3 x 3 convolutions with ReLUs, made to be timed."""
    torch.manual_seed(0)
    convs = [nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(layers)]
    body = nn.Sequential(*(each for conv in convs for each in (conv, nn.BatchNorm2d(channels), nn.ReLU())))
    rows = torch.randn(16, channels, size, size, generator=torch.Generator().manual_seed(0))
    network = MultiExit(nn.Sequential(body, GlobalAverage(), nn.Flatten(), nn.Linear(channels, 10)), [], rows[:2])
    with torch.no_grad():
        network.train()(rows)
    cascade, _ = export_cascade(network, rows, folder / f"{channels}.cascade", _origin("convolutions"))
    cascade = quantise(cascade, [rows.numpy()], [0])
    return cascade.segment(0), cascade.segment(0, precision="int8")


def _origin(name: str) -> Origin:
    return Origin(name, tuple("0123456789"))
