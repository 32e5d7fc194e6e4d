"""Events as lines of JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from offramp.runtime.access import Access
from offramp.runtime.json_logs import JsonLines, log_as_json
from offramp.runtime.tokens import Token


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], logger.level = handlers, level


def test_one_line_for_each_event(root: logging.Logger) -> None:
    stream = io.StringIO()
    log_as_json(stream)
    log = logging.getLogger("offramp.runtime.test")
    log.info("plan switched", extra={"fields": {"to": "7b1f", "time": "mine", "placement": ("device", "cloud")}})
    log.debug("not at this level")
    log.warning("the link\nis %s", "down")
    try:
        raise ValueError("a defect")
    except ValueError:
        log.exception("a request failed", extra={"fields": {"of": object}})
    switched, down, failed = (json.loads(line) for line in stream.getvalue().splitlines())
    assert switched["event"] == "plan switched"
    assert switched["level"] == "info"
    assert (switched["to"], switched["placement"]) == ("7b1f", ["device", "cloud"])
    assert switched["time"] != "mine"
    assert down["event"] == "the link\nis down"
    assert "ValueError: a defect" in failed["error"]


def test_no_token_is_written() -> None:
    record = logging.LogRecord(
        "offramp", logging.INFO, "", 0, "%s", (Access(token=Token(["correct-horse-battery"])),), None
    )
    record.fields = {"access": Access(token=Token(["correct-horse-battery"]))}
    assert "correct-horse" not in JsonLines().format(record)
