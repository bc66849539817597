"""Flex's configuration with a second writer: lost updates, shown the same way each time."""

from __future__ import annotations

from typing import Any

import pytest

from contract.twilio.conftest import Ask
from voiceassist_sim.twilio import OtherWriter, TwilioServer, When

CONFIGURATION = "/flex-api/v1/Configuration"


async def write(ask: Ask, server: TwilioServer, ui_attributes: dict[str, Any]) -> dict[str, Any]:
    reply = await ask("POST", CONFIGURATION, json={"account_sid": server.account_sid, "ui_attributes": ui_attributes})
    assert reply.status == 200
    return dict(reply.body["ui_attributes"])


async def read(ask: Ask) -> dict[str, Any]:
    return dict((await ask("GET", CONFIGURATION)).body["ui_attributes"])


async def test_somebody_writes_between_get_and_post(server: TwilioServer, ask: Ask) -> None:
    await write(ask, server, {"theme": "dark"})
    order = {"writers": [{"when": "after-get", "changes": {"ui_attributes": {"theirs": 1}}}]}
    assert (await ask("PUT", "/_sim/flex/writers", json=order)).body["writers"][0]["left"] == 1
    seen = await read(ask)
    assert seen == {"theme": "dark"}  # what he wrote came after this answer
    assert server.flex.values()["ui_attributes"] == {"theme": "dark", "theirs": 1}
    assert await write(ask, server, {**seen, "ours": 1}) == {"theme": "dark", "ours": 1}  # his update is lost
    assert await read(ask) == {"theme": "dark", "ours": 1}  # once only
    shown = (await ask("GET", "/_sim/flex")).body
    assert (shown["writes"], shown["otherWrites"], shown["writers"][0]["left"]) == (2, 1, 0)


async def test_somebody_writes_back_what_he_read_before(server: TwilioServer, ask: Ask) -> None:
    await write(ask, server, {"theme": "dark"})
    server.flex.let_others_write(OtherWriter(When.AFTER_POST, {"ui_attributes": {"theirs": 1}}, stale=True, skip=1))
    assert await write(ask, server, {"theme": "dark", "ours": 1}) == {"theme": "dark", "ours": 1}
    assert await write(ask, server, {"theme": "dark", "ours": 2}) == {"theme": "dark", "ours": 2}  # the answer shows nothing of it
    assert await read(ask) == {"theme": "dark", "ours": 1, "theirs": 1}  # our second update is lost


async def test_somebody_who_merges_harms_nobody(server: TwilioServer, ask: Ask) -> None:
    server.flex.let_others_write(OtherWriter(When.AFTER_POST, {"ui_attributes": {"custom_data": {"theirs": 1}}}, times=2))
    await write(ask, server, {"custom_data": {"ours": 1}})
    assert await read(ask) == {"custom_data": {"ours": 1, "theirs": 1}}


async def test_somebody_edits_by_hand(server: TwilioServer, ask: Ask) -> None:
    await write(ask, server, {"custom_data": {"ours": 1, "others": 2}})
    await ask("PATCH", "/_sim/flex", json={"ui_attributes": {"custom_data": {"ours": None}}, "ui_version": "2.0"})
    configuration = (await ask("GET", CONFIGURATION)).body
    assert (configuration["ui_attributes"], configuration["ui_version"]) == ({"custom_data": {"others": 2}}, "2.0")


@pytest.mark.parametrize(
    "bad",
    [
        {"when": "never", "changes": {"ui_attributes": {}}},
        {"when": "after-get", "changes": {}},
        {"when": "after-get", "changes": {"ui_attributes": {}}, "stale": True},
        {"when": "after-get", "changes": {"ui_attributes": {}}, "times": -1},
        {"when": "after-get", "changes": {"ui_attributes": "text"}},
        {"when": "after-get", "changes": {"surprise": 1}},
        {"changes": {"ui_attributes": {}}},
        {"when": "after-get", "changes": {"ui_attributes": {}}, "who": "me"},
    ],
    ids=str,
)
async def test_orders_that_do_not_fit(ask: Ask, bad: dict[str, Any]) -> None:
    reply = await ask("PUT", "/_sim/flex/writers", json={"writers": [bad]})
    assert (reply.status, reply.code) == (400, 20001)
    assert (await ask("GET", "/_sim/flex")).body["writers"] == []
