"""Sync's services, Documents and Streams through the vendor's own client and, for what it cannot say, through plain HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twilio.rest import Client

from contract.twilio.conftest import NOW, Ask, Clock, refused
from voiceassist_sim.twilio import TwilioServer

# Services


async def test_services(client: Client) -> None:
    services = client.sync.v1.services
    made = await services.create_async(friendly_name="a", reachability_debouncing_window=2000, webhooks_from_rest_enabled=True)
    assert (made.friendly_name, made.acl_enabled, made.webhooks_from_rest_enabled) == ("a", False, True)
    changed = await services(made.sid).update_async(acl_enabled=True, friendly_name="b")
    assert (await services(made.sid).update_async(webhook_url="https://example.com/sync")).webhook_url == "https://example.com/sync"
    assert (await services(made.sid).update_async(webhook_url="")).webhook_url is None
    assert (changed.acl_enabled, changed.friendly_name, changed.reachability_debouncing_window) == (True, "b", 2000)
    assert (await services(made.sid).fetch_async()).acl_enabled is True
    assert [one.sid for one in await services.list_async()] == [made.sid]
    await services(made.sid).documents.create_async(unique_name="d")
    assert await services(made.sid).delete_async() is True
    assert await refused(services(made.sid).fetch_async()) == (404, 54050)
    assert await refused(services(made.sid).documents("d").fetch_async()) == (404, 54050)


async def test_a_service_refuses_bad_settings(client: Client, ask: Ask) -> None:
    services = client.sync.v1.services
    assert await refused(services.create_async(reachability_debouncing_window=999)) == (400, 20001)
    assert await refused(services.create_async(webhook_url="example.com")) == (400, 20001)
    made = await services.create_async()
    assert await refused(services(made.sid).update_async()) == (400, 54010)
    reply = await ask("POST", "/sync/v1/Services", form={"AclEnabled": "yes"})
    assert (reply.status, reply.code) == (400, 20001)


# Documents


async def test_a_document_lives(service: Any, clock: Clock) -> None:
    made = await service.documents.create_async(unique_name="VA_CALL_1", data={"state": "starting"}, ttl=60)
    assert (made.data, made.unique_name, made.created_by) == ({"state": "starting"}, "VA_CALL_1", "system")
    assert made.date_expires.timestamp() == NOW + 60
    by_name = await service.documents("VA_CALL_1").fetch_async()
    by_sid = await service.documents(made.sid).fetch_async()
    assert by_name.revision == by_sid.revision == made.revision
    clock.pass_(1)
    changed = await service.documents("VA_CALL_1").update_async(data={"state": "live"}, if_match=made.revision)
    assert changed.revision != made.revision
    assert changed.data == {"state": "live"}
    assert changed.date_updated.timestamp() == NOW + 1
    assert await service.documents("VA_CALL_1").delete_async() is True
    assert await refused(service.documents("VA_CALL_1").fetch_async()) == (404, 54300)
    assert await refused(service.documents(made.sid).fetch_async()) == (404, 54100)


async def test_a_stale_revision_changes_nothing(service: Any) -> None:
    made = await service.documents.create_async(unique_name="d", data={"n": 1})
    document = service.documents("d")
    await document.update_async(data={"n": 2}, if_match=made.revision)
    assert await refused(document.update_async(data={"n": 3}, if_match=made.revision)) == (412, 54103)
    assert (await document.fetch_async()).data == {"n": 2}
    assert await refused(document.update_async(data={"n": 3}, if_match="not-a-revision")) == (400, 54003)
    assert (await document.update_async(data={"n": 4})).data == {"n": 4}  # without a condition the last one wins


async def test_the_etag_is_the_revision(service: Any, ask: Ask) -> None:
    made = await service.documents.create_async(unique_name="d", data={})
    path = f"/sync/v1/Services/{made.service_sid}/Documents/d"
    reply = await ask("GET", path)
    assert reply.headers["ETag"] == reply.body["revision"]
    reply = await ask("POST", path, form={"Data": "{}"}, headers={"If-Match": f'"{reply.body["revision"]}"'})
    assert reply.status == 200


async def test_a_unique_name_is_unique_in_the_service(service: Any, client: Client, server: TwilioServer) -> None:
    await service.documents.create_async(unique_name="name", data={})
    assert await refused(service.documents.create_async(unique_name="name", data={})) == (409, 54301)
    assert await refused(service.sync_maps.create_async(unique_name="name")) == (409, 54301)
    server.settings.lenient.names_per_kind = True
    assert (await service.sync_maps.create_async(unique_name="name")).unique_name == "name"
    assert await refused(service.sync_maps.create_async(unique_name="name")) == (409, 54301)
    other = await client.sync.v1.services.create_async()
    assert (await client.sync.v1.services(other.sid).documents.create_async(unique_name="name")).unique_name == "name"


async def test_unique_names_have_a_form(service: Any) -> None:
    assert (await service.documents.create_async(unique_name="n" * 320)).unique_name == "n" * 320
    assert await refused(service.documents.create_async(unique_name="n" * 321)) == (400, 54302)
    assert await refused(service.documents.create_async(unique_name="")) == (400, 54302)
    assert await refused(service.documents.create_async(unique_name="ET" + "0" * 32)) == (400, 54302)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ("{", (400, 54008)),
        ('{"a": NaN}', (400, 54008)),
        ("[1]", (400, 54008)),
        ('"text"', (400, 54008)),
        ("null", (400, 54101)),
        ("", (400, 54008)),
        (json.dumps({"t": "x" * (16384 - 9)}), None),
        (json.dumps({"t": "x" * (16384 - 8)}), (413, 54006)),
        (json.dumps({"t": "ä" * 2731}), (413, 54006)),  # counted as it was sent, escapes and all
    ],
)
async def test_what_a_document_may_hold(service: Any, data: str, answer: tuple[int, int] | None) -> None:
    creating = service.documents.create_async(data=data)
    if answer is None:
        assert (await creating).sid.startswith("ET")
    else:
        assert await refused(creating) == answer


async def test_any_json_if_lenient(service: Any, server: TwilioServer) -> None:
    server.settings.lenient.any_json_data = True
    assert (await service.documents.create_async(data="[1]")).data == [1]


async def test_an_update_must_change_something(service: Any) -> None:
    await service.documents.create_async(unique_name="d", data={})
    assert await refused(service.documents("d").update_async()) == (400, 54010)
    assert await refused(service.documents("d").update_async(if_match="0")) == (400, 54010)


async def test_time_to_live(service: Any, clock: Clock) -> None:
    await service.documents.create_async(unique_name="short", data={}, ttl=60)
    await service.documents.create_async(unique_name="ever", data={}, ttl=0)
    document = service.documents("short")
    clock.pass_(59)
    assert (await document.update_async(data={"n": 1})).date_expires.timestamp() == NOW + 60  # a write does not extend it
    clock.pass_(1)
    assert await refused(document.fetch_async()) == (404, 54300)
    clock.pass_(10**9)
    assert (await service.documents("ever").fetch_async()).date_expires is None
    again = await service.documents.create_async(unique_name="short", data={}, ttl=31_536_000)
    assert (await document.update_async(ttl=0)).date_expires is None
    assert (await document.update_async(ttl=5)).date_expires.timestamp() == clock.now + 5
    assert again.sid.startswith("ET")
    for bad in (-1, 31_536_001, "soon"):
        assert await refused(service.documents.create_async(ttl=bad)) == (400, 54011)


# Streams


async def test_streams_and_messages(service: Any, server: TwilioServer, clock: Clock) -> None:
    made = await service.sync_streams.create_async(unique_name="FLEX_ASSIST_1", ttl=3600)
    assert (await service.sync_streams("FLEX_ASSIST_1").fetch_async()).sid == made.sid
    message = await service.sync_streams(made.sid).stream_messages.create_async(data={"type": "draft", "part": 1})
    assert message.sid.startswith("TZ")
    assert message.data == {"type": "draft", "part": 1}
    assert [(one.at, one.unique_name, one.data) for one in server.messages()] == [(NOW, "FLEX_ASSIST_1", {"type": "draft", "part": 1})]
    changed = await service.sync_streams(made.sid).update_async(ttl=7200)
    assert changed.date_expires.timestamp() == NOW + 7200
    assert await refused(service.sync_streams(made.sid).update_async()) == (400, 54010)
    assert await service.sync_streams("FLEX_ASSIST_1").delete_async() is True
    assert await refused(service.sync_streams(made.sid).stream_messages.create_async(data={})) == (404, 54250)


async def test_messages_go_to_the_sid(service: Any, server: TwilioServer) -> None:
    await service.sync_streams.create_async(unique_name="s")
    by_name = service.sync_streams("s").stream_messages
    assert await refused(by_name.create_async(data={})) == (404, 20404)
    server.settings.lenient.message_by_stream_name = True
    assert (await by_name.create_async(data={})).sid.startswith("TZ")
    assert await refused(service.sync_streams("t").stream_messages.create_async(data={})) == (404, 54300)


async def test_messages_are_small(service: Any, ask: Ask) -> None:
    made = await service.sync_streams.create_async()
    messages = service.sync_streams(made.sid).stream_messages
    assert await messages.create_async(data={"t": "x" * (4096 - 9)})
    assert await refused(messages.create_async(data={"t": "x" * (4096 - 8)})) == (413, 54006)
    assert await refused(messages.create_async(data="null")) == (400, 54251)
    reply = await ask("POST", f"/sync/v1/Services/{made.service_sid}/Streams/{made.sid}/Messages")
    assert (reply.status, reply.code) == (400, 54251)
