"""The packed kernels compute what the trained network computes, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offramp.cascade.kernels.library import why_not
from offramp.errors import ConfigError
from offramp.training.lowbit.convert import freeze, make_low_bit
from offramp.training.lowbit.kernel import binary_trunk
from offramp.training.lowbit.spec import LowBit
from offramp.training.zoo.resnet import CifarResNet

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "kernels are there")
PARTS = ["stem", "stack1", "stack2"]


def trained(spec: LowBit) -> CifarResNet:
    torch.manual_seed(0)
    net = CifarResNet(14, widths=(16, 24, 32))
    make_low_bit(net, PARTS, spec)
    for _ in range(3):
        net.train()(torch.randn(32, 3, 32, 32))
    freeze(net)
    return net


def test_the_kernels_equal_the_network_to_the_bit() -> None:
    net = trained(LowBit(1, 1))
    trunk = binary_trunk(net.stem, [*net.stack1, *net.stack2])
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        wanted = net.stack2(net.stack1(net.stem(images))).numpy()
    for image, features in zip(images.numpy(), wanted, strict=True):
        found = trunk(np.ascontiguousarray(image.transpose(1, 2, 0)))
        np.testing.assert_array_equal(found.transpose(2, 0, 1), features)


def test_other_networks_are_refused() -> None:
    plain, four, mixed = CifarResNet(8), trained(LowBit(4, 4)), trained(LowBit(4, 4, shortcuts="conv"))
    with pytest.raises(ConfigError, match="take blocks with shortcuts around every binary convolution"):
        binary_trunk(four.stem, [*four.stack1])
    with pytest.raises(ConfigError, match="of 1 bit by the learned recipe"):
        binary_trunk(mixed.stem, [*mixed.stack1])
    with pytest.raises(ConfigError, match="a stem of a convolution and a norm"):
        binary_trunk(plain.stem, [])
