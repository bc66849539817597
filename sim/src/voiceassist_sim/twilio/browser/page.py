"""The page at ``https://flex.twilio.com`` that runs the real Flex UI: its script, and a log-in without a password for a worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from ..account import Account
from ..dates import iso_millis

DESK: Final = "/agent-desktop"
LOG_IN: Final = "/sim/log-in"
_SCRIPT: Final = "/sim/flex.js"
_STORAGE_KEY: Final = "TWILIO_FLEX_SSO"

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Flex</title>
<style>html, body, #container {{ height: 100%; margin: 0 }} #container {{ display: flex }}</style>
</head>
<body>
<div id="container"></div>
<script src="{script}"></script>
<script>
window.flexStarted = Twilio.Flex.runDefault({configuration}, "#container").then(
  () => {{ document.documentElement.dataset.flex = "running" }},
  (error) => {{ document.documentElement.dataset.flex = "failed"; console.error("Flex did not start", error) }});
</script>
</body>
</html>
"""
_LOGGED_IN: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in</title></head><body><script>
localStorage.setItem({key}, {session});
location.replace({desk});
</script></body></html>
"""


class FlexPage:
    """Serves the page. ``script`` is the built Flex UI as one classic script, ``None``: there is no page.

    ``options`` are laid over what ``runDefault`` is given.
    """

    def __init__(self, account: Account, script: Path | None) -> None:
        self._account = account
        self.script = script
        self.options: dict[str, Any] = {}
        self.token_seconds = 3600.0
        """How long the tokens are good that the log-in gives."""

    def find(self, request: web.Request) -> web.StreamResponse | None:
        """What is at this path of the host; ``None`` if nothing."""
        if request.path == LOG_IN:
            return self._log_in(request)
        if self.script is None:
            return None
        if request.path == _SCRIPT:
            return web.FileResponse(self.script, headers={"Content-Type": "text/javascript", "Cache-Control": "no-cache"})
        if request.path in ("/", DESK) or request.path.startswith(f"{DESK}/"):
            return web.Response(text=self._page(), content_type="text/html", headers={"Cache-Control": "no-store"})
        return None

    def session(self, worker_sid: str) -> dict[str, Any]:
        """What Flex keeps of a log-in in ``localStorage.TWILIO_FLEX_SSO``, with a new Flex token."""
        worker = self._account.taskrouter.worker(worker_sid)
        ends = iso_millis(self._account.clock() + self.token_seconds)
        return {
            "token": self._account.flex_token(worker.sid, ttl=self.token_seconds),
            "identity": worker.identity,
            "roles": list(worker.roles),
            "expiration": ends,
            "accountSid": self._account.account_sid,
            "flexUserSid": f"FU{worker.sid[2:]}",
            "accessTokenExpiresAt": ends,
        }

    def _log_in(self, request: web.Request) -> web.Response:
        session = json.dumps(self.session(request.query.get("worker", "")))
        text = _LOGGED_IN.format(key=_script(_STORAGE_KEY), session=_script(session), desk=_script(f"{DESK}/"))
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    def _page(self) -> str:
        configuration = {
            "sso": {"accountSid": self._account.account_sid},
            "pluginService": {"enabled": True, "url": "https://flex.twilio.com/plugins"},
            "logLevel": "error",
            **self.options,
        }
        return _PAGE.format(script=_SCRIPT, configuration=_script(configuration))


def _script(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")
