"""What the authors print or plot: MobileNetV2 with three exits on the device, Caltech-256."""

from __future__ import annotations

__all__ = ["PUBLISHED", "published"]

#: by (target, variant): share decided on the device, accuracy of it and inference outage, per cent, read off figures
PUBLISHED: dict[tuple[float, str], dict[str, float]] = {
    (0.8, "uncalibrated"): {"share": 16.2, "accuracy": 87.0, "outage": 10.8},
    (0.8, "global"): {"share": 9.5, "accuracy": 92.0, "outage": 4.2},
    (0.8, "per exit"): {"share": 12.1, "accuracy": 90.0, "outage": 6.6},
    (0.9, "uncalibrated"): {"outage": 33.0},
    (0.9, "global"): {"outage": 15.8},
    (0.9, "per exit"): {"outage": 24.3},
}


def published(cascade: str, target: float, variant: str, measure: str) -> float | None:
    """The published number next to ours: only for the same network (on other data), else ``None``.

    Examples
    --------
    >>> published("mobilenetv2-cifar100", 0.8, "global", "outage")
    4.2
    >>> published("cifar10", 0.8, "global", "outage") is None
    True
    """
    if not cascade.startswith("mobilenetv2"):
        return None
    return PUBLISHED.get((target, variant), {}).get(measure)
