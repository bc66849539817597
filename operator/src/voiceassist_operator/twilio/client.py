"""Requests to Twilio, for the `twilio` package and beside it: time limits, few at once, repeated where that is safe.

The package's own asynchronous client has no time limit, gives up at 429 and cannot write JSON bodies. This one takes its place
(`TwilioClient.sdk` is the package's client on top of it) and also sends what the package cannot: JSON and multipart.
Bodies, answers and credentials are never logged.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit
from weakref import WeakValueDictionary

import aiohttp
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from yarl import URL

from voiceassist_crds.proxies import STRAIGHT, Proxies
from voiceassist_crds.retry_after import retry_after

from ..http_body import read_bounded
from ..metrics import OperatorMetrics
from .model.address import Address
from .model.backoff import Backoff
from .model.errors import TwilioRefused, TwilioUnavailable
from .model.refusals import Refusal, is_busy, is_unclear, problem, refusal

TIMEOUT_SECONDS = 10.0
CONCURRENT = 4
"""Requests of this operator to one account under way at once. Twilio counts all of an account's together: the relays need theirs."""
SLOT_SECONDS = 60.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
RETRY_SECONDS = 2.0
"""After the last attempt: when the caller may try again, unless Twilio named a longer time."""

Form = Mapping[str, Any]
"""A form body: a list becomes a repeated field, true and false are written as Twilio writes them."""


@dataclass(frozen=True, slots=True)
class Login:
    """An account and who signs in to it: an API key, or the account with its auth token."""

    account_sid: str
    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body."""

    name: str
    content: str | bytes = field(repr=False)
    filename: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Retries(Backoff):
    """How often a request is tried, and the waits between. A longer wait that Twilio asks for by Retry-After is kept."""

    first: float = 0.5
    longest: float = 8.0
    attempts: int = 4
    longest_asked: float = 15.0
    """Seconds. If Twilio asks for more, the request fails at once."""

    def wait(self, failures: int, chance: float, asked: float) -> float | None:
        """Returns the seconds to wait after so many failures; None: give up. `chance` is drawn evenly from [0, 1)."""
        if failures >= self.attempts or asked > self.longest_asked:
            return None
        return max(asked, self.delay(failures, chance))


class TwilioPool:
    """What all requests of an operator share: connections, the slots of each account, metrics, and the right to write."""

    def __init__(
        self,
        metrics: OperatorMetrics,
        may_write: Callable[[], None],
        *,
        concurrent: int = CONCURRENT,
        timeout: float = TIMEOUT_SECONDS,
        retries: Retries = Retries(),
        chance: Callable[[], float] = random.random,
        tls: ssl.SSLContext | None = None,
        proxies: Proxies = STRAIGHT,
    ) -> None:
        """Without `tls` the system's authorities are trusted."""
        self._tls, self._proxies = tls, proxies
        self.metrics, self.may_write, self.timeout, self.retries, self.chance = metrics, may_write, timeout, retries, chance
        self._concurrent = concurrent
        self._slots_of: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def slots(self, address: Address, account_sid: str) -> asyncio.Semaphore:
        """Returns the slots for requests of an account at once, the same for all its objects as long as one of them holds them."""
        return self._slots_of.setdefault((address.base(""), account_sid), asyncio.Semaphore(self._concurrent))

    def flex_lock(self, address: Address, account_sid: str) -> asyncio.Lock:
        """Returns the lock that keeps this operator's own writers of an account's Flex configuration apart: each writes all of it."""
        return self._locks.setdefault((address.base(""), account_sid), asyncio.Lock())

    def session(self) -> aiohttp.ClientSession:
        """Returns the connections; no cookies, no proxies from the environment. Raises TwilioUnavailable once they are closed."""
        if self._closed:
            raise TwilioUnavailable("the operator is closing its connections to Twilio", RETRY_SECONDS, unclear=False)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=64, ttl_dns_cache=30, ssl=self._tls or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
            )
        return self._session

    def way(self, url: URL) -> dict[str, Any]:
        """Returns what aiohttp is told of the way to an address: the proxy, if it is not reached straight."""
        proxy = self._proxies.of(url.host or "", url.port or 0)
        if proxy is None:
            return {}
        login = {"Proxy-Authorization": aiohttp.encode_basic_auth(proxy.username, proxy.password)} if proxy.username else {}
        return {"proxy": proxy.url, "proxy_headers": login}

    async def close(self) -> None:
        """Closes every connection; requests made later fail. Idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class TwilioClient(AsyncHttpClient):  # type: ignore[misc] # the package has no types
    """One account's Twilio with one login. Every failure is a TwilioUnavailable or a TwilioRefused, also through the package.

    GET and DELETE are repeated after 429, 5xx and broken connections; anything else after 429 only, as nothing was done then,
    unless the caller says that doing it twice does no harm (`repeatable`). A write raises NotLeading without the Lease.
    """

    def __init__(self, pool: TwilioPool, address: Address, login: Login) -> None:
        self.is_async, self.timeout = True, pool.timeout  # all that the package asks of its base
        self.address, self.login = address, login
        self._pool, self._slots = pool, pool.slots(address, login.account_sid)

    @cached_property
    def sdk(self) -> Any:
        """The package's client. It reads nothing from the environment: address and credentials are ours."""
        return Client(
            self.login.username,
            self.login.password,
            self.login.account_sid,
            http_client=self,
            environment={"voiceassist": ""},
            user_agent_extensions=["voiceassist-operator"],
        )

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,  # noqa: ARG002 - the login is ours
        timeout: float | None = None,
        allow_redirects: bool = False,  # noqa: ARG002 - never
    ) -> Response:
        """Sends what the package asks; its URLs lead to our address. Raises TwilioUnavailable, TwilioRefused or NotLeading."""
        product, url = self._located(uri)
        if params:
            url = url.update_query({key: _text(value) for key, value in params.items()})
        body = _Body(_form_body(data), "application/x-www-form-urlencoded") if data else _Body()
        kept = {key: value for key, value in (headers or {}).items() if key.lower() not in {"authorization", "content-type"}}
        status, answer, answered = await self._repeated(product, method.upper(), url, body, kept, None, timeout)
        return Response(status, answer.decode("utf-8", "replace"), answered)

    async def ask(
        self,
        product: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        form: Form | None = None,
        json: Any = None,
        parts: Sequence[Part] | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Sends what the package cannot. `path` begins with a slash, its segments encoded (`segment`). Returns the JSON object.

        Raises TwilioUnavailable, TwilioRefused or NotLeading.
        """
        url = URL(self.address.base(product) + path, encoded=True)
        if query:
            url = url.update_query({key: _text(value) for key, value in query.items()})
        body = _Body()
        if form is not None:
            body = _Body(_form_body(form), "application/x-www-form-urlencoded")
        elif json is not None:
            body = _Body(jsonlib.dumps(json, separators=(",", ":")).encode(), "application/json")
        elif parts is not None:
            body = _Body(parts=tuple(parts))
        headers = {"Accept": "application/json", "User-Agent": "voiceassist-operator"}
        _, answer, _ = await self._repeated(product, method, url, body, headers, repeatable, timeout)
        parsed = _parsed(answer) if answer else {}
        if not isinstance(parsed, dict):
            what = _what(product, method, url)
            raise TwilioUnavailable(f"{what}: the answer is not a JSON object", RETRY_SECONDS, unclear=True)
        return parsed

    def _located(self, uri: str) -> tuple[str, URL]:
        """Product and URL of what the package asks for: `https://sync.twilio.com/v1/...`, or a page that an answer linked to.

        Credentials go to our address only: a link to anywhere else is refused.
        """
        parts = urlsplit(uri)
        host = parts.hostname or ""
        if parts.scheme == "https" and host.endswith(".twilio.com"):
            product = host.split(".", 1)[0]
            return product, URL(self.address.base(product) + parts.path + (f"?{parts.query}" if parts.query else ""), encoded=True)
        for product in ("sync", "serverless", "flex-api", "api", "taskrouter"):
            if uri.startswith(self.address.base(product) + "/"):
                return product, URL(uri, encoded=True)
        raise TwilioRefused(f"Twilio's answer links to {host[:80]!r}, which is not its address; not followed", Refusal.BAD_REQUEST)

    async def _repeated(
        self, product: str, method: str, url: URL, body: _Body, headers: Mapping[str, str], repeatable: bool | None, timeout: float | None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        reading = method in {"GET", "HEAD"}
        safe = repeatable if repeatable is not None else (reading or method == "DELETE")
        failures = 0
        while True:
            if not reading:
                self._pool.may_write()
            try:
                answer = await self._once(product, method, url, body, headers, timeout or self._pool.timeout)
            except TwilioRefused:
                self._pool.metrics.twilio_request(product, "refused")
                raise
            except TwilioUnavailable as error:
                self._pool.metrics.twilio_request(product, "unclear" if error.unclear else "busy")
                failures += 1
                wait = self._pool.retries.wait(failures, self._pool.chance(), error.delay) if safe or not error.unclear else None
                if wait is None:
                    error.delay = max(error.delay, RETRY_SECONDS)
                    raise
            else:
                self._pool.metrics.twilio_request(product, "ok")
                return answer
            await asyncio.sleep(wait)

    async def _once(
        self, product: str, method: str, url: URL, body: _Body, headers: Mapping[str, str], timeout: float
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Makes one attempt. The `delay` of what it raises is what Twilio asked for, else 0."""
        what = _what(product, method, url)
        session = self._pool.session()
        basic_auth = aiohttp.encode_basic_auth(self.login.username, self.login.password)
        given = {**headers, "Authorization": basic_auth}
        data, kind = body.written()
        if kind:
            given["Content-Type"] = kind
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise TwilioUnavailable(f"{what}: no free connection within {SLOT_SECONDS:g} s", 0, unclear=False) from None
        try:
            async with (
                asyncio.timeout(timeout),
                session.request(method, url, data=data, headers=given, allow_redirects=False, **self._pool.way(url)) as response,
            ):
                answer, status, answered = await read_bounded(response.content, MAX_ANSWER_BYTES), response.status, response.headers
        except TimeoutError:
            raise TwilioUnavailable(f"{what}: no answer within {timeout:g} s", 0, unclear=True) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # the class is enough: the text may repeat the URL
            raise TwilioUnavailable(f"{what}: the connection failed ({type(error).__name__})", 0, unclear=True) from error
        finally:
            self._slots.release()
        if 200 <= status < 300:
            return status, answer, answered
        said = problem(status, answer, hidden=(self.login.password, basic_auth.rpartition(" ")[2]))
        text = f"{what}: HTTP {status}, {f'code {said.code}, ' if said.code else ''}{said.sentence}"
        if is_busy(status, said.code) or is_unclear(status):
            asked = retry_after(answered.get("Retry-After"), time.time()) or 0.0
            raise TwilioUnavailable(text, asked, unclear=not is_busy(status, said.code), status=status, code=said.code)
        raise TwilioRefused(text, refusal(status, said.code), status=status, code=said.code)


@dataclass(frozen=True, slots=True)
class _Body:
    """A body that can be written again."""

    content: bytes | None = field(default=None, repr=False)
    content_type: str = ""
    parts: tuple[Part, ...] | None = field(default=None, repr=False)

    def written(self) -> tuple[bytes | aiohttp.FormData | None, str]:
        """Returns the body for one attempt, and its content type; empty for a multipart body, which has its own."""
        if self.parts is None:
            return self.content, self.content_type
        form = aiohttp.FormData(default_to_multipart=True)
        for part in self.parts:
            form.add_field(part.name, part.content, filename=part.filename, content_type=part.content_type)
        return form, ""


def segment(name: str) -> str:
    """Returns one segment of a path, percent-encoded."""
    return quote(name, safe="")


def _what(product: str, method: str, url: URL) -> str:
    return f"Twilio {product}, {method} {url.raw_path}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _form_body(form: Form) -> bytes:
    pairs = []
    for name, value in form.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            pairs.append(f"{quote(name, safe='')}={quote(_text(item), safe='')}")
    return "&".join(pairs).encode()


def _parsed(answer: bytes) -> Any:
    try:
        return jsonlib.loads(answer)
    except (ValueError, RecursionError):
        return None
