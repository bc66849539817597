from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceassist_sim.twilio.api import Answer, ApiRequest, Router, route
from voiceassist_sim.twilio.errors import TwilioError
from voiceassist_sim.twilio.fields import boolean, integer, loads_strict, parse_form
from voiceassist_sim.twilio.paging import page
from voiceassist_sim.twilio.sids import SidSource, is_sid

FORM = "application/x-www-form-urlencoded"


def nothing(_: ApiRequest) -> Answer:
    return Answer(204)


def test_routes() -> None:
    router = Router(
        [
            route("GET", "/v1/Things/{Sid}.json", nothing),
            route("POST", "/v1/Things/{Sid}/Parts/{Part}.json", nothing, "A"),
            route("GET", "/v1/Things", nothing),
        ]
    )
    assert router.find("GET", "/v1/Things/x%2Fy%20z.json")[1] == {"Sid": "x/y z"}
    assert router.find("POST", "/v1/Things/a.json/Parts/b.json")[1] == {"Sid": "a.json", "Part": "b"}
    for method, path, code in (
        ("GET", "/v1/Things/x", 20404),
        ("GET", "/v1/Things/x/y.json", 20404),
        ("GET", "/v1/Things/", 20404),
        ("GET", "/v1/Thingsxjson", 20404),
        ("DELETE", "/v1/Things", 20004),
    ):
        with pytest.raises(TwilioError) as caught:
            router.find(method, path)
        assert caught.value.code == code, path


def test_forms() -> None:
    taken = route("POST", "/x", nothing, "A", "B")
    assert parse_form(b"A=1+2&B=%C3%A4%26", FORM, taken, ignore_unknown=False) == {"A": "1 2", "B": "ä&"}
    assert parse_form(b"A=", FORM, taken, ignore_unknown=False) == {"A": ""}
    assert parse_form(b"", "", taken, ignore_unknown=False) == {}
    assert parse_form(b"C=1&A=1", FORM, taken, ignore_unknown=True) == {"A": "1"}


@given(st.text(max_size=6))
def test_integers(text: str) -> None:
    try:
        value = integer({"N": text}, "N", low=0, high=100)
    except TwilioError as refusal:
        assert refusal.code == 20001
    else:
        assert value is not None
        assert 0 <= value <= 100
        assert text.isascii()


def test_integers_and_booleans() -> None:
    assert integer({}, "N", low=0, high=1) is None
    assert integer({"N": "31536000"}, "N", low=0, high=31_536_000) == 31_536_000
    for bad in ("", "1.0", "1e3", "٣", "-1", "101"):
        with pytest.raises(TwilioError):
            integer({"N": bad}, "N", low=0, high=100)
    assert [boolean({"B": text}, "B") for text in ("true", "True", "false", "0")] == [True, True, False, False]
    assert boolean({}, "B") is None
    with pytest.raises(TwilioError):
        boolean({"B": "yes"}, "B")


def test_json_has_no_constants() -> None:
    assert loads_strict('{"a": 1e5}') == {"a": 1e5}
    for bad in ("NaN", '{"a": Infinity}', "[-Infinity]", ""):
        with pytest.raises(ValueError):
            loads_strict(bad)


def request(**query: str) -> ApiRequest:
    return ApiRequest("GET", "/v1/Things", "http://127.0.0.1:1/sync", 0.0, query=query)


@given(st.integers(0, 400), st.integers(1, 100))
def test_the_pages_are_the_whole(count: int, size: int) -> None:
    rows = [{"n": number} for number in range(count)]
    seen: list[dict[str, Any]] = []
    asked = request(PageSize=str(size))
    while True:
        shown = page(asked, "things", rows)
        assert len(shown["things"]) <= size
        seen += shown["things"]
        url = shown["meta"]["next_page_url"]
        if url is None:
            break
        assert url.startswith("http://127.0.0.1:1/sync/v1/Things?")
        asked = request(**dict(part.split("=") for part in url.partition("?")[2].split("&")))
    assert seen == rows


def test_sids() -> None:
    source = SidSource(1)
    assert is_sid(source("CA"), "CA")
    assert not is_sid(source("CA"), "MZ")
    assert SidSource(1)("CA") == SidSource(1)("CA")
    assert source("CA") != source("CA")
    for bad in ("CA1", "CA" + "g" * 32, "ca" + "0" * 32, "CA" + "0" * 33, "CA" + "0" * 31 + "٣"):
        assert not is_sid(bad)
