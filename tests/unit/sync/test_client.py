"""The Sync client's own part: what exists is taken, pages, answers that lack something, and text that can be sent."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from unit.twilio.rest_rig import SERVICE, answering, serving
from voiceassist_relay.errors import TwilioRefused, TwilioUnclear
from voiceassist_relay.sync.client import is_taken
from voiceassist_relay.sync.payload import encode

ANY = st.characters(exclude_categories=())
"""Every code point, halves of surrogate pairs too."""


# the Sync client's own part


async def test_client_ensure_takes_what_exists_and_sets_its_ttl() -> None:
    seen: list[tuple[str, str, dict[str, str]]] = []

    async def handler(request: web.Request) -> web.Response:
        fields = dict(parse_qsl((await request.read()).decode()))
        path = request.path.removeprefix(f"/sync/v1/Services/{SERVICE}")
        seen.append((request.method, path, fields))
        if path == "/Streams":
            return web.json_response({"code": 54301, "message": "Unique name already exists", "status": 409}, status=409)
        return web.json_response({"sid": "TO1", "unique_name": "a b"})

    async with serving(handler) as relay:
        stream = await relay.sync.ensure_stream("a b", 900)
    assert (stream.sid, stream.existed) == ("TO1", True)
    assert seen == [
        ("POST", "/Streams", {"UniqueName": "a b", "Ttl": "900"}),
        ("GET", "/Streams/a b", {}),
        ("POST", "/Streams/TO1", {"Ttl": "900"}),
    ]


async def test_client_pages_are_followed_but_never_to_another_host() -> None:
    queries: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        queries.append(dict(request.query))
        page = int(request.query.get("Page", "0"))
        items = [{"key": f"{page}{n}", "revision": "1", "data": {"n": n}} for n in range(2)]
        following = None if page == 2 else f"https://elsewhere.example/v1/x?PageSize=2&Page={page + 1}&PageToken=t%2F{page}"
        return web.json_response({"items": items, "meta": {"next_page_url": following}})

    async with serving(handler) as relay:
        keys = [item.sid async for item in relay.sync.items("MP1", descending=True, start="9", page_size=2)]
    assert keys == ["00", "01", "10", "11", "20", "21"]
    assert queries[0] == {"Order": "desc", "PageSize": "2", "From": "9"}
    assert [query.get("PageToken") for query in queries] == [None, "t/0", "t/1"]


async def test_client_an_answer_without_its_sid_is_unclear() -> None:
    async with serving(answering(201, {"data": {}})) as relay:
        with pytest.raises(TwilioUnclear, match="no sid"):
            await relay.sync.create_document("d", {}, 60)


async def test_client_a_taken_key_is_told_from_other_refusals() -> None:
    async with serving(answering(409, {"code": 54208, "message": "exists"})) as relay:
        with pytest.raises(TwilioRefused) as caught:
            await relay.sync.create_item("MP1", "000001", {}, 60)
    assert is_taken(caught.value)
    assert not is_taken(TwilioRefused("op", 403, 54007, ""))


@given(st.dictionaries(st.text(ANY, max_size=5), st.text(ANY, max_size=20), max_size=3))
def test_client_any_text_can_be_sent(data: dict[str, str]) -> None:
    sent = encode(data).encode()
    if not any(0xD800 <= ord(c) <= 0xDFFF for pair in data.items() for c in "".join(pair)):
        assert json.loads(sent) == data


def test_client_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert json.loads(encode({"a": "x\ud83d", "b": "\ud83d\ude00"}).encode()) == {"a": "x\ufffd", "b": "😀"}
