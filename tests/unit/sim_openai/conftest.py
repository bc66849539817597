"""Servers and sample calls for the tests of the OpenAI stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from voiceassist_sim.openai import Behaviour, RealtimeServer, SampleCall, Utterance, load_sample_calls


@pytest.fixture(scope="session")
def calls() -> list[SampleCall]:
    return load_sample_calls()


@pytest.fixture(scope="session")
def words(calls: list[SampleCall]) -> dict[str, Utterance]:
    """All utterances by id."""
    return {utterance.id: utterance for call in calls for utterance in call.utterances}


@pytest.fixture
async def server(calls: list[SampleCall]) -> AsyncIterator[RealtimeServer]:
    """A server that answers at once."""
    behaviour = Behaviour(first_token_ms=0, delta_ms=0, transcription_delay_ms=0, transcription_delta_ms=0, seed=1)
    async with RealtimeServer(behaviour=behaviour, calls=calls[:1]) as server:
        yield server
