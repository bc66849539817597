"""Whose sessions are whose: told by the audio alone, also where sessions were replaced or silence was filled in."""

from __future__ import annotations

import hashlib
from typing import Any

from voiceassist_demo.attribution import Track, claim_parts, claim_whole
from voiceassist_demo.chain import SILENCE

A, B, C, D = (bytes([value]) * 160 for value in (1, 2, 3, 4))


def track(audio: bytes, kind: str = "realtime", *, known: bool = True) -> Track:
    return Track(kind, hashlib.sha256(audio).hexdigest(), len(audio), audio if known else None)


def session(name: str, audio: bytes, kind: str = "realtime", opened: int = 0) -> tuple[dict[str, Any], bytes]:
    told = {"id": name, "kind": kind, "sha256": hashlib.sha256(audio).hexdigest(), "bytesHeard": len(audio), "openedAtMs": opened}
    return told, audio


def given(tracks: list[Track], *sessions: tuple[dict[str, Any], bytes]) -> list[list[str]]:
    """The sessions that each track is given, by name."""
    audio = {told["id"]: heard for told, heard in sessions}
    left = claim_whole(tracks, [told for told, _ in sessions])
    claim_parts(tracks, [(told, audio[told["id"]]) for told in left])
    return [[one.session["id"] for one in each.heard] for each in tracks]


def wrong(tracks: list[Track]) -> list[bool]:
    return [bool(each.chain.wrong()) for each in tracks]


def test_attribution_sessions_go_to_the_tracks_whose_bytes_they_heard() -> None:
    tracks = [track(A + B), track(C + D), track(A, "transcription")]
    heard = [session("agent", A, "transcription"), session("second", C + D), session("first", A + B)]
    assert given(tracks, *heard) == [["first"], ["second"], ["agent"]]
    assert wrong(tracks) == [False] * 3


def test_attribution_calls_of_one_length_with_silence_filled_in_keep_their_own_sessions() -> None:
    """The amount heard does not tell them apart: the first call's session has more silence than the second's."""
    tracks = [track(A + B + C), track(A + C + B)]
    heard = [session("second", A + SILENCE + C + B, opened=1), session("first", A + SILENCE * 4 + B + C, opened=2)]
    assert given(tracks, *heard) == [["first"], ["second"]]
    assert wrong(tracks) == [False, False]
    assert [each.chain.filled for each in tracks] == [4, 1]


def test_attribution_a_session_that_took_over_goes_to_the_call_that_it_goes_on_with() -> None:
    tracks = [track(A + B + C + D), track(D + C + B + A)]
    heard = [
        session("1", A + B, opened=1),
        session("2", D + C, opened=2),
        session("3", C + B + A, opened=3),
        session("4", B + C + D, opened=4),
    ]
    assert given(tracks, *heard) == [["1", "4"], ["2", "3"]]
    assert wrong(tracks) == [False, False]
    assert [each.chain.replayed for each in tracks] == [1, 1]


def test_attribution_sessions_are_chained_in_the_order_in_which_they_were_opened() -> None:
    tracks = [track(A + B + C)]
    assert given(tracks, session("later", B + C, opened=2), session("earlier", A, opened=1)) == [["earlier", "later"]]
    assert wrong(tracks) == [False]


def test_attribution_two_calls_with_the_same_audio_have_the_shortest_replays() -> None:
    tracks = [track(A + B + C + D), track(A + B + C + D)]
    heard = [session("1", A, opened=1), session("2", A + B + C, opened=2), session("3", B + C + D, opened=3), session("4", D, opened=4)]
    assert given(tracks, *heard) == [["1", "3"], ["2", "4"]]
    assert [each.chain.replayed for each in tracks] == [0, 0]
    assert wrong(tracks) == [False, False]


def test_attribution_one_session_is_not_given_to_two_calls_that_sent_the_same() -> None:
    assert given([track(A + B), track(A + B)], session("1", A + B), session("2", A + B)) == [["1"], ["2"]]


def test_attribution_a_session_that_heard_something_else_goes_to_a_call_of_like_length_that_misses_some() -> None:
    tracks = [track(A + B + C + D), track(A + C), track(B + D)]
    assert given(tracks, session("broken", B + C), session("whole", B + D)) == [[], ["broken"], ["whole"]]
    assert wrong(tracks) == [True, True, False]


def test_attribution_audio_that_nobody_sent_spoils_a_call_in_which_all_else_is_right() -> None:
    tracks = [track(A + B)]
    assert given(tracks, session("1", A + B), session("2", D)) == [["1", "2"]]
    assert wrong(tracks) == [True]


def test_attribution_the_relays_own_check_of_the_model_is_nobodys_session() -> None:
    assert given([track(A)], session("check", b""), session("1", A)) == [["1"]]


def test_attribution_without_the_recordings_bytes_only_the_whole_is_right() -> None:
    tracks = [track(A + B, known=False)]
    assert given(tracks, session("1", A + B)) == [["1"]]
    assert wrong(tracks) == [False]
    tracks = [track(A + B, known=False)]
    assert given(tracks, session("1", A), session("2", B)) == [["1", "2"]]
    assert wrong(tracks) == [True]
