"""Requests of which most is the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import Header, build_request
from offramp.runtime.route import Route
from offramp.runtime.wire import split

__all__ = ["Arrival", "KnownRequests", "RequestTemplates"]

Array = NDArray[Any]

#: templates kept on either side, and the longest kept, in bytes
KEPT, LONGEST = 32, 1024
#: requests looked at in vain before a server gives up finding out what its clients repeat
TRIES = 256
_DEADLINE = "deadline_ms"
#: tag of the field raw_input_contents
_CONTENTS = pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | 2


class RequestTemplates:
    """A client's requests: what recurs is described and serialised once.

    Serialised messages may be joined, and mean the same as one message with the fields of both (the encoding of
    Protocol Buffers says so), so a request is a part that recurs followed by one that does not.

    Parameters
    ----------
    manifest : of the cascade
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._known: dict[tuple[object, ...], bytes] = {}

    def parts(
        self,
        route: Route,
        cut: int,
        tensors: Sequence[Array],
        payloads: Sequence[bytes],
        earlier_labels: Array | None = None,
        stamped: bool = False,
    ) -> tuple[bytes, pb.ModelInferRequest]:
        """What recurs, serialised, and the rest, to which id and deadline are yet to be added.

        Parameters
        ----------
        route : whose plan the next tier is to follow
        cut : where it takes over
        tensors, payloads : at that cut, and what the route's codec has made of them
        earlier_labels, stamped : as for `build_request`
        """
        codec = route.codec
        if codec.name != "raw" or earlier_labels is not None:
            return b"", self._whole(route, cut, tensors, payloads, earlier_labels, stamped)
        key = (route.plan_id, cut, stamped, *[tensor.shape for tensor in tensors])
        constant = self._known.get(key)
        if constant is None:
            whole = self._whole(route, cut, tensors, payloads, None, stamped)
            whole.ClearField("raw_input_contents")
            constant = whole.SerializeToString(deterministic=True)
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[key] = constant
        return constant, pb.ModelInferRequest(raw_input_contents=payloads)

    def _whole(
        self,
        route: Route,
        cut: int,
        tensors: Sequence[Array],
        payloads: Sequence[bytes],
        labels: Array | None,
        stamped: bool,
    ) -> pb.ModelInferRequest:
        manifest = self._manifest
        specs = manifest.tensors_at(cut)
        return build_request(
            manifest.name, cut, route.plan_id, None, route.codec, specs, tensors, payloads, labels, stamped
        )


class Arrival(NamedTuple):
    """A request as it was read from ``data``: as a whole; or, where it is of a known kind, its ``header`` (which says
    nothing of the deadline), in ``message`` the id and deadline added to it, and its ``contents``, not copied.
    """

    message: pb.ModelInferRequest
    data: bytes = b""
    header: Header | None = None
    contents: Sequence[memoryview] = ()

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return len(self.data) or self.message.ByteSize()


class _Known(NamedTuple):
    header: Header
    sizes: list[int]


class KnownRequests:
    """A server's requests: one that begins like an earlier one, and then only brings id, deadline and contents of
    the same sizes, need not be checked again.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}
        self._tries = TRIES

    def __len__(self) -> int:
        return len(self._known)

    def read(self, data: bytes) -> Arrival:
        """The request in ``data``.

        Raises
        ------
        google.protobuf.message.DecodeError : there is none
        """
        for constant, known in self._known.items():
            if data.startswith(constant):
                parts = split(data, len(constant), _CONTENTS)
                if parts is not None and [len(content) for content in parts[0]] == known.sizes:
                    rest = pb.ModelInferRequest.FromString(parts[1])
                    if _adds_nothing(rest):
                        return Arrival(rest, data, known.header, parts[0])
        return Arrival(pb.ModelInferRequest.FromString(data), data)

    def learn(self, arrival: Arrival, header: Header) -> None:
        """Remember a request that was found in order, if its client writes first what recurs."""
        if self._tries <= 0 or header.has_labels or not arrival.message.raw_input_contents:
            return
        self._tries -= 1
        message = pb.ModelInferRequest()
        message.CopyFrom(arrival.message)
        message.ClearField("id")
        message.ClearField("raw_input_contents")
        if _DEADLINE in message.parameters:
            del message.parameters[_DEADLINE]
        constant = message.SerializeToString(deterministic=True)
        if len(constant) > LONGEST or not arrival.data.startswith(constant):
            return
        self._tries = TRIES
        if len(self._known) >= KEPT:
            self._known.clear()
        sizes = [len(content) for content in arrival.message.raw_input_contents]
        self._known[constant] = _Known(header, sizes)


def _adds_nothing(rest: pb.ModelInferRequest) -> bool:
    """Whether the second part of a request, its contents aside, is only what differs each time."""
    parameters = rest.parameters
    return (
        not rest.model_name
        and not rest.model_version
        and not rest.inputs
        and not rest.outputs
        and len(parameters) == (_DEADLINE in parameters)
    )
