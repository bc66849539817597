"""Sync services as an operator keeps them: found by name, page by page, put right, deleted."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from contract.twilio.conftest import Ask, Clock
from voiceassist_sim.twilio import TwilioServer

NAME = "voiceassist/default/assist/6a1f"


async def test_names_are_not_unique_and_are_found_on_a_later_page(client: Client, server: TwilioServer) -> None:
    services = client.sync.v1.services
    for number in range(60):
        await services.create_async(friendly_name=f"other {number}")
    ours = [(await services.create_async(friendly_name=NAME)).sid for _ in range(2)]
    mark = server.journal.mark()
    assert [one.sid for one in await services.list_async() if one.friendly_name == NAME] == ours
    assert server.journal.since(mark).by == {"sync": {"GET": 2}}  # 50 on a page
    assert len(await services.list_async(page_size=7)) == 62
    first = await services.page_async(page_size=61)
    assert first.next_page_url is not None
    assert [one.sid for one in await services.get_page_async(first.next_page_url)] == ours[1:]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"acl_enabled": True}, True),
        ({"webhooks_from_rest_enabled": True}, True),
        ({"reachability_webhooks_enabled": True}, True),
        ({"reachability_debouncing_enabled": True}, True),
        ({"reachability_debouncing_window": 30_000}, 30_000),
        ({"webhook_url": "https://example.com/hook"}, "https://example.com/hook"),
        ({"friendly_name": "by hand"}, "by hand"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_every_setting_drifts_and_is_put_right(client: Client, clock: Clock, given: dict[str, Any], shown: Any) -> None:
    name = next(iter(given))
    made = await client.sync.v1.services.create_async(friendly_name=NAME)
    service = client.sync.v1.services(made.sid)
    before = getattr(made, name)
    assert before != shown
    clock.pass_(5)
    changed = await service.update_async(**given)
    assert getattr(changed, name) == getattr(await service.fetch_async(), name) == shown
    assert changed.date_updated > changed.date_created
    back = await service.update_async(**{name: "" if before is None else before})
    assert getattr(back, name) == before


async def test_a_deleted_service_is_54050_everywhere(client: Client, ask: Ask) -> None:
    made = await client.sync.v1.services.create_async(friendly_name=NAME)
    service = client.sync.v1.services(made.sid)
    assert await service.delete_async() is True
    for attempt in (service.fetch_async, service.delete_async, service.sync_maps.create_async, service.sync_maps("m").fetch_async):
        with pytest.raises(TwilioRestException) as caught:
            await attempt()
        assert (caught.value.status, caught.value.code) == (404, 54050)
    with pytest.raises(TwilioRestException) as caught:
        await service.update_async(acl_enabled=True)
    assert caught.value.code == 54050
    assert (await ask("GET", "/_sim/sync")).body["services"] == []
