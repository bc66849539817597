"""Dials the public address as Twilio would, with a signed probe, and says what is wrong: DNS, connection, certificate or path."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
import websockets.exceptions
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect
from websockets.datastructures import Headers

from voiceassist_crds.names import PROBE_HEADER, PROBE_PATH
from voiceassist_crds.proof import probe_answer
from voiceassist_crds.proxies import STRAIGHT, Proxies

from ..errors import OperatorError
from ..kubernetes.client import Cluster
from ..kubernetes.secrets import secret_value
from ..policy.endpoint_answers import Answer, Route, of_answer
from ..policy.next_pass import LONGEST_PROBE_SECONDS, dial_is_due
from ..policy.observed import Endpoint, EndpointFact, Observed

TIMEOUT_SECONDS = 5.0
DIALS_AT_ONCE, DIALS_APART_SECONDS = 16, 0.05
"""Of all objects together."""
STALE_SECONDS = LONGEST_PROBE_SECONDS + 90.0
"""How long a dial's result stands while the Secret cannot be read for another."""

log = structlog.get_logger("voiceassist.endpoint")


class Dials:
    """Turns of dials, shared by all objects: so many at once, and begun so far apart, also when all are due, as after a restart."""

    def __init__(self, at_once: int = DIALS_AT_ONCE, apart: float = DIALS_APART_SECONDS) -> None:
        self._places, self._apart = asyncio.Semaphore(at_once), apart
        self._next = float("-inf")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[set[asyncio.Future[Any]]]:
        """Holds one of the places, as soon as it is free and time, until the lookups that are put into the set have ended, too.

        A lookup has its thread for as long as it lasts, whether or not somebody still waits for it.
        """
        await self._places.acquire()
        lookups: set[asyncio.Future[Any]] = set()
        try:
            now = time.monotonic()
            begin = max(self._next, now)
            self._next = begin + self._apart
            if begin > now:
                await asyncio.sleep(begin - now)
            yield lookups
        finally:
            left = [one for one in lookups if not one.done()]
            for one in left:  # a dial looks up one name
                one.add_done_callback(lambda _: self._places.release())
            if not left:
                self._places.release()


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How public addresses are dialled."""

    tls: ssl.SSLContext
    port: int = 443
    proxies: Proxies = STRAIGHT
    dials: Dials = field(default_factory=Dials)


class EndpointProbe:
    """Dials one object's public address now and then, in a task beside its reconciler."""

    def __init__(self, cluster: Cluster, settings: ProbeSettings, done: Callable[[], None], objects: Callable[[], int] = lambda: 1) -> None:
        """`done` is called when a dial has ended; `advance` then takes its result. `objects` says how many are dialled like this one."""
        self.found: EndpointFact | None = None
        """What the last dial found; None before the first."""
        self._cluster, self._settings, self._done, self._objects = cluster, settings, done, objects
        self._task: asyncio.Task[EndpointFact] | None = None
        self._dialled_at = self._found_at = float("-inf")

    def advance(self, seen: Observed) -> None:
        """Takes the last dial's result, and dials again when it is time; never waits for it."""
        if self._task is not None and self._task.done():
            self.found = self._result(self._task)
            self._task = None
        due = dial_is_due(self.found, time.monotonic() - self._dialled_at, self._objects())
        if self._task is None and due and seen.credentials.found:
            self._dialled_at = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._dial_in_turn(seen))
            self._task.add_done_callback(lambda _: self._done())  # a pass takes the result; nothing else is observed anew

    def _result(self, task: asyncio.Task[EndpointFact]) -> EndpointFact | None:
        """What a dial found. Where none could be made, what the one before found stands for a while, and no longer."""
        problem = None if task.cancelled() else task.exception()
        if not task.cancelled() and problem is None:
            self._found_at = time.monotonic()
            return task.result()
        if not isinstance(problem, OperatorError):
            log.error("the public address could not be dialled", problem=type(problem).__name__)
        elif self.found is not None and time.monotonic() - self._found_at < STALE_SECONDS:
            return self.found
        return EndpointFact(Endpoint.UNTRIED, f"the public address could not be tried: {type(problem).__name__}")

    def cancel(self) -> None:
        """Ends at once."""
        if self._task is not None:
            self._task.cancel()

    async def _dial_in_turn(self, seen: Observed) -> EndpointFact:
        async with self._settings.dials.turn() as lookups:
            return await self._dial(seen, lookups)

    async def _dial(self, seen: Observed, lookups: set[asyncio.Future[Any]]) -> EndpointFact:
        """Dials once, with the auth token as it is now. Raises OperatorError."""
        spec = seen.owner.spec
        if (
            self.found is not None
            and self.found.result is Endpoint.DNS
            and self._settings.proxies.of(spec.host, self._settings.port) is None
        ):
            try:
                await _resolve(spec.host, self._settings.port, lookups)
            except _NoNameServer:
                return _silent(spec.host)
            except (OSError, UnicodeError):  # as before: no Secret is read for that
                return _no_address(spec.host)
        secret = await self._cluster.credentials(spec.twilio.credentials_secret_ref.name, seen.owner.namespace)
        try:
            token = secret_value(secret or {}, "authToken")
        except ValueError:  # which a condition says
            token = ""
        if not token:
            return EndpointFact(Endpoint.UNTRIED, "the public address was not tried: there is no auth token that is text")
        class_name = (spec.ingress.class_name or "") if spec.ingress.enabled else ""
        route = Route(spec.host, spec.path_prefix, seen.owner.relay, class_name)
        return await probe_endpoint(route, token, self._settings.tls, self._settings.port, self._settings.proxies, lookups)


async def _resolve(host: str, port: int, lookups: set[asyncio.Future[Any]]) -> list[Any]:
    """Returns what `socket.getaddrinfo` does; the lookup is put among `lookups`, and goes on where it is not waited for any more.

    Raises _NoNameServer; OSError, or UnicodeError for a name that cannot be one in DNS.
    """
    lookup = asyncio.ensure_future(asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))
    lookup.add_done_callback(lambda one: one.cancelled() or one.exception())  # whoever waited may be gone
    lookups.add(lookup)
    await asyncio.wait({lookup}, timeout=TIMEOUT_SECONDS)
    if not lookup.done():
        raise _NoNameServer
    return lookup.result()


async def _connected(found: list[Any]) -> socket.socket:
    """Returns a socket to the first of the addresses that lets us; looked up once, as each lookup may take a thread. Raises OSError."""
    problem = OSError("no address")
    for family, kind, protocol, _, address in found:
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, address)
        except OSError as error:
            made.close()
            problem = error
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise problem


class _NoNameServer(Exception):
    """Nobody says what address a name has."""


def _silent(host: str) -> EndpointFact:
    return EndpointFact(Endpoint.DNS, f"no name server says within {TIMEOUT_SECONDS:.0f} s what address {host} has")


def _no_address(host: str) -> EndpointFact:
    return EndpointFact(Endpoint.DNS, f"{host} has no address in DNS; point it at the ingress controller")


class _Dial(connect):
    """A websocket's client that follows no redirection, as Twilio does not."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Returns the refusal as it is."""
        return exc


def _first(headers: Headers, name: str) -> str:
    return next(iter(headers.get_all(name)), "")[:200]


def _why(error: Exception) -> str:
    """What kept a connection from standing, in words of ours: libraries' texts may repeat headers, and a proxy's login."""
    if isinstance(error, websockets.exceptions.InvalidProxyStatus):
        return f"the proxy answers with {error.response.status_code}"
    if isinstance(error, websockets.exceptions.ProxyError):
        return "the proxy does not let it through"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused"
    if isinstance(error, ConnectionError | EOFError | websockets.exceptions.ConnectionClosed | websockets.exceptions.InvalidMessage):
        return "the connection breaks before an answer"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return f"what answers is no websocket ({type(error).__name__})"


async def probe_endpoint(
    route: Route,
    auth_token: str,
    tls: ssl.SSLContext,
    port: int = 443,
    proxies: Proxies = STRAIGHT,
    lookups: set[asyncio.Future[Any]] | None = None,
) -> EndpointFact:
    """Dials `wss://<host><path_prefix>/ws/probe/<nonce>` once, for 5 s at most once its address is known, which 5 s are for, too.

    No model session is opened. A lookup is put among `lookups`. Returns what was found.
    """
    host, path_prefix = route.host, route.path_prefix
    nonce = secrets.token_hex(16)
    url = f"wss://{host}{path_prefix}{PROBE_PATH}/{nonce}"
    headers = {"X-Twilio-Signature": RequestValidator(auth_token).compute_signature(url, {})}
    proxy = proxies.of(host, port)
    try:
        found = [] if proxy is not None else await _resolve(host, port, set() if lookups is None else lookups)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            if proxy is None:
                dialled: str = url
                way: dict[str, Any] = {"sock": await _connected(found), "proxy": None}
            else:  # which finds the address itself
                dialled, way = url.replace(host, f"{host}:{port}", 1), {"proxy": proxy.url_with_login}
            async with _Dial(dialled, additional_headers=headers, ssl=tls, compression=None, close_timeout=1, **way) as answered:
                given = answered.response.headers.get(PROBE_HEADER, "") if answered.response is not None else ""
    except _NoNameServer:
        return _silent(host)
    except (socket.gaierror, UnicodeError):  # a name that cannot be one in DNS
        return _no_address(host)
    except ssl.SSLCertVerificationError as error:
        text = f"the certificate at {host} is not valid: {error.verify_message}; Twilio needs one of a public authority for this name"
        return EndpointFact(Endpoint.CERTIFICATE, text)
    except ssl.SSLError as error:
        return EndpointFact(Endpoint.CERTIFICATE, f"{host} does not speak TLS on port {port} ({error.reason}); see ingress.tlsSecretName")
    except websockets.exceptions.InvalidStatus as error:
        given_back = error.response
        server, location = _first(given_back.headers, "Server"), _first(given_back.headers, "Location")
        return of_answer(Answer(given_back.status_code, bytes(given_back.body), server, location), route)
    except TimeoutError:
        return EndpointFact(
            Endpoint.CONNECTION, f"{host} did not answer within {TIMEOUT_SECONDS:.0f} s; is the ingress controller running?"
        )
    except (OSError, websockets.exceptions.WebSocketException) as error:
        return EndpointFact(Endpoint.CONNECTION, f"{host} cannot be reached: {_why(error)}; is the ingress controller running?")
    if not hmac.compare_digest(given.encode(), probe_answer(auth_token, nonce).encode()):
        return EndpointFact(
            Endpoint.PATH, f"{host}{path_prefix}{PROBE_PATH} is answered by something that is not our relay; check who has the host"
        )
    return EndpointFact(Endpoint.OK)
