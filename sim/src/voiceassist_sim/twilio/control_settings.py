"""Reads and changes the stand-in's live settings and credentials from JSON; what is shown never holds a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from .account import Account
from .errors import bad_parameter
from .limits import Rate
from .serverless_model import NODE_RUNTIMES
from .settings import SUSPENDED_CODES, Lenient, ServerlessLimits, SyncLimits

_TOP = (
    "lenient",
    "sync",
    "serverless",
    "suspended",
    "maxConcurrentRequests",
    "maxForkedTracks",
    "authToken",
    "authTokenSecondary",
    "apiKeys",
    "connectTo",
)


def settings_json(account: Account) -> dict[str, Any]:
    """The settings in force; of secrets only whether there are any."""
    return {
        "lenient": asdict(account.settings.lenient),
        "sync": asdict(account.settings.sync),
        "serverless": asdict(account.settings.serverless),
        "suspended": account.settings.suspended,
        "maxConcurrentRequests": account.settings.max_concurrent_requests,
        "maxForkedTracks": account.settings.max_forked_tracks,
        "apiKeys": list(account.credentials.keys),
        "hasSecondaryAuthToken": account.credentials.auth_token_secondary is not None,
        "connectTo": {host: _addresses(account, host) for host in account.connect_to},
    }


def change_settings(account: Account, given: Mapping[str, Any]) -> None:
    """Change the settings that are given; nothing changes unless all of them fit.

    ``apiKeys`` maps SIDs to secrets (null deletes a key); ``connectTo`` maps hosts to ``ADDRESS:PORT``, or to several with
    commas between them, among which chance decides at each dial (null deletes an entry);
    ``sync`` maps a rate's name to ``{"per_second", "burst_seconds"}`` and a bound's name to a number; ``serverless`` maps its fields to
    values.
    """
    unknown = sorted(set(given) - set(_TOP))
    if unknown:
        raise bad_parameter(f"Unknown setting {', '.join(unknown)}; there are: {', '.join(_TOP)}")
    lenient = _lenient(given.get("lenient", {}))
    limits = _limits(given.get("sync", {}))
    serverless = _serverless(given.get("serverless", {}))
    if given.get("suspended") not in (None, *SUSPENDED_CODES):
        raise bad_parameter(f"suspended must be null or one of {', '.join(map(str, SUSPENDED_CODES))}")
    keys = _texts(given, "apiKeys")
    hosts = {host: [] if text is None else list(map(parse_address, text.split(","))) for host, text in _texts(given, "connectTo").items()}
    most = {name: _count(given[name], name) for name in ("maxConcurrentRequests", "maxForkedTracks") if name in given}
    tokens = {name: _token(given[name], name) for name in ("authToken", "authTokenSecondary") if name in given}

    for name, flag in lenient.items():
        setattr(account.settings.lenient, name, flag)
    for name, limit in limits.items():
        setattr(account.settings.sync, name, limit)
    for name, value in serverless.items():
        setattr(account.settings.serverless, name, value)
    account.settings.suspended = given.get("suspended", account.settings.suspended)
    for sid, secret in keys.items():
        if secret is None:
            account.remove_api_key(sid)
        else:
            account.set_api_key(sid, secret)
    for host, addresses in hosts.items():
        account.streams.dialer.beside[host] = tuple(addresses[1:])
        if addresses:
            account.connect_to[host] = addresses[0]
        else:
            account.connect_to.pop(host, None)
    if "maxConcurrentRequests" in most:
        account.settings.max_concurrent_requests = most["maxConcurrentRequests"]
    account.settings.max_forked_tracks = most.get("maxForkedTracks") or account.settings.max_forked_tracks
    credentials = account.credentials
    primary = tokens.get("authToken") or credentials.auth_token
    account.set_auth_tokens(primary, tokens.get("authTokenSecondary", credentials.auth_token_secondary))


def _addresses(account: Account, host: str) -> str:
    targets = (account.connect_to[host], *account.streams.dialer.beside.get(host, ()))
    return ",".join(f"{address}:{port}" for address, port in targets)


def parse_address(text: str) -> tuple[str, int]:
    """``ADDRESS:PORT`` as a pair; raises ValueError for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not ADDRESS:PORT")
    return host.strip("[]"), int(port)


def _lenient(given: Any) -> dict[str, bool]:
    names = {item.name for item in fields(Lenient)}
    if not isinstance(given, dict) or not set(given) <= names or not all(isinstance(flag, bool) for flag in given.values()):
        raise bad_parameter(f"lenient must map switches to true or false; there are: {', '.join(sorted(names))}")
    return given


def _limits(given: Any) -> dict[str, Rate | int]:
    names = {item.name: item for item in fields(SyncLimits)}
    if not isinstance(given, dict) or not set(given) <= set(names):
        raise bad_parameter(f"sync must be an object; there are: {', '.join(names)}")
    current = SyncLimits()
    limits: dict[str, Rate | int] = {}
    for name, value in given.items():
        if isinstance(getattr(current, name), Rate):
            if not isinstance(value, dict):
                raise bad_parameter(f"sync.{name} must be {{per_second, burst_seconds}}")
            rate = Rate(**value)
            if not (rate.per_second > 0 and rate.burst_seconds > 0):
                raise bad_parameter(f"sync.{name} must be above 0")
            limits[name] = rate
        else:
            limits[name] = _count(value, f"sync.{name}") or 0
    return limits


def _serverless(given: Any) -> dict[str, Any]:
    names = [item.name for item in fields(ServerlessLimits)]
    if not isinstance(given, dict) or not set(given) <= set(names):
        raise bad_parameter(f"serverless must be an object; there are: {', '.join(names)}")
    limits: dict[str, Any] = {}
    for name, value in given.items():
        if name == "runtimes":
            if not isinstance(value, list) or not set(value) <= set(NODE_RUNTIMES):
                raise bad_parameter(f"serverless.runtimes must be a list of: {', '.join(NODE_RUNTIMES)}")
            limits[name] = tuple(value)
        elif name.startswith("max_"):
            limits[name] = _count(value, f"serverless.{name}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise bad_parameter(f"serverless.{name} must be a number, not below 0")
        else:
            limits[name] = value
    return limits


def _texts(given: Mapping[str, Any], name: str) -> dict[str, str | None]:
    value = given.get(name, {})
    if not isinstance(value, dict) or not all(text is None or isinstance(text, str) for text in value.values()):
        raise bad_parameter(f"{name} must map names to texts or null")
    return value


def _count(value: Any, name: str) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise bad_parameter(f"{name} must be a whole number above 0 or null")
    return value


def _token(value: Any, name: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise bad_parameter(f"{name} must be a text")
    return value
