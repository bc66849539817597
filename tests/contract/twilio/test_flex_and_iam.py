"""Flex's configuration and the validation of Flex tokens: JSON bodies, so by plain HTTP (and by the vendor's synchronous client)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from twilio.rest import Client

from contract.twilio.conftest import Ask, Clock, Silence, basic, pointed_at
from voiceassist_sim.twilio import TwilioServer

CONFIGURATION = "/flex-api/v1/Configuration"


async def test_ui_attributes_are_replaced_as_a_whole(server: TwilioServer, ask: Ask, clock: Clock) -> None:
    account = {"account_sid": server.account_sid}
    before = (await ask("GET", f"{CONFIGURATION}?UiVersion=2")).body
    assert (before["account_sid"], before["status"], before["ui_attributes"]) == (server.account_sid, "ok", {})
    clock.pass_(60)
    await ask("POST", CONFIGURATION, json={**account, "ui_attributes": {"theme": {"a": 1}, "custom_data": {"x": 1}}})
    reply = await ask("POST", CONFIGURATION, json={**account, "ui_attributes": {"custom_data": {"voice_assist": {}}}})
    assert reply.body["ui_attributes"] == {"custom_data": {"voice_assist": {}}}
    after = (await ask("GET", CONFIGURATION)).body
    assert after["ui_attributes"] == {"custom_data": {"voice_assist": {}}}
    assert after["date_updated"] != before["date_updated"]
    unchanged = set(after) - {"ui_attributes", "date_updated"}
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}


@pytest.mark.parametrize(
    "given",
    [
        {"ui_attributes": {}, "account_sid": None},
        {"ui_attributes": {}, "account_sid": "AC" + "0" * 32},
        {"ui_attributes": []},
        {"ui_attributes": "{}"},
        {"serverless_service_sids": ["ZS1"]},
        {"serverless_service_sids": "ZS" + "0" * 32},
        {"taskrouter_workspace_sid": "WW" + "0" * 32},
        {"plugin_service_enabled": "true"},
        {"ui_version": 2},
        {"integrations": {}},
        {"uiAttributes": {}},
        {"status": "ok"},
        [],
    ],
)
async def test_what_an_update_may_not_be(server: TwilioServer, ask: Ask, given: Any) -> None:
    before = (await ask("GET", CONFIGURATION)).body
    body = {"account_sid": server.account_sid, **given} if isinstance(given, dict) else given
    reply = await ask("POST", CONFIGURATION, json=body)
    assert (reply.status, reply.code) == (400, 20001)
    assert (await ask("GET", CONFIGURATION)).body == before


async def test_only_json(server: TwilioServer, ask: Ask) -> None:
    for given in (
        {"form": {"account_sid": server.account_sid}},
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        {"data": b'{"account_sid": "%s"}' % server.account_sid.encode(), "headers": {"Content-Type": "text/plain"}},
    ):
        reply = await ask("POST", CONFIGURATION, **given)
        assert (reply.status, reply.code) == (400, 20001)


async def test_the_other_fields(server: TwilioServer, ask: Ask) -> None:
    given = {
        "serverless_service_sids": ["ZS" + "1" * 32],
        "plugin_service_enabled": False,
        "ui_version": "~2.17",
        "attributes": {"a": 1},
        "integrations": [],
        "flex_service_instance_sid": "IS" + "1" * 32,
    }
    reply = await ask("POST", CONFIGURATION, json={"account_sid": server.account_sid, **given})
    assert reply.status == 200
    assert {name: reply.body[name] for name in given} == given


async def test_the_synchronous_client(server: TwilioServer) -> None:
    client = pointed_at(server, Client(*server.api_key, server.account_sid))

    class Body:  # the client takes any object with this method
        def to_dict(self) -> dict[str, Any]:
            return {"account_sid": server.account_sid, "ui_attributes": {"a": 1}}

    def use() -> None:
        configuration = client.flex_api.v1.configuration()
        configuration.update(body=Body())
        assert configuration.fetch().ui_attributes == {"a": 1}
        assert client.flex_api.v1.provisioning_status().fetch().status == "active"

    await asyncio.to_thread(use)


# Flex tokens


@pytest.fixture
def path(server: TwilioServer) -> str:
    return f"/iam/v1/Accounts/{server.account_sid}/Tokens/validate"


async def test_a_good_token(server: TwilioServer, ask: Ask, path: str, clock: Clock) -> None:
    call = server.create_call(Silence())
    for headers in (basic(*server.api_key), basic(server.account_sid, server.credentials.auth_token)):
        reply = await ask("POST", path, json={"token": call.flex_token}, headers=headers)
        assert reply.body == {
            "valid": True,
            "code": 0,
            "message": None,
            "expiration": "2027-01-15T09:00:00.000Z",
            "realm_user_id": "agent1@example.com",
            "identity": "agent1_40example_2Ecom",
            "roles": ["agent"],
            "worker_sid": call.worker_sid,
        }
    supervisor = server.add_worker("boss@example.com", roles=("supervisor", "agent"))
    reply = await ask("POST", path, json={"token": server.flex_token(supervisor.sid)})
    assert reply.body["roles"] == ["supervisor", "agent"]
    reply = await ask("POST", path, json={"token": server.flex_token(supervisor.sid, with_worker=False)})
    assert "worker_sid" not in reply.body


async def test_a_bad_token_is_answered_with_200(server: TwilioServer, ask: Ask, path: str, clock: Clock) -> None:
    worker = server.add_worker()
    token = server.flex_token(worker.sid, ttl=60)
    unknown = await ask("POST", path, json={"token": "eyJ"})
    assert (unknown.status, unknown.body["valid"], unknown.code) == (200, False, 20101)
    clock.pass_(60)
    late = await ask("POST", path, json={"token": token})
    assert (late.status, late.body["valid"], late.code) == (200, False, 20104)
    token = server.flex_token(worker.sid)
    assert (await ask("POST", path, json={"token": token})).body["valid"] is True
    assert server.flex_tokens.revoke(token)
    assert (await ask("POST", path, json={"token": token})).body["valid"] is False


async def test_what_iam_refuses(server: TwilioServer, ask: Ask, path: str) -> None:
    token = server.flex_token(server.add_worker().sid)
    for body in ({}, {"token": ""}, {"token": 1}, [], {"Token": token}):
        reply = await ask("POST", path, json=body)
        assert (reply.status, reply.code) == (400, 20001), body
    assert (await ask("POST", path, form={"token": token})).status == 400
    reply = await ask("POST", path.replace(server.account_sid, "AC" + "0" * 32), json={"token": token})
    assert (reply.status, reply.code) == (401, 20003)
    assert (await ask("POST", path, json={"token": token}, headers={"Authorization": "Basic x"})).status == 401
