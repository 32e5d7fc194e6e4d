"""REST of the Open Inference Protocol v2, in the event loop of the tier, beside gRPC."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from offramp.errors import AddressInUse, ConfigError, OfframpError
from offramp.links.address import Address
from offramp.runtime.answering import Answering
from offramp.runtime.channel import MAX_MESSAGE_BYTES
from offramp.runtime.description import Description
from offramp.runtime.rest_guard import Guard
from offramp.runtime.rest_requests import parse_rest
from offramp.runtime.rest_responses import HEADER_LENGTH, build_rest, http_status_of, metadata_json

__all__ = ["Rest"]

#: connections at a time; one request each
MAX_CONNECTIONS = 128
#: seconds in which the first headers, and then a body, must have come; that an idle connection is kept; and that
#: the rest of a refused body is read, so that the client gets to see why
HEADERS_S, BODY_S, IDLE_S, LINGER_S = 10.0, 30.0, 60.0, 2.0
#: seconds that requests under way get when it is closed; those in flight were waited for before
SHUTDOWN_S = 0.2

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: whether a request with this ``Authorization`` header may come in
Authorise = Callable[[str | None], bool]

_log = logging.getLogger(__name__)


class Rest:
    """The HTTP server of one tier: the same answers as gRPC gives, by the same code.

    Parameters
    ----------
    answering : does the work
    max_body_bytes : the largest body read
    authorise : decides by the ``Authorization`` header; ``None``: everybody may ask
    """

    def __init__(
        self, answering: Answering, *, max_body_bytes: int = MAX_MESSAGE_BYTES, authorise: Authorise | None = None
    ) -> None:
        self._answering = answering
        self._description = Description(answering)
        self._max_bytes = max_body_bytes
        self._authorise = authorise
        app = web.Application(client_max_size=max_body_bytes, middlewares=[self._errors])
        self._add_routes(app.router)
        self._runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=IDLE_S,
            lingering_time=2.0,
        )
        self._guard: Guard | None = None
        self._server: asyncio.Server | None = None

    async def start(self, where: Address, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port.

        Raises
        ------
        AddressInUse : something else listens there
        """
        await self._runner.setup()
        assert self._runner.server is not None
        self._guard = Guard(self._runner.server, MAX_CONNECTIONS, HEADERS_S)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._guard, where.host, where.port, ssl=tls, reuse_address=True
            )
        except OSError as error:
            await self._runner.cleanup()
            raise AddressInUse(
                f"cannot serve REST on {where} ({error.strerror}); choose another --rest-port, or 0 for a free one"
            ) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Take no new connections and end those there are."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/healthz", self._healthz)
        router.add_get("/v2", self._metadata)
        router.add_get("/v2/", self._metadata)
        router.add_get("/v2/health/live", self._live)
        router.add_get("/v2/health/ready", self._ready)
        router.add_post("/v2/repository/index", self._index, expect_handler=self._expected)
        router.add_post("/v2/repository/models/{model}/{verb:load|unload}", self._refuse, expect_handler=self._expected)
        for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
            router.add_get(path, self._model)
            router.add_get(f"{path}/ready", self._model_ready)
            router.add_post(f"{path}/infer", self._infer, expect_handler=self._expected)

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error as ``{"error": sentence}`` with its status."""
        if self._guard is not None and request.protocol is not None:
            self._guard.spoke(request.protocol)
        try:
            refused = self._refusal(request)
            return refused if refused is not None else await handler(request)
        except OfframpError as error:
            return _error(http_status_of(error), str(error))
        except web.HTTPRequestEntityTooLarge:
            return _error(413, self._too_large("more than that was sent"))
        except web.HTTPException as error:
            return _error(error.status, _sentence(request, error.status), dict(error.headers))
        except Exception as error:
            _log.error("a request failed", exc_info=error)
            return _error(500, f"the server failed ({type(error).__name__})")

    def _refusal(self, request: web.Request) -> web.Response | None:
        """What can be said before a body is read."""
        guarded = not request.path.startswith(("/healthz", "/v2/health/"))
        if guarded and self._authorise is not None and not self._authorise(request.headers.get("Authorization")):
            return _error(401, "a bearer token is needed: send 'Authorization: Bearer TOKEN'", _WHO)
        if request.content_length is not None and request.content_length > self._max_bytes:
            return _error(413, self._too_large(f"{request.content_length} bytes were announced"))
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            return _error(415, f"bodies in Content-Encoding {encoding[:20]!r} are not taken; send the body as it is")
        return None

    def _too_large(self, how: str) -> str:
        return f"a body may have {self._max_bytes} bytes; {how}: send fewer rows"

    async def _expected(self, request: web.Request) -> web.Response | None:
        """``Expect: 100-continue``: refuse before the client sends what would not be read."""
        refused = self._refusal(request)
        if refused is None and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return refused

    async def _healthz(self, request: web.Request) -> web.Response:
        tier, ready = self._answering.tier, self._description.ready
        body = {"status": "ok" if ready else "shutting down", "tier": tier.name, "plans": list(tier.plan_ids)}
        return web.json_response(body, status=200 if ready else 503)

    async def _metadata(self, request: web.Request) -> web.Response:
        server = self._description.server()
        body = {"name": server.name, "version": server.version, "extensions": list(server.extensions)}
        return web.json_response(body)

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def _ready(self, request: web.Request) -> web.Response:
        ready = self._description.ready
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _model(self, request: web.Request) -> web.Response:
        return web.json_response(metadata_json(self._description.model(*_model(request))))

    async def _model_ready(self, request: web.Request) -> web.Response:
        self._description.require(*_model(request))
        ready = self._description.model_ready(*_model(request))
        return web.json_response({"name": _model(request)[0], "ready": ready}, status=200 if ready else 503)

    async def _index(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        try:
            asked = json.loads(body) if body else {}
            only_ready = asked.get("ready", False)
        except (ValueError, AttributeError, RecursionError) as error:
            raise ConfigError('the body must be empty or a JSON object such as {"ready": true}') from error
        index = self._description.index(only_ready=only_ready is True)
        return web.json_response(
            [
                {"name": model.name, "version": model.version, "state": model.state, "reason": model.reason}
                for model in index.models
            ]
        )

    async def _refuse(self, request: web.Request) -> web.Response:
        raise self._description.refuse(request.match_info["verb"])

    async def _infer(self, request: web.Request) -> web.Response:
        asked = parse_rest(await self._read(request), _json_bytes(request), *_model(request))
        trace = request.headers.get("traceparent")
        if trace is not None and "traceparent" not in asked.message.parameters:
            asked.message.parameters["traceparent"].string_param = trace
        response = build_rest(await self._answering.answer(asked.message), asked.binary)
        return web.Response(body=response.body, headers=response.headers)

    async def _read(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(BODY_S):
                return await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None


#: what a client without a token is told
_WHO = {"WWW-Authenticate": "Bearer"}


def _model(request: web.Request) -> tuple[str, str]:
    return request.match_info["model"], request.match_info.get("version", "")


def _json_bytes(request: web.Request) -> int | None:
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ConfigError(f"{HEADER_LENGTH} must be the number of bytes of JSON, not {text[:40]!r}")
    return int(text)


def _sentence(request: web.Request, status: int) -> str:
    where = f"{request.method} {request.path[:120]}"
    if status == 404:
        return f"{where}: no such path; see /v2 and /v2/models/NAME"
    if status == 405:
        return f"{where}: this path takes another method"
    if status == 408:
        return f"{where}: the body did not come within {BODY_S:g} s"
    return f"{where}: refused with status {status}"


def _error(status: int, sentence: str, headers: dict[str, Any] | None = None) -> web.Response:
    kept = {name: value for name, value in (headers or {}).items() if name in ("Allow", "WWW-Authenticate")}
    if status in (429, 503):
        kept["Retry-After"] = "1"
    return web.json_response({"error": sentence}, status=status, headers=kept)
