"""Streams without REST: open one, or play one to its end, from a test in a few lines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress

from .codes import StreamRefused
from .dialer import Dialer
from .faults import StreamFaults
from .media_stream import MediaStream
from .request import SAMPLE_RATE, Recording, RequestedTrack, StreamRequest


def _nobody(_: MediaStream) -> None:
    return None


async def open_stream(
    request: StreamRequest,
    recording: Recording,
    auth_token: str | Callable[[], str],
    dialer: Dialer,
    faults: StreamFaults | None = None,
    *,
    started_at: float | None = None,
    until_ms: float | None = None,
    on_ended: Callable[[MediaStream], None] = _nobody,
) -> MediaStream:
    """Open a stream and return it once its websocket is open; it plays by itself until `MediaStream.stop`.

    The recording begins with the stream unless ``started_at`` says otherwise. Use it with ``async with``, or stop it.

    Raises:
        StreamRefused: the websocket did not open; it has the code and, if the server answered, status and body.
    """
    stream = MediaStream(
        request,
        recording=recording,
        started_at=started_at,
        auth_token=auth_token if callable(auth_token) else lambda: auth_token,
        dialer=dialer,
        faults=faults if faults is not None else StreamFaults(),
        on_ended=on_ended,
        until_ms=until_ms,
    )
    stream.start()
    try:
        await stream.opened()
    except StreamRefused:
        await stream.ended()
        raise
    except asyncio.CancelledError:
        stream.begin_stop()
        raise
    return stream


async def play(
    url: str,
    recording: Recording,
    *,
    auth_token: str | Callable[[], str],
    dialer: Dialer,
    call_sid: str,
    account_sid: str = "AC" + "0" * 32,
    stream_sid: str | None = None,
    name: str | None = None,
    track: RequestedTrack = "both_tracks",
    parameters: Mapping[str, str] | None = None,
    status_callback: str | None = None,
    faults: StreamFaults | None = None,
    seconds: float | None = None,
) -> MediaStream:
    """Play a recording from its beginning to its end (or ``seconds`` of audio), and return the finished stream.

    A refusal raises nothing here: the stream's ``state`` is then ``failed`` and ``failure`` says why.
    """
    request = StreamRequest(
        account_sid=account_sid,
        call_sid=call_sid,
        stream_sid=stream_sid or "MZ" + secrets.token_hex(16),
        name=name,
        url=url,
        track=track,
        parameters=parameters or {},
        status_callback=status_callback,
        status_callback_method="POST",
    )
    until_ms = seconds * 1000 if seconds is not None else len(recording.customer) * 1000 / SAMPLE_RATE
    ended: list[MediaStream] = []
    with suppress(StreamRefused):
        stream = await open_stream(request, recording, auth_token, dialer, faults, until_ms=until_ms, on_ended=ended.append)
        try:
            await stream.ended()
        except asyncio.CancelledError:
            stream.begin_stop()
            raise
    return ended[0]
