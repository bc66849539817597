"""Streams that have fallen silent: which calls are looked up, and how often."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from voiceassist_relay.call.silent_streams import AGAIN_SECONDS, LOOK_SECONDS, SILENT_SECONDS, SilentStreams


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[Any] = []
        self.checked: list[tuple[str, float]] = []
        self.silent = SilentStreams(self.calls, lambda: self.now)  # type: ignore[arg-type]

    def call(self, sid: str, heard_at: float = 100.0, **more: Any) -> Any:
        fields = {"over": False, "in_force": True, **more}
        call = SimpleNamespace(start=SimpleNamespace(call_sid=sid), heard_at=heard_at, **fields)
        call.check_owner = lambda: self.checked.append((sid, self.now))
        self.calls.append(call)
        return call

    def until(self, end: float) -> None:
        while self.now < end:
            self.now += LOOK_SECONDS
            self.silent.look()


def test_silent_streams_are_looked_up_now_and_then_and_others_never() -> None:
    rig = Rig()
    rig.call("silent")
    talks = rig.call("talks")
    while rig.now < 200:
        talks.heard_at = rig.now
        rig.until(rig.now + LOOK_SECONDS)
    assert [sid for sid, _ in rig.checked] == ["silent"] * 4
    assert [at for _, at in rig.checked] == [100 + SILENT_SECONDS + AGAIN_SECONDS * number for number in range(4)]


def test_silent_streams_that_speak_again_are_checked_anew_at_once() -> None:
    rig = Rig()
    call = rig.call("on hold")
    rig.until(100 + SILENT_SECONDS)
    call.heard_at = rig.now
    rig.until(rig.now + SILENT_SECONDS)
    assert len(rig.checked) == 2


def test_silent_streams_of_calls_that_are_over_or_not_here_yet_are_left_alone() -> None:
    rig = Rig()
    rig.call("over", over=True)
    rig.call("coming", in_force=False)
    rig.until(200)
    assert rig.checked == []
