"""The stand-in's ledger: which words were heard, byte for byte, in whatever frames and formats."""

from __future__ import annotations

import pytest

from unit.sim_openai.rig import TURN, call, dial, session_config, silence, tone
from voiceassist_sim.openai import RealtimeServer, Utterance

# --------------------------------------------------------------------------------------------------------- what was heard


@pytest.mark.parametrize(
    ("spoken", "recognised"),
    [(("c2", "c1"), "c2"), (("c2", "c4"), "c4"), (("c4", "c2"), "c2"), (("c1",), "c1"), (("c1", "c6"), "c6")],
)
async def test_a_turn_is_about_its_last_relevant_utterance(
    server: RealtimeServer, words: dict[str, Utterance], spoken: tuple[str, ...], recognised: str
) -> None:
    async with call(server, config=session_config(turn_detection=None)) as caller:
        for name in spoken:
            await caller.append(words[f"card-charge/{name}"].audio + silence(200))
        await caller.send("input_audio_buffer.commit")
        await caller.collect_until("conversation.item.done")
        (turn,) = server.sessions[0].to_json()["turns"]
        assert turn["recognised"] == f"card-charge/{recognised}"
        assert [one["id"] for one in turn["utterances"]] == [f"card-charge/{name}" for name in spoken]
        assert turn["exact"]


async def test_borders_of_frames_settle_what_bytes_leave_open(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    """Where the first byte of the wrong frame happens to be that of the right one, the joint is still at the frame's border."""
    speech = words["card-charge/c2"].audio
    frames = [speech[at : at + 160] for at in range(0, len(speech), 160)]
    at = next(index for index in range(20, len(frames)) if frames[index][0] == frames[index + 1][0])
    frames[at], frames[at + 1] = frames[at + 1], frames[at]
    async with call(server) as caller:
        await caller.append(silence(400))
        for frame in frames:
            await caller.append(frame)
        await caller.append(silence(700))
        await caller.settle()
        (turn,) = server.sessions[0].to_json()["turns"]
        assert (turn["missing"], turn["doubled"], turn["disordered"]) == (0, 0, 160)


async def test_every_byte_that_was_heard_is_in_the_ledger(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    audio = silence(300) + words["card-charge/c2"].audio + silence(700)
    async with call(server) as caller:
        await caller.append(audio)
        await caller.settle()
        session = server.sessions[0]
        assert session.protocol.audio == audio
        ledger = session.protocol.ledger
        assert (ledger.appends, ledger.bytes_heard) == (-(-len(audio) // 160), len(audio))
        (turn,) = ledger.turns
        assert turn.recognised == "card-charge/c2"
        assert turn.heard.exact


async def test_lost_doubled_and_disordered_frames_are_in_the_ledger(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    speech = words["card-charge/c2"].audio
    frames = [speech[at : at + 160] for at in range(0, len(speech), 160)]
    frames[50], frames[51] = frames[51], frames[50]
    frames.insert(70, frames[69])
    del frames[20:22]
    async with call(server) as caller:
        await caller.append(silence(400))
        for frame in frames:
            await caller.append(frame)
        await caller.append(silence(700))
        await caller.settle()
        report = server.sessions[0].to_json()["turns"][0]
        assert report["recognised"] == "card-charge/c2"
        assert (report["exact"], report["missing"], report["doubled"], report["disordered"]) == (False, 320, 160, 160)


async def test_audio_before_the_update_is_read_as_pcm_and_flagged(server: RealtimeServer, words: dict[str, Utterance]) -> None:
    speech = words["card-charge/c2"].audio
    async with dial(server) as caller:
        await caller.expect("session.created")
        await caller.append(speech[:9600])
        await caller.settle()
        protocol = server.sessions[0].protocol
        assert (protocol.format_name, protocol.audio_ms) == ("audio/pcm", 200)
        assert protocol.ledger.before_update == 9600
        await caller.configure()
        assert (protocol.ledger.bytes_heard, protocol.ledger.other_format, protocol.audio) == (0, 9600, b"")
        await caller.append(silence(1000) + speech[9600:] + silence(600))
        events = await caller.settle()
        assert events[0]["audio_start_ms"] >= 200
        report = server.sessions[0].to_json()
        assert report["misinterpretedBytes"] == 9600
        assert report["turns"][0]["utterances"][0]["missing"] == 9600


async def test_audio_that_need_not_be_kept_is_forgotten_but_counted(server: RealtimeServer) -> None:
    server.behaviour.keep_audio = False
    audio = (tone(600) + silence(900)) * 100
    async with call(server) as caller:
        await caller.append(audio, 1600)
        await caller.settle()
        protocol = server.sessions[0].protocol
        assert len(protocol.ledger.turns) == 100
        assert protocol.ledger.bytes_heard == len(audio)
        assert len(protocol.audio) < 90 * 8000
        assert all(turn.size == (1100 if index == 0 else 1400) * 8 for index, turn in enumerate(protocol.ledger.turns))


async def test_other_formats_are_heard_too(server: RealtimeServer) -> None:
    pcm = tone(600)
    async with call(server, config=session_config(format={"type": "audio/pcma"})) as caller:
        # The tone's mu-law bytes are loud A-law as well; silence in A-law is 0xD5.
        await caller.append(b"\xd5" * 8000 + pcm + b"\xd5" * 8000)
        events = await caller.settle()
        assert [event["type"] for event in events] == list(TURN)
    async with call(server, config=session_config(format={"type": "audio/pcm", "rate": 24000})) as caller:
        loud = (b"\x00\x20" * 30 + b"\x00\xe0" * 30) * 240
        await caller.append(bytes(48 * 1000) + loud + bytes(48 * 1000), 960)
        events = await caller.settle()
        assert [event["type"] for event in events] == list(TURN)
        assert (events[0]["audio_start_ms"], events[1]["audio_end_ms"]) == (700, 2100)
