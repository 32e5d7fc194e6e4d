"""One request on its way through a tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import Header
from offramp.runtime.route import Route
from offramp.runtime.stamps import Stamps
from offramp.runtime.tier import TierRun
from offramp.runtime.tracing import RequestSpan
from offramp.runtime.work import Work

__all__ = ["Job"]


@dataclass(slots=True)
class Job:
    """A request under way; ``response``, serialised, is there when it is done, ``run`` when this tier has computed.

    ``work`` is there while it is one of several that are computed in turn.
    ``payloads`` are the survivors' tensors, encoded. The seconds stay 0 for what does not happen here.
    """

    message: pb.ModelInferRequest
    request_id: str
    header: Header
    route: Route
    begin_s: float
    deadline_s: float | None
    span: RequestSpan
    #: its raw contents, where ``message`` does not hold them
    contents: Sequence[memoryview] = ()
    run: TierRun | None = None
    work: Work | None = None
    payloads: list[bytes] = field(default_factory=list)
    response: bytes | None = None
    started_s: float = 0.0
    decoded_s: float = 0.0
    computed_s: float = 0.0
    sent_s: float = 0.0
    heard_s: float = 0.0
    #: what crossed the links beyond, by the tier that sent it, where stamps were asked for
    link_bytes: dict[str, int] = field(default_factory=dict)

    def stamps(self, now_s: float) -> Stamps:
        """When this tier did what, if it is done now."""
        times_s = (self.begin_s, self.started_s, self.decoded_s, self.computed_s, self.sent_s, self.heard_s, now_s)
        return Stamps(*accumulate(times_s, max))
