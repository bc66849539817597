from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from voiceassist_sim.twilio.streams.train import FrameTrain

LENGTHS = st.lists(st.integers(0, 700), min_size=1, max_size=40)


@dataclass(frozen=True)
class Sides:
    customer: bytes
    agent: bytes | None


SIDES = st.builds(Sides, st.binary(max_size=6000), st.none() | st.binary(max_size=6000))


def drawn(train, lengths, **options):
    return [train.next(length, **options) for length in lengths]


@settings(deadline=None)
@given(sides=SIDES, lengths=LENGTHS, first=st.integers(0, 3000))
def test_the_frames_of_a_track_laid_end_to_end_are_the_recording_from_the_first_sample(sides, lengths, first):
    train = FrameTrain(sides, ("inbound", "outbound"))
    train.begin_at(first)
    slots = drawn(train, lengths)
    total = sum(lengths)
    for index, side in enumerate((sides.customer, sides.agent or b"")):
        audio = b"".join(slot[index].audio for slot in slots)
        assert audio == side[first : first + total].ljust(total, b"\xff")


@settings(deadline=None)
@given(sides=SIDES, lengths=LENGTHS, first=st.integers(0, 3000), both=st.booleans())
def test_numbers_have_no_gap_and_timestamps_are_the_audio_time_before_the_frame(sides, lengths, first, both):
    tracks = ("inbound", "outbound") if both else ("inbound",)
    train = FrameTrain(sides, tracks)
    train.begin_at(first)
    frames = [frame for slot in drawn(train, lengths) for frame in slot]
    assert [frame.number for frame in frames] == list(range(1, len(tracks) * len(lengths) + 1))
    for track in tracks:
        own = [frame for frame in frames if frame.track == track]
        assert [frame.chunk for frame in own] == list(range(1, len(lengths) + 1))
        before = 0
        for frame, length in zip(own, lengths, strict=True):
            assert frame.timestamp_ms == before // 8
            assert frame.position_ms == (first + before) / 8
            assert frame.end_ms == (first + before + length) / 8
            before += length
    assert train.elapsed_ms == sum(lengths) / 8
    assert train.position_ms == (first + sum(lengths)) / 8


def test_chunks_can_be_shared_by_the_tracks():
    train = FrameTrain(Sides(b"a" * 960, b"b" * 960), ("inbound", "outbound"))
    frames = [frame for slot in drawn(train, [160] * 3, shared_chunk=True) for frame in slot]
    assert [(frame.track, frame.chunk) for frame in frames] == [
        ("inbound", 1),
        ("outbound", 2),
        ("inbound", 3),
        ("outbound", 4),
        ("inbound", 5),
        ("outbound", 6),
    ]


def test_with_silent_gaps_a_silent_track_sends_nothing_and_its_time_goes_on():
    loud, quiet, hiss = b"\x10" * 160, b"\xff" * 160, b"\xfb\x7c" * 80
    train = FrameTrain(Sides(loud + quiet + hiss + loud, None), ("inbound", "outbound"))
    frames = [frame for slot in drawn(train, [160] * 6, silent_gaps=True) for frame in slot]
    assert [(frame.track, frame.number, frame.chunk, frame.timestamp_ms) for frame in frames] == [
        ("inbound", 1, 1, 0),
        ("inbound", 2, 2, 60),
    ]


def test_it_knows_when_the_longer_side_is_over():
    train = FrameTrain(Sides(b"a" * 160, b"b" * 300), ("inbound", "outbound"))
    assert not train.exhausted
    train.next(160)
    assert not train.exhausted
    train.next(160)
    assert train.exhausted
    customer_only = FrameTrain(Sides(b"a" * 160, b"b" * 300), ("inbound",))
    customer_only.next(160)
    assert customer_only.exhausted
