"""The handwritten digits bundled with scikit-learn: 1,797 real 8 x 8 images."""

from __future__ import annotations

import numpy as np

from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["load"]


def load() -> Dataset:
    """1,797 images (8, 8, 1) uint8, grey values 0..16; labels 0..9 (UCI optical digits, test part).

    Raises
    ------
    DataError : scikit-learn is not installed
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("digits: needs scikit-learn; pip install 'offramp[data]'") from error
    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[..., None]
    return Dataset(
        name="digits",
        inputs=(images,),
        labels=bunch.target.astype(np.int64),
        label_names=tuple(str(name) for name in bunch.target_names),
        fixed_test=np.zeros(len(images), bool),
        description="handwritten digits, 8 x 8, bundled with scikit-learn",
    )
