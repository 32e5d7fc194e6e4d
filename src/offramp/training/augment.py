"""Random crops and flips, for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Augment"]


@dataclass(frozen=True)
class Augment:
    """Shift images by up to ``crop`` pixels (zeros come in) and mirror half of them.

    Works on raw images (n, H, W, C), keeps their dtype.

    Examples
    --------
    >>> images = torch.arange(16, dtype=torch.uint8).reshape(1, 4, 4, 1)
    >>> torch.equal(Augment()(images, torch.Generator()), images)
    True
    >>> Augment(crop=1, flip=True)(images, torch.Generator().manual_seed(0)).shape
    torch.Size([1, 4, 4, 1])
    """

    crop: int = 0
    flip: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one shift and one coin per image from ``generator`` and apply them."""
        if not self.crop and not self.flip:
            return images
        n, height, width, _ = images.shape
        reach = 2 * self.crop + 1
        down = torch.randint(reach, (n, 1), generator=generator)
        right = torch.randint(reach, (n, 1), generator=generator)
        rows = down + torch.arange(height)
        columns = right + torch.arange(width)
        if self.flip:
            mirrored = torch.randint(2, (n, 1), generator=generator).bool()
            columns = torch.where(mirrored, columns.flip(1), columns)
        padding = (0, 0, self.crop, self.crop, self.crop, self.crop)
        padded = torch.nn.functional.pad(images, padding)
        return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
