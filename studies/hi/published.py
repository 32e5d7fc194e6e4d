"""The published point of hierarchical inference on CIFAR-10, recalled: low confidence.

Source: Al-Atat et al. 2023 (arXiv 2304.11763): a quantised network of 0.45 MB before an EfficientNet. Its system
accuracy is recalled as "low to mid 80s"; the middle of that is taken.
"""

from __future__ import annotations

__all__ = ["ACCURACY", "LOCAL", "OFFLOADED", "REMOTE", "THRESHOLD"]

#: theta*, on the uncalibrated confidence
THRESHOLD = 0.607
#: per cent
OFFLOADED, LOCAL, REMOTE, ACCURACY = 35.5, 62.58, 95.0, 83.0
