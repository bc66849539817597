"""A relay with the Twilio stand-in, and Twilio Functions before it: one for all tests of this tier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from functions.rig import TwilioRun
from integration.functions_table import FLEX
from voiceassist_demo.stage import Stage

SYNC_SERVICE = "IS" + "a" * 32


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A real relay, with the stand-ins for Twilio and the model."""
    config = {"functions": {"allowedOrigins": [FLEX]}, "pathPrefix": "/voice"}
    async with Stage(tmp_path_factory.mktemp("stage"), config=config) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def functions(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TwilioRun]:
    """functions/ under `twilio-run`, forwarding to the relay."""
    stream_url = f"ws://127.0.0.1:{stage.relay.port}/voice/ws"
    variables = {"STREAM_URL": stream_url, "SYNC_SERVICE_SID": SYNC_SERVICE}
    async with TwilioRun(tmp_path_factory.mktemp("functions") / "project", variables) as running:
        yield running
