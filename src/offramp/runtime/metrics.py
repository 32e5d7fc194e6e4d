"""Prometheus metrics of a tier: exposition over HTTP, and reading it back."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from offramp.errors import LinkDown
from offramp.runtime.counters import Counters
from offramp.runtime.gauges import GAUGES, Gauges
from offramp.runtime.metrics_server import Healthy, serve_metrics

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
    """Turns what a tier has counted, and its state, into Prometheus metrics when asked.

    Parameters
    ----------
    counters : of the tier
    gauges : read its state

    Examples
    --------
    >>> metrics = {metric.name: metric for metric in TierCollector(Counters("edge", 1, 1)).collect()}
    >>> metrics["offramp_rows_executed"].samples[0].labels
    {'tier': 'edge', 'segment': '0'}
    """

    def __init__(self, counters: Counters, gauges: Gauges | None = None) -> None:
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Every counter and gauge, then the histograms."""
        tier = self._counters.tier
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for metric, label, value, count in self._counters.samples():
            if metric not in families:
                families[metric] = CounterMetricFamily(f"offramp_{metric}", _HELP[metric], labels=_labels(label))
            families[metric].add_metric([tier, value] if label else [tier], count)
        for metric, label, value, now in () if self._gauges is None else self._gauges():
            if metric not in families:
                text, grows = GAUGES[metric]
                kind = CounterMetricFamily if grows else GaugeMetricFamily
                families[metric] = kind(f"offramp_{metric}", text, labels=_labels(label))
            families[metric].add_metric([tier, value] if label else [tier], float(now))
        yield from families.values()
        latency = HistogramMetricFamily("offramp_latency_seconds", "Seconds from request to answer", labels=["tier"])
        latency.add_metric([tier], self._counters.latency.cumulative(), self._counters.latency.sum_s)
        yield latency
        stages = HistogramMetricFamily(
            "offramp_stage_seconds", "Seconds of a request by stage", labels=["tier", "stage"]
        )
        for stage, histogram in self._counters.stages.items():
            stages.add_metric([tier, stage], histogram.cumulative(), histogram.sum_s)
        yield stages


def _labels(label: str) -> list[str]:
    return ["tier", label] if label else ["tier"]


def start_metrics(
    counters: Counters,
    port: int,
    host: str = "127.0.0.1",
    *,
    gauges: Gauges | None = None,
    healthy: Healthy | None = None,
) -> int:
    """Expose metrics at ``http://HOST:PORT/metrics`` and ``/healthz`` from a daemon thread; 0 takes a free port.

    Parameters
    ----------
    counters, gauges : what there is to show
    healthy : whether the tier takes requests; ``/healthz`` says so with 200 or 503

    Returns
    -------
    int : the port

    Raises
    ------
    AddressInUse : something else listens there
    """
    registry = CollectorRegistry()
    registry.register(TierCollector(counters, gauges))
    return serve_metrics(make_wsgi_app(registry), counters.tier, port, host, healthy)


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
