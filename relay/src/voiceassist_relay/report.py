"""`voiceassist-relay --report`: what a report of a fault needs, as one JSON text that can be shown to others.

Configuration, the status and the last log lines of the relay that runs here, and versions. Secrets, SIDs, the public host, telephone
numbers, addresses of e-mail, logins and queries in addresses, and the prompts' texts are not in it.
"""

from __future__ import annotations

import http.client
import json
import platform
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from voiceassist_crds import __version__

SECONDS = 5.0
"""For each answer of the relay."""
MOST_BYTES = 1 << 20
LOG_PATH = "/log"
_LIBRARIES = ("aiohttp", "fastapi", "msgspec", "pydantic", "structlog", "uvicorn", "uvloop", "websockets")
_SID = re.compile(r"\b([A-Z]{2})[0-9a-f]{32}\b")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}\b")
_LOGIN = re.compile(r"(?<=://)[^/\s\"'@]*:[^/\s\"'@]*@")
_QUERY = re.compile(r"(?<=://)([^\s\"'?]*)\?[^\s\"']*")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_PIECE = re.compile(r"[!-~]{8,}")
"""A part of a secret that has characters of other kinds in it: the rest is as secret."""
_TEXTS = frozenset({"instructions"})
_SHORTEST_SECRET = 4
"""Shorter values would blot out words that are none."""


def redacted(value: Any, secrets: Iterable[str], host: str = "") -> Any:
    """Returns a JSON value without secrets, SIDs, telephone numbers, e-mail addresses, logins and queries, the host, texts of prompts."""
    hidden = {**dict.fromkeys(sorted((one for one in secrets if len(one) >= _SHORTEST_SECRET), key=len, reverse=True), "(secret)")}
    if host:
        hidden[host] = "(host)"

    def clean(text: str) -> str:
        for given, shown in hidden.items():
            text = text.replace(given, shown)
        text = _QUERY.sub(r"\1?(query)", _LOGIN.sub("(login)@", text))
        return _NUMBER.sub("(number)", _SID.sub(r"\1(sid)", _MAIL.sub("(mail)", text)))

    def walk(each: Any) -> Any:
        if isinstance(each, str):
            return clean(each)
        if isinstance(each, Mapping):
            shown = {
                name: f"({len(one)} characters)" if name in _TEXTS and isinstance(one, str) else walk(one) for name, one in each.items()
            }
            return {clean(name): one for name, one in shown.items()}
        return [walk(one) for one in each] if isinstance(each, list) else each

    return walk(value)


def versions() -> dict[str, str]:
    """Returns our version, Python's, the system's and those of the libraries that a call passes through."""
    found = {"voiceassist-relay": __version__, "python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    return found | {name: metadata.version(name) for name in _LIBRARIES}


def report(config: Path, secrets: Path, port: int, problem: str = "") -> str:
    """Returns the bundle. `port`: the private port of the relay that runs here; `problem`: why the files cannot be used."""
    try:
        given = json.loads(config.read_text())
    except (OSError, ValueError) as error:
        given = f"cannot be read: {type(error).__name__}"
    host = str(given.get("host", "")) if isinstance(given, dict) else ""
    log = _asked(port, LOG_PATH)
    bundle = {
        "versions": versions(),
        "configuration": given,
        "problem": problem,
        "status": _asked(port, "/status"),
        "log": [_line(line) for line in log.splitlines()] if isinstance(log, str) else log,
    }
    return json.dumps(redacted(bundle, _values(secrets), host), indent=2, ensure_ascii=False)


def _values(folder: Path) -> list[str]:
    """The secrets' values, also of files that cannot be used."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_file():
            text = path.read_text(errors="replace").strip()
            found += [text, *(piece.strip("\"'`") for piece in _PIECE.findall(text))]
    return found


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line


def _asked(port: int, path: str) -> Any:
    """What the relay here answers: JSON, or text; why there is none, in braces."""
    connection = http.client.HTTPConnection("localhost", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES).decode(errors="replace")
        if answer.status != 200:
            return {"missing": f"HTTP {answer.status}"}
        return body if path == LOG_PATH else json.loads(body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return {"missing": f"no relay answers at port {port} of this machine: {type(error).__name__}"}
    finally:
        connection.close()
