"""Logs: JSON in a file or a pipe, readable on a terminal, and a call is named by a hash."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys

import pytest

from voiceassist_relay.logs import call_hash

PROGRAM = """
import logging, sys
import structlog
from voiceassist_relay.logs import configure_logs
configure_logs("info", sys.argv[1])
log = structlog.get_logger("x")
log.debug("spoken words")
log.info("call over", turns={"suggested": 1})
logging.getLogger("lib").info("chatter")
logging.getLogger("lib").warning("trouble")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


def run(style: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, style], stderr=subprocess.PIPE, text=True, timeout=60, check=True)
    return done.stderr.splitlines()


@pytest.mark.parametrize("style", ["auto", "json"])
def test_json_lines(style: str) -> None:
    entries = [json.loads(line) for line in run(style)]
    assert [entry["event"] for entry in entries] == ["call over", "trouble", "failed"], "debug and libraries' chatter stay out"
    assert [entry["level"] for entry in entries] == ["info", "warning", "error"]
    assert all(entry["timestamp"].endswith("Z") for entry in entries)
    assert entries[0]["turns"] == {"suggested": 1}
    assert "ZeroDivisionError" in entries[2]["exception"]


def test_console_when_asked_and_on_a_terminal() -> None:
    asked = "\n".join(run("console"))
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "auto"], stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how a terminal says that nobody writes any more
                break
            if not part:
                break
            shown += part
        assert process.wait(60) == 0
    os.close(ours)
    for text in (asked, shown.decode()):
        assert "call over" in text
        assert '{"' not in text


def test_a_calls_name() -> None:
    sid = "CA" + "0" * 32
    assert call_hash(sid) == hashlib.sha256(sid.encode()).hexdigest()[:10]
