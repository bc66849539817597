"""Twilio's REST API over one bounded pool of connections: requests out, parsed answers or one of three errors back.

Nothing is retried here: whether a request may be repeated is known to its caller only (see `retry`). Bodies, answers
and credentials are never logged.
"""

from __future__ import annotations

import asyncio
import base64
import json as jsonlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import structlog
from yarl import URL

from voiceassist_crds.retry_after import retry_after

from ..config.snapshot import CurrentSnapshot, Snapshot
from ..egress import Egress, authorization
from ..errors import TwilioBusy, TwilioError, TwilioRefused, TwilioUnclear
from ..metrics.relay_metrics import RelayMetrics
from .retry import RetryPolicy, retrying

__all__ = ["Answer", "Form", "FormValue", "RetryPolicy", "TwilioRest", "retrying", "segment"]

TIMEOUT_SECONDS = 5.0
CONCURRENT = 64
"""Requests to one product under way at once from one relay process; Twilio answers 429 to accounts with too many."""
MAX_CONNECTIONS = 256
"""Sockets to all of Twilio."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""A page of 100 Map items is at most 1.6 MB."""
_MESSAGE_LENGTH = 300
_NO_ANSWER = 0
_AS_IT_IS = re.compile(r"[A-Za-z0-9_.~-]*")
_ENCODED = re.compile(r"[A-Za-z0-9_.~%-]*")
_OFTEN = tuple(
    (character, f"%{ord(character):02X}") for character in "%\"{}:, /+='?[]\\!"
)  # the sign of what is encoded itself comes first

FormValue = str | int | bool | Sequence[str]
Form = Mapping[str, FormValue]
"""A form body: a list becomes a repeated field, true and false are written as Twilio writes them. Names need no encoding."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Twilio answered to a request that it accepted (2xx). `headers` are case-insensitive."""

    status: int
    body: dict[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def segment(name: str) -> str:
    """One segment of a path, percent-encoded: names may hold slashes, spaces, anything."""
    return _quoted(name)


def _quoted(text: str) -> str:
    """Percent-encoded. What JSON is full of goes quickly; whatever is left then that must not stay is for `quote`."""
    if _AS_IT_IS.fullmatch(text):
        return text
    quick = text
    for character, instead in _OFTEN:
        if character in quick:
            quick = quick.replace(character, instead)
    return quick if _ENCODED.fullmatch(quick) else quote(text, safe="")


def default_session() -> aiohttp.ClientSession:
    """A session for Twilio: bounded pool, no cookies, no proxies from the environment, no time limits of its own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"User-Agent": "voiceassist-relay"},
        trust_env=False,
    )


class TwilioRest:
    """Requests to Twilio with the credentials and addresses of the snapshot in force.

    Signs in with the API key where there is one, else (or with `as_account`) with the account's SID and auth token. At most
    `concurrent` requests are under way at once to one product; others wait, and the wait counts towards their time limit. So a
    product that hangs (Sync, with many calls) does not keep requests from the others.
    """

    def __init__(
        self,
        current: CurrentSnapshot,
        metrics: RelayMetrics,
        session_factory: Callable[[], aiohttp.ClientSession] = default_session,
        *,
        concurrent: int = CONCURRENT,
        egress: Egress | None = None,
    ) -> None:
        """Without an `egress` all is reached straight, and the system's authorities are trusted."""
        self._egress = egress
        self._current = current
        self._metrics = metrics
        self._session_factory = session_factory
        self._session: aiohttp.ClientSession | None = None
        self._slots = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(concurrent))
        self._closed = False

    async def request(
        self,
        operation: str,
        product: str,
        method: str,
        path: str,
        *,
        form: Form | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        as_account: bool = False,
    ) -> Answer:
        """One request, once.

        `operation` names it in errors and the log (never a SID); `product`, by which it is counted, is api, sync, iam, taskrouter
        or flex-api; `path` begins with a slash, its segments and query already encoded (`segment`); `timeout` in seconds covers
        everything, 5 by default. Raises TwilioRefused (4xx: nothing was done), TwilioBusy (429, or no free connection in time:
        nothing was done) and TwilioUnclear (5xx, no answer in time, connection broken, answer not readable: it may have been
        done).
        """
        began = time.monotonic()
        try:
            prepared = _prepared(
                self._current(), operation, product, method, path, form=form, json=json, headers=headers, as_account=as_account
            )
            answer = await self._exchange(prepared, self._slots[product], TIMEOUT_SECONDS if timeout is None else timeout)
        except TwilioError as error:
            outcome = _outcome(error)
            self._metrics.twilio_request(product, outcome)
            log.debug(
                "twilio_request_failed",
                operation=operation,
                outcome=outcome,
                status=error.status,
                code=error.code,
                seconds=round(time.monotonic() - began, 3),
            )
            raise
        self._metrics.twilio_request(product, "ok")
        return answer

    async def aclose(self) -> None:
        """Closes every connection; requests made later fail. Idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, request: _Prepared, slots: asyncio.Semaphore, timeout: float) -> Answer:
        operation, sent = request.operation, False
        try:
            async with asyncio.timeout(timeout), slots:
                session = self._open_session(operation)
                sent = True
                async with session.request(
                    request.method, request.url, data=request.data, headers=request.headers, allow_redirects=False, **self._way(request.url)
                ) as response:
                    body = await _bounded_body(response.content)
                    status, headers = response.status, response.headers
        except TimeoutError:
            if sent:
                raise TwilioUnclear(operation, _NO_ANSWER, 0, f"no answer within {timeout:g} s") from None
            raise TwilioBusy(operation, _NO_ANSWER, 0, f"no free connection within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The class is enough: an error's text may repeat the URL.
            raise TwilioUnclear(operation, _NO_ANSWER, 0, f"the connection failed ({type(error).__name__})") from error
        return _judged(operation, status, body, headers)

    def _way(self, url: URL) -> dict[str, Any]:
        """What aiohttp is told of the way to an address."""
        if self._egress is None:
            return {}
        proxy = self._egress.proxies().of(url.host or "", url.port or 0)
        through = {} if proxy is None else {"proxy": proxy.url, "proxy_headers": authorization(proxy)}
        return {"ssl": self._egress.tls(), **through} if url.scheme == "https" else through

    def _open_session(self, operation: str) -> aiohttp.ClientSession:
        if self._closed:
            raise TwilioRefused(operation, _NO_ANSWER, 0, "the relay is closing its connections")
        if self._session is None:
            self._session = self._session_factory()
        return self._session


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request that is ready to be written."""

    operation: str
    method: str
    url: URL
    headers: dict[str, str] = field(repr=False)
    data: bytes | None = field(repr=False)


def _prepared(
    snapshot: Snapshot,
    operation: str,
    product: str,
    method: str,
    path: str,
    *,
    form: Form | None,
    json: Any,
    headers: Mapping[str, str] | None,
    as_account: bool,
) -> _Prepared:
    url = URL(snapshot.config.twilio.base_url(product) + path, encoded=True)
    all_headers = {"Authorization": _authorization(operation, snapshot, as_account), "Accept": "application/json"}
    data: bytes | None = None
    if form is not None:
        data = _form_body(form)
        all_headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif json is not None:
        data = jsonlib.dumps(json, separators=(",", ":")).encode()
        all_headers["Content-Type"] = "application/json"
    all_headers.update(headers or {})
    return _Prepared(operation, method, url, all_headers, data)


async def _bounded_body(content: aiohttp.StreamReader) -> bytes:
    """The whole body, or a little more than the limit of one that is too long."""
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            break
    return b"".join(parts)


def _authorization(operation: str, snapshot: Snapshot, as_account: bool) -> str:
    secrets = snapshot.secrets
    if secrets.api_key_sid and secrets.api_key_secret and not as_account:
        name, password = secrets.api_key_sid, secrets.api_key_secret
    elif secrets.auth_token:
        name, password = snapshot.config.twilio.account_sid, secrets.auth_token
    else:
        raise TwilioRefused(operation, HTTPStatus.UNAUTHORIZED, 20003, "the secrets hold neither an API key nor an auth token")
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def _form_body(form: Form) -> bytes:
    pairs: list[str] = []
    for name, value in form.items():
        values = [value] if isinstance(value, str | int) else value
        for item in values:
            text = ("true" if item else "false") if isinstance(item, bool) else str(item)
            pairs.append(f"{name}={_quoted(text)}")
    return "&".join(pairs).encode()


def _judged(operation: str, status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer, or the error that it stands for."""
    parsed = _parsed(body)
    if 200 <= status < 300:
        if parsed is None:
            raise TwilioUnclear(operation, status, 0, "the answer is not a JSON object")
        return Answer(status, parsed, headers)
    code, said = _problem(parsed or {})
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise TwilioBusy(operation, status, code, "", retry_after(headers.get("Retry-After"), time.time()), said=said)
    if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
        raise TwilioUnclear(operation, status, code, "", retry_after(headers.get("Retry-After"), time.time()), said=said)
    raise TwilioRefused(operation, status, code, said=said)


def _parsed(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; {} for an empty one; None if it is anything else or too long."""
    if not body:
        return {}
    if len(body) > MAX_ANSWER_BYTES:
        return None
    try:
        parsed = jsonlib.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _problem(body: Mapping[str, Any]) -> tuple[int, str]:
    """Code and text of an error body in either of Twilio's forms (its own, RFC 9457)."""
    code = body.get("code")
    text = body.get("message") or body.get("detail") or body.get("title")
    return (code if isinstance(code, int) else 0), (text if isinstance(text, str) else "")[:_MESSAGE_LENGTH]


def _outcome(error: TwilioError) -> str:
    if isinstance(error, TwilioBusy):
        return "busy"
    return "refused" if isinstance(error, TwilioRefused) else "unclear"
