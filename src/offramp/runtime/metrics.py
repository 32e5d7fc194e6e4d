"""Prometheus metrics of a tier: exposition over HTTP, and reading it back."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from offramp.errors import AddressInUse, LinkDown
from offramp.runtime.counters import LATENCY_BOUNDS_S, Counters

__all__ = ["TierCollector", "scrape", "start_metrics"]

_HELP = {
    "requests": "Requests taken",
    "rows": "Rows taken",
    "bytes_in": "Bytes of messages received",
    "bytes_out": "Bytes of messages sent",
    "late_answers": "Answers of the next tier that came too late and were dropped",
    "connections": "Streams opened to the next tier",
    "batches": "Batches computed for requests that did not go straight through",
    "batch_rows": "Rows in these batches",
    "rows_executed": "Rows each segment really ran",
    "exit_rows": "Rows this tier answered, by exit",
    "degraded": "Rows an earlier exit than planned had to answer, by reason",
    "errors": "Requests answered with an error, by status code",
}


class TierCollector(Collector):
    """Turns a tier's counters into Prometheus metrics when asked.

    Examples
    --------
    >>> metrics = {metric.name: metric for metric in TierCollector(Counters("edge", 1, 1)).collect()}
    >>> metrics["offramp_rows_executed"].samples[0].labels
    {'tier': 'edge', 'segment': '0'}
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """Every counter, then the latency histogram."""
        tier = self._counters.tier
        families: dict[str, CounterMetricFamily] = {}
        for metric, label, value, count in self._counters.samples():
            if metric not in families:
                labels = ["tier", label] if label else ["tier"]
                families[metric] = CounterMetricFamily(f"offramp_{metric}", _HELP[metric], labels=labels)
            families[metric].add_metric([tier, value] if label else [tier], count)
        yield from families.values()
        yield self._latency()

    def _latency(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily("offramp_latency_seconds", "Seconds from request to answer", labels=["tier"])
        buckets, total = [], 0
        for bound, count in zip((*LATENCY_BOUNDS_S, "+Inf"), list(self._counters.latency_buckets), strict=True):
            total += count
            buckets.append((str(bound), float(total)))
        family.add_metric([self._counters.tier], buckets, self._counters.latency_sum_s)
        return family


def start_metrics(counters: Counters, port: int, host: str = "127.0.0.1") -> int:
    """Expose the counters at ``http://HOST:PORT/metrics`` from a daemon thread; 0 takes a free port.

    Returns
    -------
    int : the port

    Raises
    ------
    AddressInUse : something else listens there
    """
    registry = CollectorRegistry()
    registry.register(TierCollector(counters))
    try:
        server, _ = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise AddressInUse(
            f"cannot expose metrics on {host}:{port} ({error.strerror}); "
            "choose another --metrics-port, or 0 for a free one"
        ) from error
    return int(server.server_port)


def scrape(host: str, port: int, timeout_s: float = 2.0) -> dict[str, float]:
    """Read a tier's metrics over HTTP; the keys are those of `Counters.to_dict`.

    Raises
    ------
    LinkDown : nobody answers there
    """
    url = f"http://{host}:{port}/metrics"
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=timeout_s) as response:
            text = response.read().decode()
    except OSError as error:
        raise LinkDown(f"{url}: no metrics there ({error}); is the tier running?") from error
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if family.type == "counter" and sample.name.endswith("_total"):
                labels = [sample.labels["tier"], *(v for k, v in sample.labels.items() if k != "tier")]
                found[".".join([sample.name.removeprefix("offramp_").removesuffix("_total"), *labels])] = sample.value
    return found
