"""What the operator writes: places and classes of what went wrong, and nothing that a library put into its words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PLANTED = "sk-planted-0123456789"
BEGIN = f"""
import atexit, logging, structlog
from voiceassist_operator.errors import Permanent
from voiceassist_operator.logs import configure_logs
atexit.register(configure_logs("info", "json").drain, 60)
log, key = structlog.get_logger("t"), {PLANTED!r}
def fail(): raise ValueError("Illegal header value: Bearer " + key)
"""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("try: fail()\nexcept ValueError: log.exception('reconcile failed')", "ValueError"),
        ("try: fail()\nexcept ValueError: logging.getLogger('kopf').exception('handler failed')", "handler failed"),
        ("logging.getLogger('httpx2').warning('request with %s', key)", "request with %s"),
        (
            "try:\n  try: fail()\n  except ValueError as e: raise Permanent('ours') from e\nexcept Permanent: log.exception('x')",
            "ours",
        ),
        ("raise ExceptionGroup(key, [ValueError(key)])", "ended by a defect"),
        ("fail()", "in fail"),
    ],
)
def test_logs_what_a_library_says_is_not_repeated(said: str, words: str) -> None:
    ended = subprocess.run([sys.executable, "-c", BEGIN + said], capture_output=True, text=True, timeout=120, check=False)
    assert words in ended.stderr
    assert PLANTED not in ended.stderr + ended.stdout
    assert all(json.loads(line)["event"] for line in ended.stderr.splitlines())
