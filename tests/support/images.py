"""A small cascade of images: convolutions of two kinds, pooling, a matrix product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

from offramp.cascade.importing import import_model
from offramp.cascade.store import Cascade
from tests.support.onnx_models import CLASSES, Net

SIDE, CHANNELS = 8, 16


def make_image_cascade(folder: Path, name: str = "images", channels: int = CHANNELS) -> Cascade:
    """uint8 images (n, 8, 8, 3), two segments: convolution | depthwise convolution, pools, matrix product."""
    net = Net()
    net.add("Transpose", ["image"], "planes", perm=[0, 3, 1, 2])
    net.add("Cast", ["planes"], "numbers", to=TensorProto.FLOAT)
    net.conv("numbers", "stem", 3, channels)
    kernel = net.weight("depth_w", net.rng.normal(0, 0.3, (channels, 1, 3, 3)).astype(np.float32))
    net.add("Conv", ["stem", kernel], "depth", pads=[1, 1, 1, 1], group=channels)
    net.add("MaxPool", ["depth"], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    net.add("GlobalAveragePool", ["pooled"], "mean")
    net.add("Flatten", ["mean"], "flat")
    net.dense("flat", "scores", channels, CLASSES)
    model = net.save(folder / f"{name}.onnx", {"image": ["n", SIDE, SIDE, 3]}, ["scores"], dtype=TensorProto.UINT8)
    return import_model(model, folder / f"{name}.cascade", cuts=["stem"])
