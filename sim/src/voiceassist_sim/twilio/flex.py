"""Flex's configuration: one JSON document per account, whose top-level fields are replaced as a whole by an update."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from .api import Answer, ApiRequest, Body, Route, route
from .dates import iso
from .errors import bad_parameter
from .flex_writers import OtherWriter, OtherWriters, When, laid_over
from .sids import is_sid

_OBJECTS: Final = (
    "attributes",
    "taskrouter_worker_channels",
    "taskrouter_worker_attributes",
    "ui_attributes",
    "ui_dependencies",
    "crm_attributes",
    "public_attributes",
    "plugin_service_attributes",
    "outbound_call_flows",
    "queue_stats_configuration",
    "notifications",
    "markdown",
    "flex_insights_hr",
    "debugger_integration",
    "flex_ui_status_report",
    "agent_conv_end_methods",
    "citrix_voice_vdi",
    "offline_config",
)
_LISTS: Final = ("taskrouter_taskqueues", "taskrouter_skills", "integrations", "channel_configs")
_FLAGS: Final = ("call_recording_enabled", "crm_enabled", "plugin_service_enabled", "flex_insights_drilldown")
_SIDS: Final[Mapping[str, str]] = {
    "taskrouter_workspace_sid": "WS",
    "taskrouter_target_workflow_sid": "WW",
    "taskrouter_target_taskqueue_sid": "WQ",
    "taskrouter_offline_activity_sid": "WA",
    "messaging_service_instance_sid": "MG",
    "chat_service_instance_sid": "IS",
    "flex_service_instance_sid": "IS",
}
_TEXTS: Final = ("ui_language", "ui_version", "call_recording_webhook_url", "crm_type", "crm_callback_url", "crm_fallback_url", "flex_url")
_FIXED: Final = ("date_created", "date_updated", "status", "runtime_domain", "flex_instance_sid", "service_version", "url")
"""Fields of the resource that an update cannot change."""


class FlexConfiguration:
    """The configuration and its operations. What is read is a copy, so that nobody changes it but by an update."""

    def __init__(self, account_sid: str, workspace_sid: str, now: float) -> None:
        self._account_sid = account_sid
        self._workspace_sid = workspace_sid
        self._created = now
        self._updated = now
        self.writers = OtherWriters()
        """Who writes between a client's requests."""
        self.writes = 0
        """How often it was written through the API."""
        self.other_writes = 0
        """How often others wrote it."""
        self._values: dict[str, Any] = dict.fromkeys((*_OBJECTS, *_LISTS, *_FLAGS, *_SIDS, *_TEXTS, *_FIXED))
        self._values |= {
            "ui_attributes": {},
            "attributes": {},
            "public_attributes": {},
            "plugin_service_enabled": True,
            "call_recording_enabled": False,
            "crm_enabled": False,
            "taskrouter_workspace_sid": workspace_sid,
            "ui_version": "2.17.1",
            "ui_language": "en-us",
            "runtime_domain": "https://flex.twilio.com/sandbox",
            "serverless_service_sids": None,
            "service_version": "1.0.0",
            "status": "ok",
        }

    def routes(self) -> list[Route]:
        """The operations of the product ``flex-api`` that are served."""
        return [
            route("GET", "/v1/Configuration", self.fetch),
            Route("POST", "/v1/Configuration", self.update, Body.JSON),
            route("GET", "/v1/account/provision/status", self.provisioning),
        ]

    def fetch(self, request: ApiRequest) -> Answer:
        """The configuration."""
        answer = Answer(200, self._shown(request))
        self._let_write(When.AFTER_GET, self._values, request.now)
        return answer

    def update(self, request: ApiRequest) -> Answer:
        """Replace the top-level fields that are given; 400/20001 without the account's SID, for an unknown field or a wrong type."""
        given = request.json
        if not isinstance(given, dict):
            raise bad_parameter("The body must be a JSON object")
        if given.get("account_sid") != self._account_sid:
            raise bad_parameter("account_sid is required and must be the SID of this account")
        changes = {name: value for name, value in given.items() if name != "account_sid"}
        for name, value in changes.items():
            _check(name, value)
        before = dict(self._values)
        self._values |= copy.deepcopy(changes)
        self._updated = request.now
        self.writes += 1
        answer = Answer(200, self._shown(request))
        self._let_write(When.AFTER_POST, before, request.now)
        return answer

    def provisioning(self, request: ApiRequest) -> Answer:
        """Whether the account is a Flex account: it is."""
        return Answer(200, {"status": "active", "url": request.url(request.path)})

    def values(self) -> dict[str, Any]:
        """The configuration without its dates, for a look from outside."""
        return copy.deepcopy(self._values)

    def edit(self, changes: Mapping[str, Any], now: float) -> None:
        """What somebody does by hand: lay ``changes`` over the configuration; 400/20001 for an unknown field or a wrong type."""
        self._write(OtherWriter(When.AFTER_GET, changes), self._values, now)

    def let_others_write(self, *writers: OtherWriter) -> None:
        """Let these write when their moment comes, instead of those before; 400/20001 as for `edit`."""
        for writer in writers:
            for name, value in writer.changes.items():
                _check(name, laid_over(None, value))
        self.writers.set(*writers)

    def _let_write(self, when: When, before: Mapping[str, Any], now: float) -> None:
        for writer in self.writers.due(when):
            self._write(writer, before if writer.stale else self._values, now)

    def _write(self, writer: OtherWriter, base: Mapping[str, Any], now: float) -> None:
        written = {name: laid_over(base.get(name), value) for name, value in writer.changes.items()}
        for name, value in written.items():
            _check(name, value)
        self._values |= written
        self._updated = now
        self.other_writes += 1

    def _shown(self, request: ApiRequest) -> dict[str, Any]:
        dates = {"date_created": iso(self._created), "date_updated": iso(self._updated)}
        return copy.deepcopy(self._values) | dates | {"account_sid": self._account_sid, "url": request.url("/v1/Configuration")}


def _check(name: str, value: Any) -> None:
    expected: str | None
    if name in _OBJECTS:
        expected = None if value is None or isinstance(value, dict) else "an object"
    elif name in _LISTS:
        expected = None if value is None or isinstance(value, list) else "a list"
    elif name in _FLAGS:
        expected = None if value is None or isinstance(value, bool) else "true or false"
    elif name in _TEXTS:
        expected = None if value is None or isinstance(value, str) else "a text"
    elif name in _SIDS:
        expected = None if value is None or (isinstance(value, str) and is_sid(value, _SIDS[name])) else f"a SID {_SIDS[name]}…"
    elif name == "serverless_service_sids":
        good = value is None or (isinstance(value, list) and all(isinstance(sid, str) and is_sid(sid, "ZS") for sid in value))
        expected = None if good else "a list of SIDs ZS…"
    elif name in _FIXED:
        raise bad_parameter(f"{name} cannot be changed")
    else:
        raise bad_parameter(f"Unknown field {name[:80]!r}")
    if expected:
        raise bad_parameter(f"{name} must be {expected}")
