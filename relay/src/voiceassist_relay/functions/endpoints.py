"""One request to a public function, from its headers to its answer: origin, method, query, body, errors, counting."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..call.dependencies import FunctionDependencies
from ..errors import RequestRefused
from .cors import answer_headers, origin_allowed, preflight_headers
from .requests import MAX_BODY_BYTES, refuse_query, too_large

BODY_SECONDS: Final = 10.0
OTHER_PATH: Final = "other"
"""What stands in the metrics for a path that there is not."""
EVERY_METHOD: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

Handler = Callable[[Request], Awaitable[Response]]

log = structlog.get_logger("voiceassist.functions")


def dispatch(deps: FunctionDependencies, endpoints: Mapping[str, Handler]) -> Handler:
    """Finds the function of a request's path, behind the path prefix of the configuration in force."""

    async def serve(request: Request) -> Response:
        path, prefix = request.scope["path"], deps.current().config.path_prefix
        found = endpoints.get(path[len(prefix) :]) if path.startswith(prefix) else None
        if found is None:
            deps.metrics.http(OTHER_PATH, 404)
            return refusal(not_found())
        return await found(request)

    return serve


def endpoint(deps: FunctionDependencies, path: str, handlers: Mapping[str, Handler], *, for_browsers: bool) -> Handler:
    """The function at `path`, by method. Whatever happens, the answer is JSON, counted, and readable by
    the page that asked, if its origin may ask."""
    methods = list(handlers)

    async def serve(request: Request) -> Response:
        try:
            response = await _served(request)
        except RequestRefused as refused:
            response = refusal(refused)
        except ClientDisconnect:
            response = refusal(RequestRefused(400, "disconnected", "The connection was closed.", ""))
        except Exception as error:
            log.error("function failed", path=path, error=type(error).__name__, exc_info=error)
            response = refusal(RequestRefused(500, "internal", "The relay failed at this request.", "Try again; the relay's log has more."))
        if for_browsers:
            response.headers.update(answer_headers(request.headers.get("origin", ""), deps.current().config.functions.allowed_origins))
        if response.status_code == 405:
            response.headers["Allow"] = ", ".join(methods)
        response.headers["Cache-Control"] = "no-store"
        deps.metrics.http(path, response.status_code)
        return response

    async def _served(request: Request) -> Response:
        if for_browsers:
            origin = request.headers.get("origin", "")
            if not origin_allowed(origin, deps.current().config.functions.allowed_origins):
                raise _origin_refused(origin)
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=dict(preflight_headers(methods)))
        handler = handlers.get(request.method)
        if handler is None:
            raise _method_refused(request.method, methods)
        if for_browsers:
            refuse_query(request.url.query)
        return await handler(request)

    return serve


async def read_body(request: Request) -> bytes:
    """The body, bounded in size and time. Raises RequestRefused (408, 413)."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise too_large()
    except TimeoutError:
        raise RequestRefused(408, "slow", f"the body did not arrive within {BODY_SECONDS:g} s", "Send it at once.") from None
    return bytes(body)


def refusal(refused: RequestRefused) -> Response:
    """The one form of every error: {"error": {"code", "message", "hint", "twilio"?: {"code", "status"}}}."""
    error: dict[str, Any] = {"code": refused.code, "message": refused.message, "hint": refused.hint}
    if refused.twilio is not None:
        error["twilio"] = {"code": refused.twilio.code, "status": refused.twilio.status}
    headers = {} if refused.retry_after is None else {"Retry-After": str(max(1, math.ceil(refused.retry_after)))}
    return JSONResponse({"error": error}, status_code=refused.status, headers=headers)


def not_found() -> RequestRefused:
    """There is no such path."""
    return RequestRefused(
        404, "not_found", "There is nothing at this address.", "Known: /stream, /token, /feedback, below the path prefix."
    )


def install_json_errors(app: FastAPI) -> None:
    """Gives an app's own 404 and 405 (and what else its framework raises) the same form."""

    async def from_framework(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 404:
            return refusal(not_found())
        response = refusal(RequestRefused(status, "http", f"HTTP {status}", "See docs/functions.md for what can be asked."))
        response.headers.update(getattr(error, "headers", None) or {})
        return response

    async def from_us(_: Request, error: Exception) -> Response:
        if isinstance(error, RequestRefused):
            return refusal(error)
        raise error

    app.add_exception_handler(HTTPException, from_framework)
    app.add_exception_handler(RequestRefused, from_us)


def _origin_refused(origin: str) -> RequestRefused:
    shown = origin if len(origin) <= 100 and origin.isprintable() else f"{len(origin)} characters"
    return RequestRefused(
        403,
        "origin",
        f"Origin: {shown!r} given; it is not in functions.allowedOrigins.",
        "An administrator can add it to the configuration.",
    )


def _method_refused(method: str, methods: list[str]) -> RequestRefused:
    return RequestRefused(
        405, "method", f"{method[:20]} given; allowed: {', '.join(methods)}", "See docs/functions.md for what can be asked."
    )
