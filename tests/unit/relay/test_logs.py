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
def test_logs_json_lines(style: str) -> None:
    entries = [json.loads(line) for line in run(style)]
    assert [entry["event"] for entry in entries] == ["call over", "trouble", "failed"], "debug and libraries' chatter stay out"
    assert [entry["level"] for entry in entries] == ["info", "warning", "error"]
    assert all(entry["timestamp"].endswith("Z") for entry in entries)
    assert entries[0]["turns"] == {"suggested": 1}
    assert "ZeroDivisionError" in entries[2]["exception"]


def test_logs_console_when_asked_and_on_a_terminal() -> None:
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


def written(body: str) -> tuple[str, list[dict[str, object]]]:
    program = f"""
import asyncio, logging, sys
import structlog
from voiceassist_relay.errors import ConfigRefused
from voiceassist_relay.logs import blotter, configure_logs
configure_logs("info", "json")
log = structlog.get_logger("x")
class Foreign(Exception): ...
Foreign.__module__ = "somebody.else"
{body}
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, timeout=60, check=True)
    return done.stderr, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    raise Foreign('Bearer sk-planted')\nexcept Foreign:\n    log.exception('failed')",
        "try:\n    raise Foreign('Bearer sk-planted')\nexcept Foreign:\n    logging.getLogger('lib').exception('failed: %s', 'sk-planted')",
        "try:\n    try:\n        raise Foreign('sk-planted')\n    except Foreign as e:\n        raise ValueError('x sk-planted') from e\n"
        "except ValueError:\n    log.exception('failed')",
        "try:\n    raise ExceptionGroup('sk-planted', [Foreign('sk-planted')])\nexcept ExceptionGroup:\n    log.exception('failed')",
        "async def broken():\n    raise Foreign('sk-planted')\n"
        "async def main():\n    task = asyncio.create_task(broken())\n    await asyncio.sleep(0)\nasyncio.run(main())",
    ],
    ids=["ours", "a library's", "a cause", "a group", "asyncio's own"],
)
def test_logs_what_anothers_exception_says_is_not_written_but_where_and_which(body: str) -> None:
    text, entries = written(body)
    assert "sk-planted" not in text
    assert "Foreign" in str(entries[-1]["exception"])
    assert 'File "<string>", line' in str(entries[-1]["exception"])


def test_logs_what_our_own_exception_says_is_written() -> None:
    _, entries = written("try:\n    raise ConfigRefused('host: missing')\nexcept ConfigRefused:\n    log.exception('failed')")
    assert "ConfigRefused: host: missing" in str(entries[0]["exception"])


def test_logs_values_of_secrets_are_blotted_out_wherever_they_got_in() -> None:
    text, entries = written("blotter.hide(['sk-planted', 'ab'])\nlog.error('about sk-planted', a={'b': ['x sk-planted', 1]}, cab='cab')")
    assert "sk-planted" not in text
    assert entries[0]["event"] == "about (secret)"
    assert entries[0]["a"] == {"b": ["x (secret)", 1]}
    assert entries[0]["cab"] == "cab", "too short to be told from a word"


def test_logs_a_calls_name() -> None:
    sid = "CA" + "0" * 32
    assert call_hash(sid) == hashlib.sha256(sid.encode()).hexdigest()[:10]
