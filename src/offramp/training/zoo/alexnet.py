"""The AlexNet for 32 x 32 images that BranchyNet and Edgent put exits on."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["BAlexNet"]


class BAlexNet(nn.Module):
    """Five convolutions (5 x 5 x 32, 5 x 5 x 64, 3 x 3 x 96, 3 x 3 x 96, 3 x 3 x 64), then 256, 128, K.

    Modules to attach exits to: ``block1`` to ``block5``; Edgent's five exits are four early ones and
    the end. Batch normalisation stands where the original has local response normalisation: it
    trains in a tenth of the epochs and folds into the convolutions.

    Parameters
    ----------
    classes : K
    dropout : before each of the two last linear layers

    Source: Teerapittayanon et al. 2016; Li et al. 2018.

    Examples
    --------
    >>> import torch
    >>> BAlexNet().eval()(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(self, classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.block1 = nn.Sequential(*_convolution(3, 32, 5), nn.MaxPool2d(3, 2, padding=1))
        self.block2 = nn.Sequential(*_convolution(32, 64, 5), nn.MaxPool2d(3, 2, padding=1))
        self.block3 = nn.Sequential(*_convolution(64, 96, 3))
        self.block4 = nn.Sequential(*_convolution(96, 96, 3))
        self.block5 = nn.Sequential(*_convolution(96, 64, 3), nn.MaxPool2d(3, 2, padding=1))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 32, 32) to logits (n, K)."""
        features = self.block4(self.block3(self.block2(self.block1(images))))
        return self.classifier(self.block5(features))  # type: ignore[no-any-return]  # a module call is Any


def _convolution(channels_in: int, channels: int, size: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(channels_in, channels, size, padding=size // 2, bias=False)
    return conv, nn.BatchNorm2d(channels), nn.ReLU()
