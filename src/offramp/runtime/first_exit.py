"""One sample up to the first exit, with everything looked up beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.segment import TEMPERATURE
from offramp.confidence.gates import ThresholdGate
from offramp.runtime.route import Route
from offramp.runtime.rows import Rows
from offramp.runtime.single_array import SingleArray
from offramp.runtime.tier import Tier

__all__ = ["FirstExit"]

Array = NDArray[Any]


class FirstExit:
    """The short way for a single sample: no event loop, no gather, a few microseconds above ONNX Runtime.

    ``values`` of `run` are label, probabilities and confidence, then the tensors handed over.

    Parameters
    ----------
    tier, route : the device and what the plan means for it; see `possible`
    """

    def __init__(self, tier: Tier, route: Route) -> None:
        self.cut = tier.next_exit(0)
        self.exit_index = 0
        self.threshold = route.threshold(0)
        #: whether the gate decides on another score than the confidence
        self.asks_gate = bool(route.gates) and not isinstance(route.gates[0], ThresholdGate)
        #: whose gates and temperatures it goes by
        self.route = route
        #: whether those who go on must bring this exit's answer along
        self.keeps_label = route.needs_labels(1)
        #: reads the sample
        self.row = SingleArray(tier.manifest).row
        *before, last = (tier.segment(route, index) for index in range(self.cut))
        self._before = [(s.session.run, s.output_names, s.input_names) for s in before]
        self._run, self._inputs = last.session.run, last.input_names
        carried = last.output_names[:-3]
        self._names = [*last.output_names[-3:], *carried]
        self._temperature = np.asarray(route.temperatures[0], np.float32)

    @staticmethod
    def possible(tier: Tier, route: Route) -> bool:
        """Whether a single-input device at its natural speed reaches an exit by handing features over."""
        manifest = tier.manifest
        reached = tier.next_exit(0)
        return (
            route.start == 0
            and reached <= route.stop
            and tier.pace.slow_down == 1.0
            and len(manifest.inputs) == 1
            and all(segment.hand_over == "features" for segment in manifest.segments[:reached])
        )

    def run(self, row: Array) -> list[Array]:
        """Label (1,), probabilities (1, K), confidence (1,), then what the segment hands over."""
        tensors: list[Array] = [row]
        for run, outputs, inputs in self._before:
            tensors = run(outputs, dict(zip(inputs, tensors, strict=True)))
        feed = dict(zip(self._inputs, tensors, strict=True))
        feed[TEMPERATURE] = self._temperature
        values: list[Array] = self._run(self._names, feed)
        return values

    def leaves(self, values: list[Array]) -> bool:
        """Whether a gate that decides on another score lets the sample go."""
        return bool(self.route.leaves(0, values[2], values[1])[0])

    @staticmethod
    def as_rows(values: list[Array], tier: str, seconds: float) -> Rows:
        """The answer so far, for a sample that goes on."""
        label, probabilities, confidence = values[:3]
        return Rows(label, probabilities, confidence, np.zeros(1, np.int64), [tier], [""], {tier: seconds})
