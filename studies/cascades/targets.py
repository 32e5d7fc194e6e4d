"""What is known of, or asked from, the cascades whose records are committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PUBLISHED_TOLERANCE", "TARGETS", "Target"]

#: points by which a published net may differ from its published accuracy on the same images
PUBLISHED_TOLERANCE = 0.3


@dataclass(frozen=True)
class Target:
    """An accuracy in %: ``published`` by others for the same weights, or ``required`` as a minimum here."""

    accuracy: float
    kind: Literal["published", "required"] = "required"

    def held(self, accuracy: float) -> bool:
        """Whether ``accuracy`` (%) meets it."""
        if self.kind == "required":
            return accuracy >= self.accuracy
        return abs(accuracy - self.accuracy) <= PUBLISHED_TOLERANCE

    @property
    def sentence(self) -> str:
        """For a row's ``how``."""
        if self.kind == "required":
            return f"required: at least {self.accuracy:g} %"
        return f"published: the authors' weights on these images; holds: within {PUBLISHED_TOLERANCE:g} points"


#: (cascade, variant, exit counted from the front, or from the back where negative)
TARGETS: dict[tuple[str, str, int], Target] = {
    ("akamaster-resnet20", "fp32", -1): Target(91.6, "published"),
    ("akamaster-resnet56", "fp32", -1): Target(92.7, "published"),
    ("mlperf-resnet8", "fp32", -1): Target(88.0, "published"),
    ("mlperf-resnet8", "int8:1", -1): Target(87.7, "published"),
    ("resnet8", "fp32", -1): Target(80.0),
    ("resnet8-cifar10", "fp32", -1): Target(80.0),
    ("compact-cifar10", "fp32", -1): Target(90.0),
    ("resnet8-cifar100", "fp32", -1): Target(58.0),
    ("compact-cifar100", "fp32", -1): Target(72.0),
    ("pair-exact", "fp32", 0): Target(88.0, "published"),
    ("pair-exact", "fp32", -1): Target(92.7, "published"),
    ("pair-exact", "int8:1", 0): Target(87.7, "published"),
    ("pair-cifar10", "fp32", 0): Target(80.0),
    ("pair-cifar10", "int8:1", 0): Target(80.0),
    ("pair-cifar10", "fp32", -1): Target(90.0),
    ("pair-cifar100", "fp32", 0): Target(58.0),
    ("pair-cifar100", "int8:1", 0): Target(58.0),
    ("pair-cifar100", "fp32", -1): Target(72.0),
    ("balexnet", "fp32", -1): Target(77.0),
    ("resnet20", "fp32", 0): Target(70.0),
    ("resnet20", "fp32", -1): Target(87.0),
    ("resnet32-cifar100", "fp32", -1): Target(66.0),
    ("mobilenetv2-cifar100", "fp32", -1): Target(65.0),
    ("minilm-sst2", "fp32", 2): Target(85.0),
    ("minilm-sst2", "fp32", -1): Target(90.0),
    ("minilm-mrpc", "fp32", -1): Target(82.0),
    ("minilm-rte", "fp32", -1): Target(60.0),
}
