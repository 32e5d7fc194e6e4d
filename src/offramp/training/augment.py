"""Random crops, flips and cut-outs, for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Augment"]


@dataclass(frozen=True)
class Augment:
    """Shift images by up to ``crop`` pixels (zeros come in), mirror half of them, blank a square.

    Works on raw images (n, H, W, C), keeps their dtype. ``cutout`` is the side of the blanked square,
    whose centre lies anywhere in the image.

    Source: He et al. 2016 (crop, flip); DeVries and Taylor 2017 (cutout).

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
    cutout: int = 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one shift, one coin and one square per image from ``generator`` and apply them."""
        if self.crop or self.flip:
            images = self._shifted(images, generator)
        return self._cut_out(images, generator) if self.cutout else images

    def _shifted(self, images: Tensor, generator: torch.Generator) -> Tensor:
        n, height, width, channels = images.shape
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
        # one flat index of pixels is four times as fast as an index of images, rows and columns
        _, tall, wide, _ = padded.shape
        pixels = (torch.arange(n)[:, None, None] * tall + rows[:, :, None]) * wide + columns[:, None, :]
        return padded.reshape(-1, channels).index_select(0, pixels.flatten()).reshape(images.shape)

    def _cut_out(self, images: Tensor, generator: torch.Generator) -> Tensor:
        n, height, width, _ = images.shape
        inside = []
        for size in (height, width):
            begin = torch.randint(size, (n, 1), generator=generator) - self.cutout // 2
            along = torch.arange(size)
            inside.append((along >= begin) & (along < begin + self.cutout))
        blank = inside[0][:, :, None] & inside[1][:, None, :]
        return images.masked_fill(blank[..., None], 0)
