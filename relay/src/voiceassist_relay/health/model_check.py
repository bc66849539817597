"""Checks the model's address, key and settings without a call.

The check opens a session, sends the session's configuration, and closes: no audio, no response, no tokens.
"""

from __future__ import annotations

import asyncio
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
from ..realtime.core.failures import (
    FIELD_CODES,
    Failure,
    Fatal,
    from_error,
    from_handshake,
    from_refused_close,
    named,
    own_words,
    quoted,
)
from ..realtime.core.server_events import ErrorInfo, decode
from ..realtime.providers import provider_of
from ..realtime.websocket import network_trouble
from .peer_check import Unwell

TIMEOUT = 10.0
CHECK_ID = "check"

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
    return _of_failure(from_handshake(status, body, None), host, f"HTTP {status}")


def _of_failure(failure: Failure, host: str, what: str) -> Unwell:
    """`what` says shortly what was seen: a status, a code, a close."""
    if isinstance(failure, Fatal):
        reason = _REASONS[failure.reason]
        if what == "HTTP 403" and reason is PeerReason.REFUSED:  # also what many servers answer where they know no such path
            message = f"{host} takes no session from us (HTTP 403); check the key, model.name and model.url"
            return Unwell(reason, f"{message}{_said(failure.said)}")
        return Unwell(reason, f"{host} {_WORDS[reason].format(what=what)}{_said(failure.said)}")
    if failure.label in {"rate_limited", "http_429"}:
        reason = PeerReason.RATE_LIMITED
    elif failure.reason is StatusReason.MODEL_MISCONFIGURED:
        return Unwell(
            PeerReason.MISCONFIGURED, f"{host} refuses the session ({what}){_said(failure.said)}; check model in the configuration"
        )
    else:
        reason = PeerReason.SERVER_ERROR
    return Unwell(reason, f"{host} {_WORDS[reason].format(what=what)}{_said(failure.said)}")


def _said(words: str) -> str:
    return f"; it says {quoted(words)}" if words else ""


def _of_close(code: int | None, reason: str, errors: list[ErrorInfo], host: str) -> Unwell:
    what = "closed without a word" if code is None else f"closed with {code}"
    return _of_failure(from_refused_close(code, reason, errors[-1] if errors else None), host, what)


def _of_error(error: ErrorInfo, host: str) -> Unwell | None:
    """None: it is not clear yet what it means."""
    what = named(error.code) or named(error.type) or "an error"
    failure = from_error(error)
    if failure is not None:
        return _of_failure(failure, host, what)
    if error.event_id == CHECK_ID or error.code in FIELD_CODES:
        where = named(error.param) or "no field named"
        said = "" if error.param else _said(own_words(error.message))
        return Unwell(
            PeerReason.MISCONFIGURED, f"{host} refused the session's settings ({what}, {where}){said}; check model in the configuration"
        )
    return None


class _Connect(connect):
    """As a call dials: a redirection is an answer like any other, and nobody else gets the key."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Follows none."""
        return exc


async def check_model(snapshot: Snapshot, tls: ssl.SSLContext | None = None, proxies: Proxies = STRAIGHT) -> None:
    """Opens a session as a call would, and closes it. Raises Unwell that says what to do; takes at most 10 s."""
    model = snapshot.config.model
    endpoint = provider_of(model).conversation_endpoint(model, snapshot.secrets.model_key, snapshot.secrets.model_headers)
    host = urlsplit(endpoint.url).netloc.rpartition("@")[2]
    update = conversation_update(model, snapshot.config.prompts[0].instructions, CHECK_ID)
    errors: list[ErrorInfo] = []
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
                await _update(socket, update, host, errors)
    except websockets.exceptions.InvalidStatus as error:
        raise _of_handshake(error.response.status_code, bytes(error.response.body or b""), host) from None
    except websockets.exceptions.ConnectionClosed as error:
        raise _of_close(error.rcvd.code if error.rcvd else None, error.rcvd.reason if error.rcvd else "", errors, host) from None
    except ssl.SSLCertVerificationError as error:
        raise Unwell(
            PeerReason.MISCONFIGURED,
            f"{host} shows a certificate that cannot be trusted ({error.verify_message}); check model.url, or what stands between",
        ) from None
    except ssl.SSLError as error:
        raise Unwell(PeerReason.UNREACHABLE, f"{host}: TLS failed ({error.reason})") from None
    except TimeoutError:
        if errors:
            raise _of_failure(from_refused_close(None, "", errors[-1]), host, "no session") from None
        raise Unwell(PeerReason.UNREACHABLE, f"{host} did not answer within {TIMEOUT:.0f} s") from None
    except OSError as error:
        raise Unwell(PeerReason.UNREACHABLE, f"{host} cannot be reached ({network_trouble(error)})") from None
    except (websockets.exceptions.WebSocketException, ValueError) as error:
        # the class is enough: the text may repeat a header, and in it the key
        raise Unwell(PeerReason.UNREACHABLE, f"{host} answers with something else than a session ({type(error).__name__})") from None


async def _update(socket: ClientConnection, update: bytes, host: str, errors: list[ErrorInfo]) -> None:
    """`errors`: takes those whose meaning is not clear yet; what follows decides."""
    sent = False
    try:
        async for message in socket:
            event = decode(message if isinstance(message, bytes) else message.encode())
            match event.type:
                case "session.created" if not sent:
                    sent = True
                    await socket.send(update.decode())
                case "session.updated":
                    return
                case "error" if event.error is not None:
                    errors.append(event.error)
                    if (unwell := _of_error(event.error, host)) is not None:
                        raise unwell
    except websockets.exceptions.ConnectionClosed as error:
        raise _of_close(error.rcvd.code if error.rcvd else None, error.rcvd.reason if error.rcvd else "", errors, host) from None
    raise _of_close(socket.close_code, socket.close_reason or "", errors, host)


def model_relevant(snapshot: Snapshot) -> object:
    """What the answer depends on."""
    return snapshot.config.model, snapshot.secrets.model_key, snapshot.secrets.model_headers, snapshot.config.network, snapshot.authorities
