"""How much one tier takes on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from offramp.errors import ConfigError
from offramp.runtime.channel import MAX_MESSAGE_BYTES

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one tier takes on; what is beyond is refused at once, not kept waiting.

    Parameters
    ----------
    max_batch_rows : rows computed together; a larger request is computed in several batches
    max_wait_s : seconds a request may wait for others to be computed with; 0: a tier with nothing else to do
        begins at once, and batches are formed of what has arrived while it was computing
    max_queue_rows : rows that may wait for their turn; from half of that on, rows of other requests counted, those that
        have an answer leave with it
    max_in_flight : requests under way at a time, also those that wait for the next tier
    max_message_bytes : size of one message
    max_streams : calls open at a time, streams and single ones together
    max_connections : connections open at a time
    max_plans : plans taken from clients that announce them while it runs, those used last kept; 0 takes none
    max_drain_s : seconds that requests under way get to finish when the tier is told to end

    Raises
    ------
    ConfigError : a limit that lets nothing through

    Examples
    --------
    >>> Limits(max_batch_rows=0)
    Traceback (most recent call last):
        ...
    offramp.errors.ConfigError: max_batch_rows must be a whole number of at least 1, not 0
    """

    max_batch_rows: int = 64
    max_wait_s: float = 0.0
    max_queue_rows: int = 1024
    max_in_flight: int = 4096
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_streams: int = 1024
    max_connections: int = 1024
    max_plans: int = 64
    max_drain_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("batch_rows", "queue_rows", "in_flight", "message_bytes", "streams", "connections"):
            value = getattr(self, f"max_{name}")
            if not (isinstance(value, int) and value >= 1):
                raise ConfigError(f"max_{name} must be a whole number of at least 1, not {value!r}")
        if not (isinstance(self.max_plans, int) and self.max_plans >= 0):
            raise ConfigError(f"max_plans must be a whole number, zero or more, not {self.max_plans!r}")
        for name in ("max_wait_s", "max_drain_s"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ConfigError(f"{name} must be a number of seconds, zero or more, not {seconds!r}")
