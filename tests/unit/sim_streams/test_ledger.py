import hashlib

from voiceassist_sim.twilio.streams.ledger import KEPT, Ledger
from voiceassist_sim.twilio.streams.train import MediaFrame


def frame(track, index, audio=b"\x01" * 160):
    return MediaFrame(track, index, index, index * 20, index * 20.0, audio)


def test_it_counts_and_digests_by_track(request_of):
    ledger = Ledger(request_of())
    for index in range(3):
        ledger.sent(frame("inbound", index, bytes([index]) * 160), 10 + index * 0.25)
        ledger.sent(frame("outbound", index), 10.125 + index * 0.25)
    ledger.discarded(frame("outbound", 3))
    account = ledger.to_json()
    assert account["inbound"] == {
        "frames": 3,
        "bytes": 480,
        "sha256": hashlib.sha256(b"".join(bytes([index]) * 160 for index in range(3))).hexdigest(),
        "discarded": 0,
        "timesForgotten": 0,
    }
    assert account["outbound"]["discarded"] == 1
    assert ledger.frames == 6
    assert ledger.times()["outbound"] == {"positionsMs": [0.0, 20.0, 40.0], "loopTimes": [10.125, 10.375, 10.625]}
    assert [(sent.track, sent.position_ms) for sent in ledger.sent_frames()] == [
        ("inbound", 0.0),
        ("outbound", 0.0),
        ("inbound", 20.0),
        ("outbound", 20.0),
        ("inbound", 40.0),
        ("outbound", 40.0),
    ]


def test_a_position_leads_to_the_frame_that_holds_it(request_of):
    ledger = Ledger(request_of(track="inbound_track"))
    for index in (2, 3, 5):  # 80 to 100 ms was never sent
        ledger.sent(frame("inbound", index), float(index))
    answers = {position: ledger.sent_at("inbound", position) for position in (0, 39.9, 40, 59.9, 60, 79, 80, 99, 100, 119, 120)}
    assert answers == {0: None, 39.9: None, 40: 2.0, 59.9: 2.0, 60: 3.0, 79: 3.0, 80: None, 99: None, 100: 5.0, 119: 5.0, 120: None}
    assert ledger.sent_at("outbound", 40) is None


def test_the_oldest_times_are_forgotten_and_counted(request_of):
    ledger = Ledger(request_of(track="inbound_track"))
    for index in range(KEPT + 1):
        ledger.sent(frame("inbound", index), float(index))
    account = ledger.tracks["inbound"]
    assert account.frames == KEPT + 1
    assert account.forgotten == KEPT // 10
    assert len(account.times) == len(account.positions) == len(account.ends) == KEPT + 1 - KEPT // 10
    assert ledger.sent_at("inbound", 0) is None
    assert ledger.sent_at("inbound", KEPT * 20) == float(KEPT)
