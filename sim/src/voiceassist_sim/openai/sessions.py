"""What a stand-in holds and what can be done to it while it runs: its sessions, refused upgrades, settings and faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from .behaviour import Behaviour
from .connection import Session
from .effects import Close
from .faults import Faults
from .phrasebook import SampleCall
from .schema import Json

REJECTED_KEPT = 1000


class Sessions:
    """The sessions of a stand-in, closed ones too as long as ``behaviour.max_closed_sessions`` allows."""

    def __init__(self, behaviour: Behaviour, faults: Faults, calls: Sequence[SampleCall]) -> None:
        self.behaviour, self.faults, self.calls = behaviour, faults, list(calls)
        self.sessions: list[Session] = []
        """Oldest first."""
        self.rejected: list[Json] = []
        """The last refused upgrades: path, status, code."""
        self._opened = asyncio.Condition()

    def session(self, session_id: str) -> Session | None:
        """The session with that id."""
        return next((session for session in self.sessions if session.id == session_id), None)

    async def wait_for_sessions(self, count: int, timeout: float = 5.0) -> list[Session]:
        """Wait until that many sessions were opened (closed ones count).

        Raises:
            TimeoutError: it took longer.
        """
        async with asyncio.timeout(timeout), self._opened:
            await self._opened.wait_for(lambda: len(self.sessions) >= count)
        return self.sessions

    def set_faults(self, given: object) -> None:
        """Set faults in place of those before, for live sessions too; errors as :meth:`.faults.Faults.replace`."""
        self.faults.replace(given)
        for session in self.sessions:
            if session.open:
                session.faults_changed()

    def drop(self, session_id: str | None = None, *, kind: str | None = None, code: int | None = None) -> int:
        """Cut the connections of all sessions, of one, or of one kind; with ``code`` close them properly. How many."""
        hit = [
            session
            for session in self.sessions
            if session.open and session_id in (None, session.id) and kind in (None, session.protocol.kind)
        ]
        for session in hit:
            if code is None:
                session.drop()
            else:
                session.say_close(Close(code, "Closed on request."))
        return len(hit)

    def forget(self) -> int:
        """Forget all closed sessions; how many."""
        before = len(self.sessions)
        self.sessions = [session for session in self.sessions if session.open]
        self.rejected.clear()
        return before - len(self.sessions)

    async def remember(self, session: Session) -> None:
        """Keep a session that has just begun."""
        closed = [old for old in self.sessions if not old.open]
        for old in closed[: max(0, len(closed) - self.behaviour.max_closed_sessions)]:
            self.sessions.remove(old)
        self.sessions.append(session)
        async with self._opened:
            self._opened.notify_all()

    def note_rejected(self, rejected: Json) -> None:
        """Keep what is told of a refused upgrade."""
        self.rejected.append(rejected)
        del self.rejected[:-REJECTED_KEPT]
