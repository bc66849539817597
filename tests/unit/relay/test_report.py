"""What is in a report of a fault, and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voiceassist_relay.report import redacted, report, versions

SID = "CA" + "0123456789abcdef" * 2
CONFIG = {
    "host": "assist.example.com",
    "twilio": {"accountSid": "AC" + "1" * 32, "syncServiceSid": "IS" + "2" * 32},
    "prompts": [{"revision": "abc", "instructions": "Never say that we are bankrupt."}],
    "maxCalls": 60,
}


def test_report_what_is_not_for_others_is_not_in_it() -> None:
    lines = [
        {"event": "x", "url": "wss://assist.example.com/ws", "said": f"call {SID} from +4930123456 with key planted-key"},
        "planted-key",
    ]
    shown = json.dumps(redacted({"config": CONFIG, "log": lines}, ["planted-key", "a", ""], "assist.example.com"))
    for planted in ("planted-key", SID, "1" * 32, "2" * 32, "+4930123456", "bankrupt", "assist.example.com"):
        assert planted not in shown
    for kept in ("wss://(host)/ws", "CA(sid)", "(number)", "(secret)", "(31 characters)", '"revision": "abc"', '"maxCalls": 60'):
        assert kept in shown, kept


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://user:planted@proxy.internal:3128", "http://(login)@proxy.internal:3128"),
        ("wss://:planted@m.example/v1?key=planted&x=1", "wss://(login)@m.example/v1?(query)"),
        ("GET https://m.example/v1?planted then", "GET https://m.example/v1?(query) then"),
        ("agent planted.one+x@shop.example.com took it", "agent (mail) took it"),
        ("https://m.example/a/b:c", "https://m.example/a/b:c"),
    ],
)
def test_report_logins_queries_and_people_are_not_in_it(given: str, shown: str) -> None:
    assert redacted({"x": [given]}, []) == {"x": [shown]}


@pytest.mark.parametrize("spoil", ["\ufeff{}", "{}\u200b\r\n", '"{}"', "Bearer\u2014{}", "{}\u2014more-of-it"])
def test_report_a_secret_that_cannot_be_used_is_blotted_out_all_the_same(spoil: str, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "model-api-key").write_text(spoil.format("planted-key"))
    (tmp_path / "relay.json").write_text(json.dumps({"note": "with planted-key in it"}))
    assert "planted-key" not in report(tmp_path / "relay.json", tmp_path / "secrets", 1, "")


def test_report_files_that_cannot_be_used_and_a_relay_that_is_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "relay.json").write_text("{")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "model-api-key").write_text("planted-key\n")
    told = json.loads(report(tmp_path / "relay.json", tmp_path / "secrets", 1, "model-api-key planted-key is odd"))
    assert told["configuration"] == "cannot be read: JSONDecodeError"
    assert told["problem"] == "model-api-key (secret) is odd"
    assert "no relay answers at port 1" in told["status"]["missing"] and "no relay answers" in told["log"]["missing"]
    assert told["versions"] == versions()
