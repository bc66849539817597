"""Checks the model's address, key and settings without a call.

`check_model` opens a session, sends the session's configuration, and closes: no audio, no response, no tokens. `try_model` goes on with a
conversation of a second: a phrase that ships with the relay, and one response.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

import websockets.exceptions
from websockets.asyncio.client import ClientConnection, connect
from websockets.uri import parse_uri

from voiceassist_crds.config import AudioFormat, ModelConfig, TurnDetection
from voiceassist_crds.messages import StatusReason
from voiceassist_crds.proxies import STRAIGHT, Proxies
from voiceassist_crds.status import PeerReason

from ..config.snapshot import Snapshot
from ..egress import tunnel
from ..realtime.core.audio_format import encoder
from ..realtime.core.client_events import append, conversation_update
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
from ..realtime.core.server_events import ErrorInfo, NotAnEvent, ServerEvent, decode
from ..realtime.core.trial import Found, Trial
from ..realtime.providers import is_format_chosen, provider_of
from ..realtime.websocket import network_trouble
from .peer_check import Unwell

TIMEOUT = 10.0
CHECK_ID = "check"
TRIAL = 8.0
_BYTES_PER_MS: Final = 8
_CHUNK: Final = 100 * _BYTES_PER_MS
_SILENCE: Final = b"\xff"
_SILENT_MS: Final = 3_500
"""Silence behind the phrase, at most: a server counts none that it does not hear."""
_ONE_TURN_MS: Final = 300
_TRANSCRIPT: Final = 2.0
"""Seconds that are waited for the words after the answer."""
_LAST_WORDS: Final = 1.0
"""Seconds that are waited for what a server said before it closed."""

_BRIEF: Final = "A customer speaks with an agent. Say with the tool what the agent can say next."
"""In place of the prompt, which costs more and adds nothing here."""

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
        if reason is PeerReason.REFUSED and failure.said and not what.startswith("HTTP"):  # a gateway may tell of its own key
            return Unwell(reason, f"{host} does not accept a key, ours or its own ({what}){_said(failure.said)}; check both")
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
    """Opens a session as a call with the first prompt would, and closes it. Raises Unwell that says what to do; takes at most 10 s."""
    async with _session(snapshot, snapshot.config.model_of(snapshot.config.prompts[0]), tls, proxies):
        pass


async def try_model(
    snapshot: Snapshot,
    tls: ssl.SSLContext | None = None,
    proxies: Proxies = STRAIGHT,
    *,
    patience: float = TRIAL,
    on_found: Callable[[Found], None] = lambda _: None,
) -> list[Found]:
    """Has a conversation of a second, in the format in force; where none is chosen and the server is nobody's we know, in each.

    Goes on to the next format only while none has gone well. Raises Unwell that says what to do: no session, or no answer in any format.
    `patience`: seconds for the end of the turn, and for the answer. `on_found` is told of each conversation, whatever came of it.
    """
    model = snapshot.config.model_of(snapshot.config.prompts[0])
    chosen = is_format_chosen(model)
    found: list[Found] = []
    refused: Unwell | None = None
    for form in [provider_of(model).audio_format(model)] if chosen else list(AudioFormat):
        one = model.model_copy(update={"audio_format": form, "turn_detection": _patient(model.turn_detection)})
        try:
            async with _session(snapshot, one, tls, proxies, _BRIEF) as (socket, host):
                found.append(await _converse(socket, one, form, patience))
                on_found(found[-1])
        except Unwell as unwell:
            if chosen or unwell.reason is not PeerReason.MISCONFIGURED:
                raise
            refused = refused or unwell  # perhaps of this format alone
            continue
        if found[-1].well:
            return found
    if not found and refused is not None:
        raise refused
    raise _of_trial(found, host, chosen=chosen)


def _patient(detection: TurnDetection) -> TurnDetection:
    """Settings under which the phrase is one turn: shorter silences are in the middle of it."""
    if detection.silence_ms is None or detection.silence_ms >= _ONE_TURN_MS:
        return detection
    return detection.model_copy(update={"silence_duration_ms": _ONE_TURN_MS})


def _of_trial(found: list[Found], host: str, *, chosen: bool) -> Unwell:
    for one in found:
        errors = [one.error] if one.error is not None else []
        if errors and (unwell := _of_error(errors[0], host)) is not None:
            return unwell
        if one.closed is not None:
            return _of_close(*one.closed, errors, host)
    told = "; ".join(one.told() for one in found)
    if any(one.misread for one in found):
        way = "choose another model.audioFormat" if chosen else "it takes none of the formats that there are"
        return Unwell(PeerReason.AUDIO_FORMAT, f"{host} does not hear us ({told}); {way}")
    # it may be slow, or have a bad moment: no reason to give up at once
    return Unwell(
        PeerReason.SERVER_ERROR, f"{host} takes the session, but gives no answer ({told}); check model.name and model.audioFormat"
    )


@asynccontextmanager
async def _session(
    snapshot: Snapshot, model: ModelConfig, tls: ssl.SSLContext | None, proxies: Proxies, instructions: str = ""
) -> AsyncIterator[tuple[ClientConnection, str]]:
    """A session whose settings are in force, and its host; with the first prompt where no `instructions` are given.

    Raises Unwell; from the body what the socket raises.
    """
    endpoint = provider_of(model).conversation_endpoint(model, snapshot.secrets.model_key, snapshot.secrets.model_headers)
    host = urlsplit(endpoint.url).netloc.rpartition("@")[2]
    update = conversation_update(model, instructions or snapshot.config.prompts[0].instructions, CHECK_ID)
    errors: list[ErrorInfo] = []
    try:
        async with asyncio.timeout(TIMEOUT) as limit:
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
                limit.reschedule(None)
                yield socket, host
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
    """`errors`: takes those whose meaning is not clear yet; what follows decides.

    The settings go out at once, as a call's do: a gateway may have lost the `session.created` that came before it was ready.
    Where the server has closed already, what it said before is read all the same.
    """
    with suppress(websockets.exceptions.ConnectionClosed):
        await socket.send(update.decode())
    try:
        async for message in socket:
            event = _read(message)
            match event.type:
                case "session.updated":
                    return
                case "error" if event.error is not None:
                    errors.append(event.error)
                    if (unwell := _of_error(event.error, host)) is not None:
                        raise unwell
    except websockets.exceptions.ConnectionClosed as error:
        raise _of_close(error.rcvd.code if error.rcvd else None, error.rcvd.reason if error.rcvd else "", errors, host) from None
    raise _of_close(socket.close_code, socket.close_reason or "", errors, host)


@cache
def _phrase() -> bytes:
    """What a caller says first, as mu-law at 8 kHz: an utterance of examples/calls/lost-parcel.wav."""
    return files(__package__).joinpath("phrase.ulaw").read_bytes()


async def _converse(socket: ClientConnection, model: ModelConfig, form: AudioFormat, patience: float) -> Found:
    """Speaks at the pace of speech, then listens. Returns what was found also where the server falls silent or closes."""
    phrase, encode, loop = _phrase(), encoder(form), asyncio.get_running_loop()
    trial = Trial(model, form, len(phrase) / _BYTES_PER_MS)

    news, over = asyncio.Event(), False

    async def listen() -> None:
        nonlocal over
        try:
            async for message in socket:
                for answer in trial.received(_read(message), loop.time()):
                    await socket.send(answer.decode())
                news.set()
        finally:
            over = True
            news.set()

    async def until(done: Callable[[], bool], seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not done() and not over:
                    news.clear()
                    await news.wait()

    listening = asyncio.create_task(listen())
    try:
        audio = phrase + _SILENCE * (_SILENT_MS * _BYTES_PER_MS)
        for at in range(0, len(audio), _CHUNK):
            if trial.asked or over:
                break
            payload = base64.b64encode(audio[at : at + _CHUNK])
            await socket.send(append(payload if encode is None else encode(payload)).decode())
            trial.sent_ms += min(_CHUNK, len(audio) - at) / _BYTES_PER_MS
            await asyncio.sleep(_CHUNK / _BYTES_PER_MS / 1000)
        for event in trial.silent():
            await socket.send(event.decode())
        await until(lambda: trial.found.over, patience)
        await until(lambda: trial.found.transcribed or model.transcription is None, _TRANSCRIPT)
    except websockets.exceptions.ConnectionClosed:  # told below, with what was found until then
        await until(lambda: False, _LAST_WORDS)  # what came before the close may not have been read yet
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    if over and not trial.found.over:
        trial.found.closed = socket.close_code, socket.close_reason or ""
    return trial.found


def _read(message: str | bytes) -> ServerEvent:
    try:
        return decode(message if isinstance(message, bytes) else message.encode())
    except NotAnEvent:
        return ServerEvent("")


def model_relevant(snapshot: Snapshot) -> object:
    """What the answer depends on."""
    model = snapshot.config.model_of(snapshot.config.prompts[0])
    return model, snapshot.secrets.model_key, snapshot.secrets.model_headers, snapshot.config.network, snapshot.authorities
