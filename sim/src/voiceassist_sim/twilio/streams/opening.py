"""Opens the websocket of a stream: who is dialled, what the upgrade carries, and which code a failure gets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from websockets.frames import Frame

from .codes import StreamCode, StreamFailed
from .dialer import Dialer
from .faults import StreamFaults
from .request import StreamRequest
from .signature import SIGNATURE_HEADER, sign
from .wire import Wire

USER_AGENT: Final = "Twilio.TmeWs/1.0"


async def dial(
    request: StreamRequest,
    dialer: Dialer,
    faults: StreamFaults,
    auth_token: str,
    *,
    on_frame: Callable[[Frame], None],
    on_violation: Callable[[str], None],
    on_lost: Callable[[Exception | None], None],
) -> Wire:
    """A websocket that is open.

    Raises:
        StreamFailed: 31902 or 31901 from the dial, 31910 from TLS, 31920 for any answer but a right 101, 31901 for none in time.
    """
    url = request.url.partition("?")[0] if faults.drop_query else request.url
    parts = urlsplit(url)
    host = parts.hostname or ""
    headers = {"user-agent": USER_AGENT, **_signature(request, faults, auth_token)}
    wire = Wire(url, headers, query=faults.query, on_frame=on_frame, on_violation=on_violation, on_lost=on_lost)
    sock = await dialer.open_socket(host, parts.port or 443)
    tls = dialer.tls(host)
    try:
        async with asyncio.timeout(dialer.handshake_timeout):
            try:
                await asyncio.get_running_loop().create_connection(lambda: wire, sock=sock, **tls)
            except OSError as error:  # ssl.SSLError is one
                raise StreamFailed(StreamCode.TLS if tls else StreamCode.BROKEN_PIPE, f"{type(error).__name__}: {error}") from error
            await wire.handshake()
    except TimeoutError:
        _drop(wire, sock)
        raise StreamFailed(StreamCode.TIMEOUT, f"no answer to the upgrade in {dialer.handshake_timeout:g} s") from None
    except BaseException:
        _drop(wire, sock)
        raise
    return wire


def _drop(wire: Wire, sock: socket.socket) -> None:
    wire.abort()
    if not wire.connected:
        sock.close()


def _signature(request: StreamRequest, faults: StreamFaults, auth_token: str) -> dict[str, str]:
    if faults.signature_header is not None:
        return {SIGNATURE_HEADER: faults.signature_header}
    if faults.signature == "none":
        return {}
    url, key = faults.signature_url or request.url, auth_token
    if faults.signature == "wrong":
        key = auth_token[::-1] + "0"
    elif faults.signature == "other_url":
        url = url.replace(request.call_sid, "CA" + "f" * 32) if request.call_sid in url else url + "f"
    elif faults.signature == "https":
        url = "https" + url.removeprefix("wss")
    return {SIGNATURE_HEADER: sign(key, url)}
