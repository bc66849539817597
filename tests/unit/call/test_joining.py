"""From where on a call's next stream counts: what was handed over before that stream had any audio, or little, is found in it later."""

from __future__ import annotations

import base64

import pytest

from voiceassist_relay.call.joining import FEWEST_FRAMES, PLACE_SECONDS, Frame, Joining
from voiceassist_relay.handed_over import HandedCall, HandedModel, HandedTrack
from voiceassist_relay.metrics.relay_metrics import CallMetrics, RelayMetrics

NOW = 1000.0
SPOKEN = [base64.b64encode(bytes((number * 7 + at * 13) % 251 for at in range(160))) for number in range(200)]
SILENT = [base64.b64encode(b"\xff" * 160)] * 200


class Model:
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.began: list[float] = []

    def begin_with(self, handed: HandedModel | None, shift: float) -> None:
        self.began.append(shift)

    def frame(self, inbound: bool, payload: bytes, arrived: float) -> None:
        self.heard.append(payload)


class NewStream:
    """A stream that begins with frame `first` of a call, which arrives at `at`; the old one has heard the frames before `handed_at`.

    Frame n of the call was spoken, and heard by the old stream, 20 ms after the one before it; the last of them at NOW.
    """

    def __init__(self, audio: list[bytes], first: int, handed_at: int = 50, begun_with: int = 0, *, times: bool = True) -> None:
        self.audio, self.first, self.next, self.times = audio, first, first, times
        self.model, self.metrics = Model(), RelayMetrics()
        self.use: Frame
        self.position_ms = -1
        self.joining = Joining(self, self.model, CallMetrics(self.metrics), self._use)  # type: ignore[arg-type]
        self.use, self.handed_at = self.joining.put, handed_at
        self.goes_on(begun_with)
        ages = [(handed_at - 1 - number) / 50 for number in range(handed_at)]
        track = HandedTrack(frames=[frame.decode() for frame in audio[:handed_at]], ages=ages)
        self.joining.begin(HandedCall(2, {}, "r", HandedModel(track), until_ms=(handed_at * 20 + 7000, -1)), NOW)

    def _use(self, frame: Frame) -> None:
        self.use = frame

    def position(self, inbound: bool) -> int:
        return self.position_ms if inbound else -1

    def arrival(self, number: int) -> float:
        """When frame `number` of the call comes over either stream."""
        return NOW + (number - self.handed_at + 1) / 50

    def goes_on(self, frames: int, late: float = 0.0) -> None:
        for number in range(self.next, self.next + frames):
            if self.times:
                self.position_ms = (number + 1 - self.first) * 20
            self.use(True, self.audio[number], self.arrival(number) + late)
        self.next += frames

    @property
    def counted(self) -> tuple[float | None, float | None]:
        """Gaps that were counted: how many, and their sum in seconds."""
        of = self.metrics.registry.get_sample_value
        total = of("voiceassist_relay_move_gap_seconds_sum")
        return of("voiceassist_relay_move_gap_seconds_count"), None if total is None else round(total, 3)


@pytest.mark.parametrize("audio", [SPOKEN, SILENT], ids=["spoken", "silent"])
def test_joining_counts_the_gap_before_a_stream_whose_first_frame_comes_after_the_hand_over(audio: list[bytes]) -> None:
    stream = NewStream(audio, first=60)
    assert stream.counted == (0, 0)
    stream.goes_on(20)
    assert stream.counted == (1, 0.2), "frames 50 to 59 were heard by nobody"
    assert stream.model.heard == audio[60:80]
    assert stream.use == stream.model.frame, "no step in between from then on"


def test_joining_lets_be_heard_once_what_comes_after_the_hand_over_and_was_heard_before_it() -> None:
    stream = NewStream(SPOKEN, first=40)
    stream.goes_on(30, late=0.4)
    assert stream.model.heard == SPOKEN[50:70]
    assert stream.counted == (1, 0)


def test_joining_does_not_go_by_one_frame_alone() -> None:
    """A connection that has just begun may bring its first frame late."""
    stream = NewStream(SILENT, first=60)
    stream.goes_on(1, late=0.2)
    stream.goes_on(FEWEST_FRAMES - 2)
    assert stream.model.heard == []
    stream.goes_on(1)
    assert stream.counted == (1, 0.2)
    assert len(stream.model.heard) == FEWEST_FRAMES


@pytest.mark.parametrize("audio", [SPOKEN, SILENT], ids=["spoken", "silent"])
def test_joining_of_a_stream_with_few_frames_at_the_hand_over_waits_for_more(audio: list[bytes]) -> None:
    stream = NewStream(audio, first=48, begun_with=2)
    stream.goes_on(8)
    assert stream.model.heard == audio[50:58]
    assert stream.counted == (1, 0)


def test_joining_goes_by_what_there_is_when_few_frames_came_in_time() -> None:
    stream = NewStream(SILENT, first=60)
    stream.goes_on(2)
    stream.goes_on(1, late=PLACE_SECONDS)
    assert len(stream.model.heard) == 3
    assert stream.counted[0] == 1


def test_joining_hears_everything_of_a_stream_that_does_not_tell_its_time() -> None:
    stream = NewStream(SPOKEN, first=60, times=False)
    stream.goes_on(40)
    assert stream.model.heard == SPOKEN[60:100]
    assert stream.counted == (0, 0), "nothing tells how much was missed"


def test_joining_that_must_not_wait_places_what_there_is() -> None:
    stream = NewStream(SPOKEN, first=60)
    stream.joining.place(NOW)
    assert stream.model.heard == [] and stream.use != stream.model.frame, "nothing waits yet"
    stream.goes_on(2)
    assert stream.model.heard == []
    stream.joining.place(stream.arrival(62))
    assert stream.model.heard == SPOKEN[60:62]
    assert stream.counted == (1, 0.2)
    stream.goes_on(3)
    assert stream.model.heard == SPOKEN[60:65]


@pytest.mark.parametrize("first", [30, 45])
def test_joining_of_a_stream_that_has_run_for_a_while_waits_for_nothing(first: int) -> None:
    stream = NewStream(SPOKEN, first=first, begun_with=50 - first)
    assert stream.use == stream.model.frame
    stream.goes_on(10)
    assert stream.model.heard == SPOKEN[50:60]
    assert stream.counted == (1, 0)
