"""Checks the model's address, key and settings without a call.

The check opens a session, sends the session's configuration, and closes: no audio, no response, no tokens.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import websockets.exceptions
from websockets.asyncio.client import ClientConnection, connect
from websockets.uri import parse_uri

from voiceassist_crds.messages import StatusReason
from voiceassist_crds.proxies import STRAIGHT, Proxies
from voiceassist_crds.status import PeerReason

from ..config.snapshot import Snapshot
from ..egress import tunnel
from ..realtime.core.client_events import conversation_update
from ..realtime.core.failures import Fatal, from_close, from_code, from_handshake, named
from ..realtime.providers import provider_of
from ..realtime.websocket import network_trouble
from .peer_check import Unwell

TIMEOUT = 10.0

_REASONS = {
    StatusReason.MODEL_REFUSED: PeerReason.REFUSED,
    StatusReason.MODEL_QUOTA: PeerReason.QUOTA,
    StatusReason.MODEL_MISCONFIGURED: PeerReason.MISCONFIGURED,
}
_WORDS = {
    PeerReason.REFUSED: "refused the key ({what}); put a valid one into the Secret's model key",
    PeerReason.QUOTA: "says that the quota is used up ({what})",
    PeerReason.RATE_LIMITED: "has too many requests of this account ({what})",
    PeerReason.SERVER_ERROR: "has an error of its own ({what})",
    PeerReason.MISCONFIGURED: "has no such path or model ({what}); check model.url and model.name",
}


def _unwell(reason: PeerReason, host: str, what: str) -> Unwell:
    return Unwell(reason, f"{host} {_WORDS[reason].format(what=what)}")


def _of_handshake(status: int, body: bytes, host: str) -> Unwell:
    if 300 <= status < 400:
        message = f"{host} sends elsewhere (HTTP {status}), and nobody follows with a key; set model.url to the address itself"
        return Unwell(PeerReason.MISCONFIGURED, message)
    failure = from_handshake(status, body, None)
    if isinstance(failure, Fatal):
        return _unwell(_REASONS[failure.reason], host, f"HTTP {status}")
    return _unwell(PeerReason.RATE_LIMITED if status == 429 else PeerReason.SERVER_ERROR, host, f"HTTP {status}")


def _of_close(code: int | None, reason: str, host: str) -> Unwell:
    failure = from_close(code, reason)
    return _unwell(_REASONS[failure.reason] if isinstance(failure, Fatal) else PeerReason.SERVER_ERROR, host, f"closed with {code}")


def _of_error(error: dict[str, object], host: str) -> Unwell:
    code, kind = str(error.get("code")), str(error.get("type"))
    fatal = from_code(code, kind)
    if fatal is not None:
        return _unwell(_REASONS[fatal.reason], host, code)
    if "rate_limit_exceeded" in {code, kind}:
        return _unwell(PeerReason.RATE_LIMITED, host, code)
    if "server_error" in {code, kind}:
        return _unwell(PeerReason.SERVER_ERROR, host, code)
    what, where = named(code) or named(kind) or "an error", named(str(error.get("param"))) or "no field named"
    return Unwell(PeerReason.MISCONFIGURED, f"{host} refused the session's settings ({what}, {where}); check model in the configuration")


class _Connect(connect):
    """As a call dials: a redirection is an answer like any other, and nobody else gets the key."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Follows none."""
        return exc


async def check_model(snapshot: Snapshot, tls: ssl.SSLContext | None = None, proxies: Proxies = STRAIGHT) -> None:
    """Opens a session as a call would, and closes it. Raises Unwell that says what to do; takes at most 10 s."""
    model = snapshot.config.model
    endpoint = provider_of(model).conversation_endpoint(model, snapshot.secrets.model_key)
    host = urlsplit(endpoint.url).netloc.rpartition("@")[2]
    update = conversation_update(model, snapshot.config.prompts[0].instructions, "check")
    try:
        async with asyncio.timeout(TIMEOUT):
            uri = parse_uri(endpoint.url)
            proxy = proxies.of(uri.host, uri.port)
            way: dict[str, Any] = {"ssl": tls} if uri.secure and tls is not None else {}
            if proxy is not None:
                way["sock"] = await tunnel(proxy, uri.host, uri.port)
            headers = list(endpoint.headers)
            async with _Connect(
                endpoint.url, additional_headers=headers, compression=None, max_size=1 << 20, close_timeout=1, proxy=None, **way
            ) as socket:
                await _update(socket, update, host)
    except websockets.exceptions.InvalidStatus as error:
        raise _of_handshake(error.response.status_code, bytes(error.response.body or b""), host) from None
    except websockets.exceptions.ConnectionClosed as error:
        raise _of_close(error.rcvd.code if error.rcvd else None, error.rcvd.reason if error.rcvd else "", host) from None
    except ssl.SSLCertVerificationError as error:
        raise Unwell(
            PeerReason.MISCONFIGURED,
            f"{host} shows a certificate that cannot be trusted ({error.verify_message}); check model.url, or what stands between",
        ) from None
    except ssl.SSLError as error:
        raise Unwell(PeerReason.UNREACHABLE, f"{host}: TLS failed ({error.reason})") from None
    except TimeoutError:
        raise Unwell(PeerReason.UNREACHABLE, f"{host} did not answer within {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise Unwell(PeerReason.UNREACHABLE, f"{host} cannot be reached ({network_trouble(error)})") from None
    except (websockets.exceptions.WebSocketException, ValueError) as error:
        # the class is enough: the text may repeat a header, and in it the key
        raise Unwell(PeerReason.UNREACHABLE, f"{host} answers with something else than a session ({type(error).__name__})") from None


async def _update(socket: ClientConnection, update: bytes, host: str) -> None:
    sent = False
    async for message in socket:
        event = json.loads(message)
        if not isinstance(event, dict):
            raise ValueError("a message is no object")
        match event.get("type"):
            case "session.created" if not sent:
                sent = True
                await socket.send(update.decode())
            case "session.updated":
                return
            case "error":
                error = event.get("error")
                raise _of_error(error if isinstance(error, dict) else {}, host)
    raise _of_close(socket.close_code, socket.close_reason or "", host)


def model_relevant(snapshot: Snapshot) -> object:
    """What the answer depends on."""
    return snapshot.config.model, snapshot.secrets.model_key, snapshot.config.network, snapshot.authorities
