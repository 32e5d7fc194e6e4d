"""Logs as lines of JSON, one for each event."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["JsonLines", "log_as_json"]


class JsonLines(logging.Formatter):
    """``time``, ``level``, ``logger``, ``event``, then what an event's ``fields`` say, and ``error`` for a defect.

    Events of offramp are short names such as ``plan switched``, with their fields in
    ``extra={"fields": {...}}``; where the fields name the ``event``, the message is its ``sentence``. Other messages
    are sentences. What is no JSON in them becomes its text.

    Examples
    --------
    >>> record = logging.LogRecord("offramp.runtime", logging.INFO, "", 0, "connected", (), None)
    >>> record.created, record.fields = 0.0, {"peer": "10.0.0.2:8001"}
    >>> JsonLines().format(record)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "logger": "offramp.runtime", "event": "connected", \
"peer": "10.0.0.2:8001"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": when, "level": record.levelname.lower(), "logger": record.name, "event": record.getMessage()}
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            if "event" in fields:
                line |= {"event": fields["event"], "sentence": line["event"]}
            line |= {str(key): value for key, value in fields.items() if key not in line}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Have everything that is logged in this process written as lines of JSON, by default to stderr."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
