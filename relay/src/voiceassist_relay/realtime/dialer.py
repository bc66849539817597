"""Dialer: dials until a session stands, with backoff and jitter, within the process's share of attempts at once."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from weakref import WeakKeyDictionary

import structlog

from voiceassist_crds.messages import StatusReason
from voiceassist_crds.proxies import Proxies

from ..metrics.relay_metrics import RelayMetrics
from .core.failures import Fatal, Passing, SessionFailed
from .core.limits import SessionLimits, delay
from .core.session_settings import SessionSettings
from .providers import Headers
from .session_connection import UPDATE_ID, NotTaken, SessionConnection
from .session_profiles import SessionProfile

_log = structlog.get_logger(__name__)


TRIES = 5
"""Attempts, of a session that suggestions can do without, before they are made once in `SLOWLY` only."""
SLOWLY = 60.0
"""Seconds."""


class FinalFailure(Exception):
    """No session will do better."""

    def __init__(self, fatal: Fatal) -> None:
        self.fatal = fatal
        super().__init__(fatal.message)


class SessionDependencies:
    """What the sessions of a call share: settings and key in force, how to dial, and where randomness comes from."""

    def __init__(
        self,
        settings: Callable[[], SessionSettings],
        key: Callable[[], str],
        metrics: RelayMetrics,
        limits: SessionLimits,
        dials: Dials,
        tls: Callable[[], ssl.SSLContext],
        chance: Callable[[], float],
        proxies: Callable[[], Proxies] = Proxies,
        headers: Callable[[], Headers] = tuple,
    ) -> None:
        self.settings = settings
        self.key = key
        self.metrics = metrics
        self.limits = limits
        self.dials = dials
        self.tls = tls
        self.chance = chance
        self.proxies = proxies
        self.headers = headers


class Dialer:
    """Opens one track's sessions."""

    def __init__(self, profile: SessionProfile, needs: SessionDependencies, on_over: Callable[[], None]) -> None:
        self.connection: SessionConnection | None = None
        """The latest connection, while it is being opened and until it is taken."""
        self.failure: Passing | None = None
        """Why the latest attempt failed; None once a session stands."""
        self._profile = profile
        self._needs = needs
        self._on_over = on_over
        self.tell: Callable[[], None] = lambda: None
        """Called after each attempt that failed."""
        self._refusals = 0  # of those, the ones by a server that is there
        self._failures = 0  # attempts that failed and sessions that did not last, in a row

    def record_lifetime(self, seconds: float, *, over: bool) -> None:
        """A session has record_lifetime so many seconds: one that lasted resets the backoff, another that is over counts as a failure."""
        if seconds >= self._needs.limits.stable_after:
            self._failures = self._refusals = 0
        elif over:
            self._failures += 1
            self._refusals += 1

    @property
    def slow(self) -> bool:
        """Whether attempts are made once in `SLOWLY` only."""
        return not self._profile.gives_up and self._refusals >= TRIES

    def refused(self, fatal: Fatal) -> None:
        """A session that stood was refused for good: another one is tried slowly."""
        self._refusals = TRIES
        self.failure = Passing("refused", SLOWLY, fatal.reason, fatal.message)
        self.tell()

    async def open(self, *, at_once: bool = False) -> SessionConnection:
        """Tries until a session stands; the first try waits too, unless it is to be made `at_once`. Raises FinalFailure.

        That is, when another try makes no sense.
        """
        needs, hint = self._needs, None
        if self.slow:
            hint = SLOWLY
        wait = 0.0 if at_once else delay(self._failures, needs.chance(), needs.limits, hint)
        while True:
            await asyncio.sleep(wait)
            key, settings = needs.key(), needs.settings()
            self.connection = connection = SessionConnection(settings, needs.metrics, needs.limits, self._on_over)
            try:
                async with needs.dials:
                    endpoint, update = self._profile.endpoint(settings, key, needs.headers()), self._profile.update(settings, UPDATE_ID)
                    await connection.open(endpoint, update, needs.tls(), needs.proxies())
                self.failure = None
                return connection
            except NotTaken as refusal:
                self._profile.refused(settings, refusal.what)
                wait = 0.0
                continue
            except SessionFailed as error:
                failure = error.failure
            if isinstance(failure, Fatal) and not self._profile.gives_up:
                failure = Passing("refused", SLOWLY, failure.reason, failure.said or failure.message)
                self._refusals = TRIES
            if isinstance(failure, Passing):
                needs.metrics.model_error("connect")
                self.failure, hint = failure, failure.wait
                _log.info("model_session_failed", kind=self._profile.name, why=failure.label, attempt=self._failures)
            elif key == needs.key():  # a key that was just replaced gets no final word
                needs.metrics.model_error(failure.reason.value)
                raise FinalFailure(failure)
            self._failures += 1
            self._refusals += isinstance(failure, Passing) and failure.reason is not StatusReason.MODEL_UNREACHABLE
            if self.slow:
                hint = max(hint or 0.0, SLOWLY)
            wait = delay(self._failures, needs.chance(), needs.limits, hint)
            self.tell()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, Dials] = WeakKeyDictionary()


class Dials:
    """`async with dials:` needs an attempt. At most `most` attempts are under way; the others wait in line."""

    def __init__(self, most: int = 64) -> None:
        self._places = asyncio.Semaphore(most)

    @classmethod
    def shared(cls) -> Dials:
        """The running loop's own, for all calls that are given no other."""
        return _shared.setdefault(asyncio.get_running_loop(), cls())

    async def __aenter__(self) -> None:
        await self._places.acquire()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._places.release()
