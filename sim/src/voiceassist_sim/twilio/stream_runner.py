"""Owns the running media streams: starts one for every accepted order, stops it on demand, and keeps what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from .calls import Call, Calls, ForkedStream
from .streams import Dialer, MediaStream, StreamFaults, StreamRefused, StreamRequest

STREAMS_KEPT: Final = 2000
"""Ended streams whose statistics are kept; the oldest go first."""
SHUTDOWN_SECONDS: Final = 2.0
"""How long streams may take to end when the stand-in stops."""


class StreamRunner:
    """All media streams of an account.

    ``clock`` gives epoch seconds. ``auth_token`` gives the token that signs. ``tell`` is told of each beginning and end. ``on_playing`` is
    called when a call's recording begins to be heard.
    """

    def __init__(
        self,
        account_sid: str,
        dialer: Dialer,
        *,
        auth_token: Callable[[], str],
        clock: Callable[[], float],
        tell: Callable[[str, MediaStream], None],
        on_playing: Callable[[Call], None],
    ) -> None:
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._clock = clock
        self._tell = tell
        self._on_playing = on_playing
        self._streams: dict[str, MediaStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._call_faults: dict[str, StreamFaults] = {}
        self.dialer = dialer
        self.faults = StreamFaults()

    def start(self, call: Call, forked: ForkedStream) -> None:
        """Run a stream. It takes up the recording where the call is; if that has not begun, it begins with this stream."""
        order = forked.order
        request = StreamRequest(
            account_sid=self._account_sid,
            call_sid=call.sid,
            stream_sid=forked.sid,
            name=order.name,
            url=order.url,
            track=order.track,
            parameters=order.parameters,
            status_callback=order.status_callback,
            status_callback_method=order.status_callback_method,
        )

        def ended(stream: MediaStream) -> None:
            Calls.ended_by_itself(forked, self._clock())
            self._tell("ended", stream)

        stream = MediaStream(
            request,
            recording=call.recording,
            started_at=call.began_playing,
            auth_token=self._auth_token,
            dialer=self.dialer,
            faults=self._call_faults.get(call.sid, self.faults),
            on_ended=ended,
        )
        self._streams[forked.sid] = stream
        self._forget()
        task = asyncio.get_running_loop().create_task(self._run(call, stream), name=f"stream {forked.sid}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, forked: ForkedStream) -> None:
        """Let a stream send its ``stop`` and end."""
        stream = self._streams.get(forked.sid)
        if stream is not None:
            stream.begin_stop()

    def get(self, sid: str) -> MediaStream | None:
        """A running or a remembered stream."""
        return self._streams.get(sid)

    def all(self) -> list[MediaStream]:
        """The running and the remembered streams, oldest first."""
        return list(self._streams.values())

    def stats(self) -> list[dict[str, Any]]:
        """What each stream saw and sent."""
        return [stream.stats for stream in self._streams.values()]

    def faults_of(self, call_sid: str) -> StreamFaults:
        """The faults of this call's next streams; made, as a copy of the common ones, when it is first asked for."""
        if call_sid not in self._call_faults:
            while len(self._call_faults) >= STREAMS_KEPT:
                del self._call_faults[next(iter(self._call_faults))]
            self._call_faults[call_sid] = StreamFaults.from_json(self.faults.to_json())
        return self._call_faults[call_sid]

    async def close(self) -> None:
        """End all streams; those that take too long are cut."""
        for stream in self._streams.values():
            stream.begin_stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SHUTDOWN_SECONDS)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, call: Call, stream: MediaStream) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.run())
            try:
                await stream.opened()
            except StreamRefused:
                return
            if call.began_playing is None:
                call.began_playing = asyncio.get_running_loop().time()
                self._on_playing(call)
            self._tell("started", stream)

    def _forget(self) -> None:
        if len(self._streams) <= STREAMS_KEPT:
            return
        for sid in [sid for sid, stream in self._streams.items() if stream.state in ("stopped", "failed")][: STREAMS_KEPT // 10]:
            del self._streams[sid]
