"""A share of the answers, asked for again at the last exit."""

from __future__ import annotations

import logging
import math
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from offramp.confidence.alarm import Alarm
from offramp.errors import LinkDown, LinkError, PeerRefused
from offramp.planning.plan import Plan
from offramp.runtime.announcer import Announcer
from offramp.runtime.answer import Answer
from offramp.runtime.audit import Audit, audit_plan
from offramp.runtime.audit_log import AuditLog, Drawn, Heard
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request
from offramp.runtime.responses import parse_response
from offramp.runtime.tensors import codec_named
from offramp.runtime.tier import Tier

__all__ = ["Auditor"]

_log = logging.getLogger(__name__)

Array = NDArray[Any]
#: answers that wait to be audited; beyond that they are lost
QUEUE = 256
#: seconds for the last exit's answer, and for those still waiting when the device closes
TIMEOUT_S, CLOSE_S = 5.0, 2.0


class Auditor:
    """Draws samples, has the last exit answer those that left earlier, and shows the alarm whether it agrees.

    The loss is 1 where the answers differ and 0 where they agree; a sample the last exit has answered loses nothing and
    is not sent again. So its mean is at least the accuracy that is lost, whatever the labels are. Degraded answers are
    left out: no gate accepted them. Everything happens after the answer was given, in a thread of its own; what the
    link does not let through is lost and not looked at.

    Parameters
    ----------
    audit : what and when
    tier : the device
    plan : of the cascade; what it keeps on the device is not audited
    wall : seconds since 1970, for the log
    """

    def __init__(self, audit: Audit, tier: Tier, plan: Plan, wall: Callable[[], float] = time.time) -> None:
        self.audit = audit
        self.alarm = Alarm(audit.limit, audit.delta)
        #: losses seen, of these the disagreements, and samples drawn in vain
        self.audited = self.differed = self.lost = 0
        self._tier = tier
        self._plan = audit_plan(plan)
        self._log = AuditLog(audit.log, audit.share, wall)
        self._random = random.Random(audit.seed)
        self._samples = 0
        self._last = len(tier.manifest.exit_segments) - 1
        self._queue: queue.Queue[Drawn | None] = queue.Queue(QUEUE)
        self._announcer: Announcer | None = None
        self._announced = False
        self._until_s = math.inf
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)

    @property
    def loss(self) -> float:
        """Share of audited answers that differ from the last exit's; 0 before any."""
        return self.differed / self.audited if self.audited else 0.0

    def start(self, announcer: Announcer) -> None:
        """Audit from now on."""
        self._announcer = announcer
        self._thread.start()

    def close(self) -> None:
        """Audit what was drawn as far as two seconds reach, then no more; may be called twice."""
        if self._thread.is_alive():
            self._until_s = self._tier.clock.now() + CLOSE_S
            self._queue.put(None)
            self._thread.join()

    def flush(self) -> None:
        """Wait until all drawn so far is audited or lost."""
        self._queue.join()

    def consider(self, inputs: tuple[Array, ...], answer: Answer, plan_id: str, heard: Heard | None = None) -> None:
        """Perhaps audit an answer; nobody waits for that.

        Parameters
        ----------
        inputs : one row each
        answer : as the caller gets it
        plan_id : of the plan followed
        heard : told what the last exit says, where it was asked again
        """
        sample, self._samples = self._samples, self._samples + 1
        if self._random.random() >= self.audit.share or answer.degraded is not None:
            return
        copies = None if answer.exit == self._last else tuple(array.copy() for array in inputs)
        try:
            self._queue.put_nowait(Drawn(sample, copies, answer, plan_id, heard))
        except queue.Full:
            self.lost += 1

    def _work(self) -> None:
        while (drawn := self._queue.get()) is not None:
            try:
                self._look_at(drawn)
            except LinkError as error:
                self.lost += 1
                _log.debug("an answer could not be audited: %s", error)
            except Exception:
                self.lost += 1
                _log.exception("an answer could not be audited")
            finally:
                self._queue.task_done()

    def _look_at(self, drawn: Drawn) -> None:
        if self._tier.clock.now() > self._until_s:
            raise LinkDown("the device is closing")
        reference = drawn.answer.label if drawn.inputs is None else self._ask(drawn.inputs)
        loss = float(reference != drawn.answer.label)
        self.audited += 1
        self.differed += int(loss)
        was_raised = self.alarm.raised_at is not None
        raised = self.alarm.update(loss)
        self._log.add(drawn, reference, self.alarm.raised_at is not None)
        if drawn.heard is not None and drawn.inputs is not None:
            drawn.heard(reference, self.audit.share)
        if raised and not was_raised:
            fields = {"audited": self.audited, "loss": self.loss, "limit": self.audit.limit, "since": self.alarm.since}
            _log.warning(
                "the alarm is raised: %d of %d audited answers differ from the last exit's, and a share of %g may",
                self.differed,
                self.audited,
                self.audit.limit,
                extra={"fields": {"event": "alarm raised", **fields}},
            )
            if self.audit.on_alarm is not None:
                self.audit.on_alarm(self.alarm)

    def _ask(self, inputs: tuple[Array, ...]) -> int:
        """The last exit's label.

        Raises
        ------
        LinkError : nobody answers, or not from the last exit
        """
        try:
            return self._label(self._send(inputs))
        except PeerRefused:
            self._announced = False
            return self._label(self._send(inputs))

    def _send(self, inputs: tuple[Array, ...]) -> pb.ModelInferResponse:
        assert self._announcer is not None
        if not self._announced:
            self._announcer.announce(self._plan)
            self._announced = True
        raw, manifest = codec_named("raw"), self._tier.manifest
        payloads = [raw.encode(array) for array in inputs]
        plan_id = self._plan.plan_id
        message = build_request(manifest.name, 0, plan_id, TIMEOUT_S, raw, manifest.inputs, inputs, payloads)
        return run_in_background(self._announcer.failover.send(message, TIMEOUT_S))

    def _label(self, reply: pb.ModelInferResponse) -> int:
        rows = parse_response(reply, 1, self._tier.manifest, self._plan.tiers[1])
        if rows.exit[0] != self._last:
            raise LinkDown(f"exit {rows.exit[0]} answered in place of the last one ({rows.degraded[0] or 'no reason'})")
        return int(rows.label[0])
