"""Tells the stream's owner about its life: Twilio's signed status callbacks, one after the other and beside the audio."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlencode, urlsplit

from .codes import StreamFailed
from .dialer import Dialer, TlsArguments
from .request import StreamRequest
from .signature import SIGNATURE_HEADER, sign

StreamEvent = Literal["stream-started", "stream-stopped", "stream-error"]

_HEAD_LIMIT: Final = 16 * 1024
_WAITING: Final = 8
"""Callbacks that may wait; a stream makes three at most, so none is ever dropped."""


@dataclass(slots=True)
class Delivery:
    """What became of one callback: the HTTP status, or why there was none."""

    event: StreamEvent
    stream_error: str | None
    status: int | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the stream's statistics."""
        return {"event": self.event, "streamError": self.stream_error, "status": self.status, "error": self.error}


class StatusCallbacks:
    """The callbacks of one stream. Each is tried once, as Twilio's page promises no repetition."""

    def __init__(self, request: StreamRequest, dialer: Dialer, auth_token: Callable[[], str]) -> None:
        self._request = request
        self._dialer = dialer
        self._auth_token = auth_token
        self._queue: asyncio.Queue[tuple[Delivery, dict[str, str]] | None] = asyncio.Queue(_WAITING)
        self._task: asyncio.Task[None] | None = None
        self.deliveries: list[Delivery] = []

    def post(self, event: StreamEvent, error: str | None = None) -> None:
        """Deliver an event in the background; without a callback address nothing happens."""
        request = self._request
        if request.status_callback is None:
            return
        form = {
            "AccountSid": request.account_sid,
            "CallSid": request.call_sid,
            "StreamSid": request.stream_sid,
            "StreamName": request.name or request.stream_sid,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if error is not None:
            form["StreamError"] = error
        delivery = Delivery(event, error)
        self.deliveries.append(delivery)
        self._queue.put_nowait((delivery, form))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name=f"callbacks {request.stream_sid}")

    async def drain(self) -> None:
        """Wait until everything posted was delivered or has failed."""
        if self._task is not None:
            self._queue.put_nowait(None)
            await self._task

    def cancel(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        while (item := await self._queue.get()) is not None:
            delivery, form = item
            try:
                async with asyncio.timeout(self._dialer.callback_timeout):
                    delivery.status = await self._deliver(form)
            except TimeoutError:
                delivery.error = f"no answer in {self._dialer.callback_timeout:g} s"
            except StreamFailed as failure:
                delivery.error = failure.detail
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                delivery.error = f"{type(error).__name__}: {error}"

    async def _deliver(self, form: dict[str, str]) -> int:
        url, get = self._request.status_callback or "", self._request.status_callback_method.upper() == "GET"
        if get:
            url += ("&" if "?" in url else "?") + urlencode(form)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the status callback has to be an http or https address")
        head, body = _request(parts, None if get else urlencode(form).encode(), sign(self._auth_token(), url, None if get else form))
        sock = await self._dialer.open_socket(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        tls: TlsArguments = self._dialer.tls(parts.hostname) if parts.scheme == "https" else {}
        try:
            reader, writer = await asyncio.open_connection(sock=sock, limit=_HEAD_LIMIT, **tls)
        except BaseException:
            sock.close()
            raise
        try:
            writer.write(head + body)
            await writer.drain()
            status = int((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].split(b" ", 2)[1])
            await reader.read(_HEAD_LIMIT)
        except IndexError:
            raise ValueError("the server's answer is not HTTP") from None
        finally:
            writer.close()
        return status


def _request(parts: SplitResult, body: bytes | None, signature: str) -> tuple[bytes, bytes]:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{'GET' if body is None else 'POST'} {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        "User-Agent: TwilioProxy/1.1",
        "Accept: */*",
        "Connection: close",
        f"I-Twilio-Idempotency-Token: {secrets.token_hex(16)}",
        f"{SIGNATURE_HEADER}: {signature}",
    ]
    if body is not None:
        lines += ["Content-Type: application/x-www-form-urlencoded; charset=UTF-8", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body or b""
