"""A device without a link, for tests: answers row after row, spools them, and says how far it is."""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path

from offramp.cascade.store import open_cascade
from offramp.planning.plan import load_plan
from offramp.runtime.device import Device
from tests.support.tiny import tiny_rows


def main() -> None:
    """Write one line of JSON for each answer: exit, reason, and the spool's counts so far."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cascade", type=Path)
    parser.add_argument("plan", type=Path)
    parser.add_argument("spool", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--largest-file-bytes", type=int)
    options = parser.parse_args()
    if options.largest_file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest_file_bytes, options.largest_file_bytes))
    with Device(open_cascade(options.cascade), load_plan(options.plan), "127.0.0.1:9", spool=options.spool) as device:
        spool = device.spool
        assert spool is not None
        for row in tiny_rows(options.rows):
            answer = device.infer(row)
            line = {"exit": answer.exit, "degraded": answer.degraded, "latency_s": answer.latency_s, **spool.counts()}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps(spool.counts()) + "\n")


if __name__ == "__main__":
    main()
