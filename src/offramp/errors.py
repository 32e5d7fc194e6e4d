"""Everything that can go wrong, as one tree.

    OfframpError                          exit code 1
    +-- ConfigError (ValueError)          2   a setting, path or option is wrong
    |   +-- CascadeError                  3   a cascade folder is missing, damaged or too new
    |   +-- DataError                     4   a data set is missing or of another format
    |   |   +-- SampleError               4   one sample has the wrong shape, dtype or values
    |   +-- RecordMismatch                5   records, profile or plan belong to another cascade
    |   +-- PlanInfeasible                6   no plan meets the constraints
    +-- TrainingError                     7   training or export failed
    +-- LinkError                         8   talking to another tier failed
    |   +-- LinkDown                      8   no connection
    |   +-- BreakerOpen                   8   the peer is not asked until it answers a probe
    |   +-- Overloaded                    8   the peer has too much to do
    |   +-- DeadlineExceeded              8   no answer in time
    |   +-- PeerRefused                   8   the peer answered with an error
    |   +-- PayloadTooLarge               8   a message is above the limit
    |   +-- AddressInUse                  8   a server cannot listen there
    +-- CertificateError                  9   a statement cannot be made
        +-- NotEnoughSamples              9   too few rows
        +-- CertificateExpired            9   the statement no longer holds

A message is one sentence: what, where, which rule, what to do. ``exit_code`` is what the command
line returns.
"""

from __future__ import annotations

__all__ = [
    "AddressInUse",
    "BreakerOpen",
    "CascadeError",
    "CertificateError",
    "CertificateExpired",
    "ConfigError",
    "DataError",
    "DeadlineExceeded",
    "LinkDown",
    "LinkError",
    "NotEnoughSamples",
    "OfframpError",
    "Overloaded",
    "PayloadTooLarge",
    "PeerRefused",
    "PlanInfeasible",
    "RecordMismatch",
    "SampleError",
    "TrainingError",
]


class OfframpError(Exception):
    """Root of every error offramp raises on purpose."""

    exit_code = 1


class ConfigError(OfframpError, ValueError):
    """A setting, path or option is wrong."""

    exit_code = 2


class CascadeError(ConfigError):
    """A cascade folder is missing, damaged, tampered with, or written by a newer version."""

    exit_code = 3


class DataError(ConfigError):
    """A data set is missing or has another format than expected."""

    exit_code = 4


class SampleError(DataError):
    """A sample has the wrong shape or dtype, or holds NaN or infinity."""


class RecordMismatch(ConfigError):
    """Records, profile, network or plan do not belong together."""

    exit_code = 5


class PlanInfeasible(ConfigError):
    """No plan meets the constraints; the message names the one that binds."""

    exit_code = 6


class TrainingError(OfframpError):
    """Training or export failed."""

    exit_code = 7


class LinkError(OfframpError):
    """Talking to another tier failed."""

    exit_code = 8
    #: the word that goes into ``Answer.degraded`` when this error is why an answer is degraded
    reason = "link_down"


class LinkDown(LinkError):
    """There is no connection to the peer."""


class BreakerOpen(LinkError):
    """The peer failed too often of late: it is asked again once it has answered a probe."""

    reason = "breaker_open"


class Overloaded(LinkError):
    """The peer, or this tier itself, has more to do than it can finish in time."""

    reason = "overload"


class DeadlineExceeded(LinkError):
    """No answer came in time."""

    reason = "deadline"


class PeerRefused(LinkError):
    """The peer answered with an error."""

    reason = "refused"


class PayloadTooLarge(LinkError):
    """A message is above the size limit."""

    reason = "refused"


class AddressInUse(LinkError):
    """A server cannot listen on the address asked for."""


class CertificateError(OfframpError):
    """A finite-sample statement cannot be made."""

    exit_code = 9


class NotEnoughSamples(CertificateError):
    """Too few rows for the statement asked for."""


class CertificateExpired(CertificateError):
    """A certificate that no longer holds."""
