"""What Flex's own hosts answer a browser: configuration, whose token it is, session, plugins, service status, fonts and sounds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from ..account import Account
from ..dates import iso, iso_millis
from ..errors import TwilioError
from .page import FlexPage

_EMPTY_OBJECTS: Final = (
    "attributes",
    "taskrouter_worker_channels",
    "taskrouter_worker_attributes",
    "crm_attributes",
    "public_attributes",
    "plugin_service_attributes",
    "notifications",
    "markdown",
)
_EMPTY_LISTS: Final = ("taskrouter_taskqueues", "taskrouter_skills", "integrations", "channel_configs", "serverless_service_sids")
_EMPTY_TEXTS: Final = ("crm_type", "crm_callback_url", "crm_fallback_url", "messaging_service_instance_sid")
_SWITCHED_OFF: Final = ("debugger_integration", "flex_ui_status_report")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin's bundle: what Flex's loader is told of it, and the file that is served (read anew each time)."""

    name: str
    bundle: Path
    version: str = "0.0.0"
    enabled: bool = True

    @property
    def path(self) -> str:
        """Where the bundle is at ``flex.twilio.com``."""
        return f"/plugins/v1/{self.name}/{self.version}/bundle.js"


class FlexHosts:
    """``flex-api``, ``flex``, ``status`` and ``assets``. ``plugins`` may be changed live."""

    def __init__(self, account: Account, page: FlexPage, plugins: Iterable[Plugin]) -> None:
        self._account = account
        self._page = page
        self.plugins = {one.name: one for one in plugins}

    async def flex_api(self, request: web.Request) -> web.StreamResponse:
        """``flex-api.twilio.com``."""
        path = request.path
        if request.method == "GET" and path in ("/v1/Configuration", "/v1/Configuration/Public"):
            return web.json_response(self.configuration())
        if request.method == "GET" and path == "/v1/account/provision/status":
            return web.json_response({"status": "inactive", "url": f"https://{request.host}{path}"})
        if request.method == "GET" and path.endswith("/Teams/Context"):
            return web.json_response({"enabled": False})
        if request.method == "POST" and path == f"/v1/Accounts/{self._account.account_sid}/Tokens/Info":
            token = parse_qs((await request.read()).decode()).get("Token", [""])[0]
            return web.json_response(self._token_info(token))
        raise _unknown(request)

    async def flex(self, request: web.Request) -> web.StreamResponse:
        """``flex.twilio.com``: the page, the plugins and the session."""
        path = request.path
        if request.method == "GET":
            if path == "/plugins":
                return web.json_response([_plugin_json(one) for one in self.plugins.values()])
            if path == "/api/v1/Session":
                return web.json_response({"features": []})
            for plugin in self.plugins.values():
                if path in (plugin.path, f"{plugin.path}.map"):
                    file = plugin.bundle if path == plugin.path else plugin.bundle.with_name(f"{plugin.bundle.name}.map")
                    return _file(file)
            found = self._page.find(request)
            if found is not None:
                return found
        if path.startswith("/logs"):
            return web.json_response({})
        raise _unknown(request)

    def odds(self, request: web.Request) -> web.StreamResponse | None:
        """Service status, fonts, lists for the dialpad; ``None`` for what is not here."""
        path = request.path
        if request.host.startswith("status."):
            page = {"id": "sim", "name": "Twilio", "url": "https://status.twilio.com", "updated_at": iso(self._account.clock())}
            status = {"indicator": "none", "description": "All Systems Operational"}
            return web.json_response({"page": page, "status": status, "components": [], "incidents": [], "scheduled_maintenances": []})
        if path.endswith("countries.json"):
            return web.json_response([])
        if path.endswith(".json") and request.host.startswith("assets"):
            return web.json_response({})
        if path.endswith(".css"):
            return web.Response(text="", content_type="text/css")
        return None

    def configuration(self) -> dict[str, Any]:
        """Flex's configuration with what its UI cannot do without: REST's values, and empty values in place of null."""
        account = self._account
        shown = account.flex.values() | {"account_sid": account.account_sid, "url": "https://flex-api.twilio.com/v1/Configuration"}
        dates = {"date_created": iso(0), "date_updated": iso(account.clock())}
        usual: dict[str, Any] = dates | {name: [] for name in _EMPTY_LISTS} | dict.fromkeys(_EMPTY_TEXTS, "")
        usual |= {name: {} for name in _EMPTY_OBJECTS} | {name: {"enabled": False} for name in _SWITCHED_OFF}
        state = account.taskrouter
        usual |= {
            "taskrouter_target_workflow_sid": state.workflow_sid,
            "taskrouter_target_taskqueue_sid": state.queue_sid,
            "taskrouter_offline_activity_sid": state.offline_activity_sid,
            "chat_service_instance_sid": f"IS{account.account_sid[2:]}",
            "flex_service_instance_sid": f"IS{account.account_sid[:1:-1]}",
            "outbound_call_flows": {"default": {"enabled": False, "caller_id": "", "queue_sid": "", "workflow_sid": "", "location": ""}},
            "wfm_integrations": [],
        }
        shown |= {name: value for name, value in usual.items() if shown.get(name) is None}
        compatible = {"version_compatibility": "yes", "version_message": ""}
        shown["ui_attributes"] = compatible | (shown.get("ui_attributes") or {})
        return shown

    def _token_info(self, token: str) -> Mapping[str, Any]:
        try:
            found = self._account.flex_tokens.find(token, self._account.clock())
        except TwilioError as refusal:
            return {"valid": False, "code": refusal.code, "message": refusal.message}
        if found is None:
            return {"valid": False, "code": 20101, "message": "Invalid Access Token"}
        worker_sid = found.worker_sid or ""
        return {
            "valid": True,
            "code": 0,
            "message": None,
            "account_sid": self._account.account_sid,
            "expiration": iso_millis(found.expires),
            "realm_user_id": found.realm_user_id,
            "identity": found.identity,
            "roles": list(found.roles),
            "worker_sid": worker_sid,
            "flex_user_sid": f"FU{worker_sid[2:]}",
        }


def _plugin_json(plugin: Plugin) -> dict[str, Any]:
    src = f"https://flex.twilio.com{plugin.path}"
    return {"name": plugin.name, "version": plugin.version, "src": src, "phase": 3, "enabled": plugin.enabled}


def _file(path: Path) -> web.StreamResponse:
    if not path.is_file():
        raise TwilioError(404, 20404, f"{path.name} is not there")
    return web.FileResponse(path, headers={"Cache-Control": "no-store"})


def _unknown(request: web.Request) -> TwilioError:
    return TwilioError(404, 20404, f"Nothing at {json.dumps(request.path[:80])}")


def read_plugin(text: str) -> Plugin:
    """``NAME=FILE`` or ``FILE`` (named like it) as a plugin; raises ValueError for anything else."""
    name, equals, file = text.rpartition("=")
    if not file or (equals and not name):
        raise ValueError("NAME=FILE is expected")
    return Plugin(name or Path(file).name.removesuffix(".js"), Path(file).absolute())
