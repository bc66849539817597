"""Wire transcripts: for each line of the server, exactly what the relay sends and says."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.openai.strict_types import check_client_event, check_server_event
from unit.realtime.wire import TRANSCRIPTS, Player, in_order, read

FILES = sorted(TRANSCRIPTS.glob("*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_core_transcript(path: Path) -> None:
    player = Player()
    for line, expected in read(path):
        assert player.play(line) == in_order(expected), line


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_core_both_ends_of_the_transcript_speak_the_vendors_language(path: Path) -> None:
    for line, expected in read(path):
        if "server" in line and "beta" not in path.stem and "lenient" not in path.stem:
            event = {"event_id": "event_1"} | line["server"]
            assert check_server_event(event) == [], event
        for told in expected:
            if "client" in told:
                assert check_client_event(told["client"]) == [], told


def test_core_there_are_transcripts() -> None:
    assert len(FILES) >= 15
