"""Checks the model's address, key and settings without a call.

The check opens a session, sends the session's configuration, and closes: no audio, no response, no tokens.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from urllib.parse import urlsplit

import websockets.exceptions
from websockets.asyncio.client import ClientConnection, connect

from voiceassist_crds.status import PeerReason

from .peer_check import Unwell
from .realtime.client_events import conversation_update
from .realtime.endpoint import conversation_endpoint
from .snapshot import Snapshot

TIMEOUT = 10.0

_REFUSED = frozenset({401, 403})


def _of_status(status: int, host: str) -> Unwell:
    if status in _REFUSED:
        return Unwell(PeerReason.REFUSED, f"{host} refused the key (HTTP {status}); put a valid one into the Secret's model key")
    if status == 404:
        return Unwell(PeerReason.MISCONFIGURED, f"{host} has no such path or model (HTTP 404); check model.url and model.name")
    if status == 429:
        return Unwell(PeerReason.RATE_LIMITED, f"{host} answers 429: too many requests, or the quota is used up")
    return Unwell(PeerReason.SERVER_ERROR, f"{host} answered the handshake with HTTP {status}")


def _of_error(error: dict[str, object], host: str) -> Unwell:
    code, text = str(error.get("code")), str(error.get("message"))[:200]
    if code in {"invalid_api_key", "account_deactivated"}:
        return Unwell(PeerReason.REFUSED, f"{host} refused the key ({code})")
    if code in {"insufficient_quota", "billing_hard_limit_reached"}:
        return Unwell(PeerReason.QUOTA, f"{host} says that the quota is used up ({code})")
    return Unwell(PeerReason.MISCONFIGURED, f"{host} refused the session's settings ({code}, {error.get('param')}): {text}")


async def check_model(snapshot: Snapshot) -> None:
    """Opens a session as a call would, and closes it. Raises Unwell that says what to do; takes at most 10 s."""
    model = snapshot.config.model
    endpoint = conversation_endpoint(model, snapshot.secrets.model_key)
    host = urlsplit(endpoint.url).netloc
    update = conversation_update(model, snapshot.config.prompts[0].instructions, "check")
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            connect(
                endpoint.url, additional_headers=list(endpoint.headers), compression=None, max_size=1 << 20, close_timeout=1, proxy=None
            ) as socket,
        ):
            await _update(socket, update, host)
    except websockets.exceptions.InvalidStatus as error:
        raise _of_status(error.response.status_code, host) from None
    except ssl.SSLError as error:
        raise Unwell(PeerReason.UNREACHABLE, f"{host}: TLS failed ({error.reason})") from None
    except TimeoutError:
        raise Unwell(PeerReason.UNREACHABLE, f"{host} did not answer within {TIMEOUT:.0f} s") from None
    except (OSError, websockets.exceptions.WebSocketException, ValueError) as error:
        raise Unwell(PeerReason.UNREACHABLE, f"{host} cannot be reached ({type(error).__name__}: {str(error)[:120]})") from None


async def _update(socket: ClientConnection, update: bytes, host: str) -> None:
    sent = False
    async for message in socket:
        event = json.loads(message)
        match event.get("type"):
            case "session.created" if not sent:
                sent = True
                await socket.send(update.decode())
            case "session.updated":
                return
            case "error":
                raise _of_error(event.get("error") or {}, host)
    raise Unwell(PeerReason.SERVER_ERROR, f"{host} closed the session at once (code {socket.close_code})")


def model_relevant(snapshot: Snapshot) -> object:
    """What the answer depends on."""
    return snapshot.config.model, snapshot.secrets.model_key
