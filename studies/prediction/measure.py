"""``python -m studies.prediction.measure``: run the plans for real and store what was measured."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from offramp.cascade.store import Cascade, open_cascade
from offramp.cli.common import data_name, git_commit, records_file
from offramp.data.registry import load_dataset
from offramp.errors import OfframpError
from offramp.profiles.machine import this_machine
from offramp.profiles.measure import measure as measure_profile
from offramp.profiles.profile import Profile
from offramp.records.records import Records, load_records
from offramp.runtime.probe import measure_transport
from offramp.simulation.arrivals import poisson
from studies.prediction.compare import busiest_s
from studies.prediction.measurement import MeasuredRun, Measurement
from studies.prediction.rows import balanced_rows
from studies.prediction.running import Inputs, arriving, one_by_one, started
from studies.prediction.settings import ARRIVALS, LINKS, LOAD, PLANS, SLOW_DOWN, TIERS, network_of, plan_of
from studies.prediction.study import EXAMPLE, MEASURED, rows_of
from studies.runner import to_table

__all__ = ["main", "measure"]

#: seconds for the profile of each tier, more than `offramp profile` takes: one disturbance must not colour all runs
PROFILE_S = 20.0
#: seconds a tier rests before each timing, as it waits for samples that come one after the other
REST_S = 0.005


def measure(
    cascade: Cascade,
    records: Records,
    inputs: Inputs,
    rows: Sequence[int],
    profiles: dict[str, Profile],
    *,
    links: Sequence[str] = tuple(LINKS),
    seed: int = 0,
) -> Measurement:
    """Run every plan under the link settings named.

    Parameters
    ----------
    cascade : of three segments and three exits
    records : of this build, for the rate of arrivals
    inputs, rows : what to send, and its rows in the data set
    profiles : of all tiers, measured on this machine
    """
    manifest = cascade.manifest
    measured = Measurement(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        data=records.provenance.data,
        temperatures=manifest.calibration.temperatures,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=git_commit(),
        seed=seed,
        load=(os.getloadavg()[0],) * 2,
        machine=this_machine(),
        rows=tuple(rows),
        slow_down=SLOW_DOWN,
        links={name: LINKS[name] for name in links},
        plans=PLANS,
        profiles=profiles,
        runs=(),
    )
    runs: list[MeasuredRun] = []
    for name in measured.links:
        runs += _measure_links(cascade, records, inputs, measured, name)
    return measured.model_copy(update={"runs": tuple(runs), "load": (measured.load[0], os.getloadavg()[0])})


def _measure_links(
    cascade: Cascade, records: Records, inputs: Inputs, measured: Measurement, links: str
) -> list[MeasuredRun]:
    runs = [MeasuredRun(plan=p, links=links, exits="", degraded=0, latency_us=(), terms_s={}) for p in measured.plans]
    plans = {run.plan: measured.plan(run) for run in runs}
    network = network_of(links, measured.links[links], measured.slow_down)
    found = []
    with tempfile.TemporaryDirectory() as folder, started(cascade, [*plans.values()], network, Path(folder)) as device:
        for empty in runs:
            found.append(one_by_one(device, inputs, plans[empty.plan], empty.plan, links))
            _say(found[-1])
            if empty.plan not in ARRIVALS:
                continue
            rate_hz = LOAD / busiest_s(measured, empty, records)
            arrival_s = poisson(rate_hz, len(inputs[0]), np.random.default_rng(measured.seed))
            found.append(arriving(device, inputs, plans[empty.plan], empty.plan, links, rate_hz, arrival_s))
            _say(found[-1])
    return found


def _profiles(cascade: Cascade, samples: Inputs) -> dict[str, Profile]:
    """Costs of every tier, each measured in a fresh process, as `offramp profile` does."""
    transport = measure_transport(cascade.path, through_relay=True)
    return {
        tier: measure_profile(
            cascade.path,
            tier,
            slow_down=slow_down,
            transport=transport,
            samples=samples,
            budget_s=PROFILE_S,
            rest_s=REST_S,
        )
        for tier, slow_down in zip(TIERS, SLOW_DOWN, strict=True)
    }


def _say(run: MeasuredRun) -> None:
    how = "" if run.rate_hz is None else f", {run.rate_hz:.1f} a second"
    sys.stderr.write(f"{run.links}: {run.plan}{how}: mean {1e3 * run.latency_s.mean():.1f} ms\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, store, and print what the study makes of it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m studies.prediction.measure", description=main.__doc__)
    parser.add_argument("--cascade", type=Path, default=EXAMPLE / "resnet8.cascade", help="three segments, three exits")
    parser.add_argument("--records", type=Path, help="default: the example's, or CASCADE/records/fp32.parquet")
    parser.add_argument("--rows", type=int, default=240, help="test rows sent through every plan")
    parser.add_argument("--links", nargs="+", choices=list(LINKS), default=list(LINKS), help="default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the rows and the arrivals")
    parser.add_argument("--output", type=Path, default=MEASURED)
    options = parser.parse_args(arguments)
    try:
        cascade = open_cascade(options.cascade)
        example = None if options.cascade != EXAMPLE / "resnet8.cascade" else EXAMPLE / "records" / "fp32.parquet"
        records = load_records(records_file(options.cascade, options.records or example))
        dataset = load_dataset(data_name(cascade.manifest, None))
        fingerprint, temperatures = cascade.manifest.fingerprint, cascade.manifest.calibration.temperatures
        plans = [plan_of(shape, cascade.name, fingerprint, temperatures) for shape in PLANS.values()]
        rows = balanced_rows(records.on("test"), plans, options.rows, np.random.default_rng(options.seed))
        profiles = _profiles(cascade, dataset.rows(np.arange(32)))
        inputs = dataset.rows(rows)
        measured = measure(cascade, records, inputs, rows.tolist(), profiles, links=options.links, seed=options.seed)
    except OfframpError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    measured.save(options.output)
    Console().print(to_table("prediction", list(rows_of(measured, records))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
