"""Offloads sent in batches: how many transmissions are left, and which size is best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from offramp.links.network import Link
from offramp.policies.batching import BatchCosts, best_batch
from studies.hi.pairs import Pair
from studies.row import StudyRow

__all__ = ["batches"]

#: a radio testbed on other data (10,000 images): input batches and transmissions, 39 % offloaded
PUBLISHED = {1: 3900.0, 5: 2000.0, 15: 667.0, 45: 225.0}
OFFLOADED = 0.39
LINK, PAYLOAD_BYTES, INPUTS_HZ = Link("device", "edge", 5e6, 0.04), 3072.0, 30.0
#: in mistakes: waking the radio, a second of waiting; a batch fills for no longer than this
TRANSMISSION_PRICE, LATENCY_PRICE_PER_S, WAIT_S = 0.02, 0.05, 2.0
SIZES = range(1, 65)


def batches(pair: Pair) -> Iterator[StudyRow]:
    """Rows of the study: the least sure samples of the test rows are offloaded, in the order recorded."""
    confidence = pair.confidence[pair.test]
    goes_on = confidence < np.quantile(confidence, OFFLOADED)
    how = f"replayed on the {len(confidence):,} test rows, the least sure {100 * OFFLOADED:g} % offloaded"
    for inputs, published in PUBLISHED.items():
        sent = int(np.add.reduceat(goes_on, np.arange(0, len(goes_on), inputs)).astype(bool).sum())
        told = f"{how}; one transmission for the offloads of so many inputs; published: other data, code of the authors"
        name = f"{pair.name}, batches of {inputs} inputs: transmissions"
        yield StudyRow(name, published, sent, "of 10,000 inputs", told)
    at_s = np.flatnonzero(goes_on) / INPUTS_HZ
    costs = BatchCosts(LINK, batch_bytes=130.0, batch_s=0.005, sample_s=0.0005)
    best, each = best_batch(
        at_s,
        PAYLOAD_BYTES,
        costs,
        SIZES,
        transmission_price=TRANSMISSION_PRICE,
        latency_price_per_s=LATENCY_PRICE_PER_S,
        wait_s=WAIT_S,
    )
    modelled = (
        f"simulated: {INPUTS_HZ:g} inputs per second, {LINK.bandwidth_bps / 1e6:g} Mbit/s and {1e3 * LINK.rtt_s:g} ms, "
        f"a transmission costs {TRANSMISSION_PRICE:g} mistakes and a second of waiting {LATENCY_PRICE_PER_S:g}"
    )
    where = f"{pair.name}, best batch"
    yield StudyRow(f"{where}: size", None, best.rule.size, "offloads", f"{modelled}; of {len(each)} sizes")
    yield StudyRow(f"{where}: latency", None, 1e3 * float(best.latency_s.mean()), "ms", modelled)
    saved = 100 * (1 - float(each.min() / each[0]))
    yield StudyRow(f"{where}: cost saved against one by one", None, saved, "%", modelled)
