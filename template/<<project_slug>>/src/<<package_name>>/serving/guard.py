"""What every request passes first: it gets an id, is counted and timed, and may be turned away at once."""

import hmac
import logging
import os
import re
from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from .metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page and the documentation hold nothing that is secret; whether the endpoint lives, a platform asks without a key.
OPEN = frozenset(
    {"/", "/health", "/ready", "/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/openapi.json"}
)
# Answered also when there is too much to do: to be restarted, or not to be seen, would make it worse.
WATCHED = frozenset({"/health", "/ready", "/metrics"})
# An id that a caller brings is kept if it can do no harm in a log.
SANE_ID = re.compile(rb"[\w.:/+=-]{1,64}")

logger = logging.getLogger(__name__)


class Guard:
    """ASGI middleware that refuses who has no key, and everybody while the endpoint is overloaded.

    Plain ASGI: Starlette's BaseHTTPMiddleware would cost a task for each request.
    """

    def __init__(self, app: "ASGIApp", metrics: Metrics, overloaded: Callable[[], bool], api_key: str | None) -> None:
        self.app = app
        self._metrics = metrics
        self._overloaded = overloaded
        self._key = api_key and api_key.encode()
        # It must tell requests apart, also those of other workers; nobody needs to be kept from guessing it.
        worker = os.urandom(4).hex()
        self._new_ids = (f"{worker}-{number}".encode() for number in count(1))

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass the request on, or refuse it; note its id, route, status and duration."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = scope["begun"] = perf_counter()
        headers = dict(scope["headers"])
        brought = headers.get(b"x-request-id", b"")
        request_id = brought if SANE_ID.fullmatch(brought) else next(self._new_ids)
        status = 500  # unless a response begins

        async def marking(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        try:
            await (self._refusal(scope["path"], headers) or self.app)(scope, receive, marking)
        except Exception:
            logger.exception("A request failed", extra={"request_id": request_id.decode()})
            detail = "The endpoint failed. Its log says why, under the x-request-id of this answer."
            await JSONResponse({"detail": detail}, 500)(scope, receive, marking)
        finally:
            seconds = perf_counter() - begun
            # The route's pattern, not the path: a scan for odd paths must not make a series for each of them.
            route = scope["route"].path if "route" in scope else "none"
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.latency.labels(route).observe(seconds)
            logger.debug(
                "%s %s %d in %.1f ms",
                *(scope["method"], route, status, seconds * 1000),
                extra={"request_id": request_id.decode()},
            )

    def _refusal(self, path: str, headers: dict[bytes, bytes]) -> "ASGIApp | None":
        """Return what refuses a request, or None if it may pass."""
        if self._key and path not in OPEN and not hmac.compare_digest(key_of(headers), self._key):
            detail = "Send the endpoint's key, as x-api-key or as Authorization: Bearer."
            return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer"})
        if path not in WATCHED and self._overloaded():
            return JSONResponse({"detail": "There is too much to do. Try again."}, 503, {"Retry-After": "1"})
        return None


def key_of(headers: dict[bytes, bytes]) -> bytes:
    """Return the key that a request brings, or nothing."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return headers.get(b"x-api-key") or (token.strip() if scheme.lower() == b"bearer" else b"")


def declare_key(app: FastAPI) -> None:
    """Say in an app's documentation which routes ask for the key, and where it may stand."""
    schema = app.openapi()
    schema["components"]["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    for path, operations in schema["paths"].items():
        if path not in OPEN:
            for operation in operations.values():
                operation["security"] = [{"key": []}, {"bearer": []}]
                operation["responses"]["401"] = {"description": "The key is missing or wrong"}
