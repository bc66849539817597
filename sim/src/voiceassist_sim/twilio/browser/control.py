"""The control API of the browser's endpoint, under ``/_sim/browser``: what a test in another process does to sockets and plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from ..account import Account
from ..control_bodies import Handler, known, one_of, read_json
from ..errors import TwilioError, bad_parameter
from .behaviour import SocketBehaviour, SubscriptionBehaviour
from .connection import SYNC_PRODUCT
from .edge import BrowserEdge
from .socket_faults import NotificationFault


def browser_operations(account: Account) -> list[tuple[str, str, Handler]]:
    """Method, path and handler of each; 404 while there is no endpoint for browsers."""
    control = _Control(account)
    return [
        ("GET", "/_sim/browser", control.show),
        ("GET", "/_sim/browser/session", control.session),
        ("POST", "/_sim/browser/sockets", control.sockets),
        ("PUT", "/_sim/browser/notification-faults", control.notification_faults),
        ("PUT", "/_sim/browser/behaviour", control.behaviour),
        ("DELETE", "/_sim/browser/violations", control.forget_violations),
        ("POST", "/_sim/browser/event-bridge/end", control.end_event_bridge),
        ("POST", "/_sim/browser/hold", control.hold),
    ]


class _Control:
    def __init__(self, account: Account) -> None:
        self._account = account

    @property
    def _edge(self) -> BrowserEdge:
        edge = self._account.browser
        if not isinstance(edge, BrowserEdge):
            raise TwilioError(404, 20404, "There is no endpoint for browsers (--browser-port)")
        return edge

    async def show(self, _: web.Request) -> web.Response:
        """Where it is, who is connected, what is in force, what was done wrong."""
        edge = self._edge
        shown = edge.facts() | {
            "sockets": [one.as_json() for one in edge.sync.sockets(product=None)],
            "behaviour": asdict(edge.sync.behaviour),
            "notificationFaults": edge.sync.notification_faults.as_json(),
            "violations": edge.sync.violations.as_json(),
        }
        return web.json_response(shown)

    async def session(self, request: web.Request) -> web.Response:
        """What a log-in of ``?worker=WK…`` leaves in ``localStorage.TWILIO_FLEX_SSO``."""
        return web.json_response(self._edge.page.session(request.query.get("worker", "")))

    async def sockets(self, request: web.Request) -> web.Response:
        """``{do, identity?, product?, code?, backoffMs?}``: to those of one reader and product (null: any; ``data_sync`` if absent)."""
        given = await read_json(request)
        known(given, "do", "identity", "product", "code", "backoffMs")
        deed = one_of(given, "do", "cut", "offload", "leave", "about-to-expire", "deafen", "hear")
        identity, product = _text(given, "identity"), _text(given, "product", SYNC_PRODUCT)
        backoff, code = given.get("backoffMs"), given.get("code", 410)
        if not isinstance(code, int) or not (backoff is None or isinstance(backoff, int)):
            raise bad_parameter("code and backoffMs must be whole numbers")
        sync = self._edge.sync
        match deed:
            case "cut":
                number = sync.cut(identity, product)
            case "offload":
                number = sync.offload(identity, product, backoff_ms=backoff)
            case "leave":
                number = sync.tell_to_leave(code, identity, product, backoff_ms=backoff)
            case "about-to-expire":
                number = sync.about_to_expire(identity, product)
            case _:
                number = sync.deafen(deed == "deafen", identity, product)
        return web.json_response({"sockets": number})

    async def notification_faults(self, request: web.Request) -> web.Response:
        """``{rules: [{kind: delay|double|drop, event, times, skip, seconds, identity}]}`` instead of those before."""
        given = await read_json(request)
        known(given, "rules")
        rules = given.get("rules", [])
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise bad_parameter("rules must be a list of objects")
        self._edge.sync.notification_faults.set([NotificationFault.of(rule) for rule in rules])
        return web.json_response({"rules": self._edge.sync.notification_faults.as_json()})

    async def behaviour(self, request: web.Request) -> web.Response:
        """The fields of `SocketBehaviour` that are given; ``subscriptions`` holds those of `SubscriptionBehaviour`."""
        given = await read_json(request)
        behaviour = self._edge.sync.behaviour
        nested = given.pop("subscriptions", {})
        _check(given, SocketBehaviour)
        _check(nested, SubscriptionBehaviour)
        for name, value in given.items():
            setattr(behaviour, name, value)
        for name, value in nested.items():
            setattr(behaviour.subscriptions, name, value)
        return web.json_response(asdict(behaviour))

    async def forget_violations(self, _: web.Request) -> web.Response:
        """Begin anew."""
        self._edge.sync.violations.clear()
        return web.json_response({})

    async def hold(self, request: web.Request) -> web.Response:
        """``{task, hold}``: put the customer of a call on hold, or take them back, as an agent's button does."""
        given = await read_json(request)
        known(given, "task", "hold")
        if not isinstance(given.get("hold"), bool):
            raise bad_parameter("hold must be true or false")
        task = self._account.taskrouter.task(str(given.get("task", "")))
        self._edge.conferences.hold_customer(task.sid, given["hold"])
        return web.json_response({"onHold": self._edge.conferences.on_hold(task.sid)})

    async def end_event_bridge(self, request: web.Request) -> web.Response:
        """Close TaskRouter's sockets of ``{worker}``, or all."""
        given = await read_json(request)
        known(given, "worker")
        return web.json_response({"sockets": self._edge.event_bridge.end(given.get("worker"))})


def _text(given: Mapping[str, Any], name: str, usual: str | None = None) -> str | None:
    value = given.get(name, usual)
    if value is not None and not isinstance(value, str):
        raise bad_parameter(f"{name} must be a text or null")
    return value


def _check(given: Any, into: type) -> None:
    usual = into()
    names = {item.name for item in fields(into)} - {"subscriptions"}
    if not isinstance(given, Mapping) or not set(given) <= names:
        raise bad_parameter(f"There are: {', '.join(sorted(names))}")
    for name, value in given.items():
        at_first = getattr(usual, name)
        if isinstance(at_first, bool):
            if not isinstance(value, bool):
                raise bad_parameter(f"{name} must be true or false")
        elif (value is not None or at_first is not None) and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise bad_parameter(f"{name} must be a number, not below 0")
