"""What answers in place of the API server, a proxy or a balancer, as the API server would put it: every error has a Status.

The client library reads an error's body by its `Content-Type`, and fails at what load balancers send: none at all, an empty body under
`application/json`, a page of HTML; `application/json; charset=utf-8` it does not take for JSON. So it is given Statuses only.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx2

from .transport import MOST_CONNECTIONS, Transport

MAX_STATUS_BYTES = 65_536
"""A Status is far smaller; what is longer is not read to its end."""
NOT_FROM_THE_API = "NotFromTheApi"
"""Reason of a Status that we made ourselves: whoever answered was not the API server."""
NO_SUCH_PATH = "NoSuchPath"
"""Reason of a Status for the plain text with which an API server, as other programs in Go, says that it knows no such group."""
NOT_FOUND = "NotFound"
_OWN_BODY = ("content-type", "content-length", "content-encoding", "transfer-encoding")


def status_of(code: int, content_type: str, body: bytes) -> dict[str, Any]:
    """Returns the Status for an answer with an HTTP status of 300 or more; what somebody else than the API server said is not repeated."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is one, too
        given = None
    if isinstance(given, dict) and given.get("kind") == "Status" and given.get("apiVersion") == "v1":
        message, reason = given.get("message"), given.get("reason")
        return _failure(code, reason if isinstance(reason, str) else "", message if isinstance(message, str) else "")
    kind = content_type.partition(";")[0].strip()[:60]
    if code == 404 and kind == "text/plain" and body.strip() == b"404 page not found":
        return _failure(code, NO_SUCH_PATH, "the API server does not know the kind")
    what = f"{len(body)} bytes of {kind or 'no content type'}" if body else "an empty body"
    return _failure(code, NOT_FROM_THE_API, f"HTTP {code} with {what}, which is no answer of the API server's; what stands before it?")


def _failure(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def verb_and_resource(method: str, path: str, query: str, content_type: str) -> tuple[str, str]:
    """Returns what a request does and to what, such as ("apply", "deployments"), ("patch", "voiceassists/status"), ("watch", "pods")."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[:1] == ["namespaces"]:
        parts = parts[2:]
    resource = "/".join((*parts[:1], *parts[2:3]))
    if method == "GET":
        return ("get" if len(parts) > 1 else "watch" if "watch=1" in query or "watch=true" in query else "list"), resource
    return ("apply" if "apply-patch" in content_type else _VERBS.get(method, "other")), resource


class ApiTransport(Transport):
    """A transport whose error answers are all Statuses; what else comes is passed on as it is."""

    def __init__(
        self, tls: ssl.SSLContext | bool, *, sent: Callable[[str, str], None] = lambda *_: None, most: int = MOST_CONNECTIONS
    ) -> None:
        """`sent` is told of each request: what it does, and to what; there are `most` connections at one time."""
        super().__init__(tls, most)
        self._sent = sent

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends one request. Raises httpx2.TransportError."""
        url, content_type = request.url, request.headers.get("content-type", "")
        self._sent(*verb_and_resource(request.method, url.path, url.query.decode("ascii", "replace"), content_type))
        answer = await super().handle_async_request(request)
        if answer.status_code < 300:
            return answer
        # Decoded (gzip) by the response itself.
        body = b""
        try:
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_STATUS_BYTES:
                    break
        except httpx2.DecodingError:
            body = b""
        finally:
            await answer.aclose()
        status = status_of(answer.status_code, answer.headers.get("content-type", ""), body)
        kept = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in _OWN_BODY]
        return httpx2.Response(answer.status_code, headers=kept, json=status, extensions=answer.extensions, request=request)
