"""Flex tokens of strangers and of agents who are known: who waits for whom."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

from voiceassist_crds.config import RelayConfig
from voiceassist_relay.config.snapshot import Secrets, Snapshot
from voiceassist_relay.twilio.flex_tokens import MAX_VALIDATIONS, STRANGERS, FlexTokens
from voiceassist_relay.twilio.rest import Answer, TwilioRest
from voiceassist_relay.twilio.retry import RetryPolicy

CONFIG = RelayConfig.model_validate(
    {
        "host": "assist.example.com",
        "twilio": {"accountSid": "AC" + "1" * 32, "syncServiceSid": "IS" + "1" * 32},
        "prompts": [{"instructions": "Help."}],
    }
)
SNAPSHOT = Snapshot(CONFIG, Secrets(auth_token="secret"))
GOOD = {"valid": True, "identity": "ann", "worker_sid": "WK" + "a" * 32, "roles": ["agent"], "expiration": "2096-01-01T00:00:00Z"}


def token(number: int) -> str:
    return f"{base64.urlsafe_b64encode(b'{}').decode()}.{number:04d}.sig0".replace("=", "")


class Twilio:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = asyncio.Event()

    async def request(self, *_: Any, json: dict[str, str], **__: Any) -> Answer:
        self.asked.append(json["token"])
        await self.answers.wait()
        return Answer(200, dict(GOOD), {})


async def test_flex_tokens_strangers_have_half_of_the_places_and_known_agents_go_past_them() -> None:
    twilio, now = Twilio(), 1_800_000_000.0
    tokens = FlexTokens(cast(TwilioRest, twilio), lambda: SNAPSHOT, lambda: now, RetryPolicy(attempts=1), lambda: 0.0)
    twilio.answers.set()
    assert (await tokens.person(token(0))).identity == "ann"
    twilio.answers.clear()
    now += 61.0  # the yes is forgotten, the agent is not
    tasks = [asyncio.create_task(tokens.person(token(number))) for number in range(1, 60)]
    await asyncio.sleep(0.05)
    assert len(twilio.asked) == 1 + STRANGERS < MAX_VALIDATIONS
    tasks.append(asyncio.create_task(tokens.person(token(0))))
    await asyncio.sleep(0.05)
    assert twilio.asked[-1] == token(0) and len(twilio.asked) == 2 + STRANGERS
    await tokens.aclose()
    await asyncio.gather(*tasks, return_exceptions=True)
