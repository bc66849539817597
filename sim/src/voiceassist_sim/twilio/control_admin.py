"""The control API of what an operator administers: Serverless, Flex's configuration, and the count of its requests."""

from __future__ import annotations

from aiohttp import web

from .account import Account
from .control_bodies import Handler, known, one_of, read_json
from .control_serverless import deployed_json, plan_builds, serverless_json, settle_build
from .errors import bad_parameter
from .flex_writers import OtherWriter


def admin_operations(account: Account) -> list[tuple[str, str, Handler]]:
    """Method, path and handler of each."""
    control = _Control(account)
    return [
        ("GET", "/_sim/serverless", control.serverless),
        ("GET", "/_sim/serverless/environments/{ref}", control.deployed),
        ("PUT", "/_sim/serverless/builds", control.plan_builds),
        ("POST", "/_sim/serverless/builds/{sid}", control.settle_build),
        ("GET", "/_sim/flex", control.flex),
        ("PATCH", "/_sim/flex", control.edit_flex),
        ("PUT", "/_sim/flex/writers", control.flex_writers),
        ("POST", "/_sim/requests/mark", control.mark),
        ("GET", "/_sim/requests/count", control.count),
    ]


class _Control:
    def __init__(self, account: Account) -> None:
        self._account = account

    # Serverless

    async def serverless(self, _: web.Request) -> web.Response:
        return web.json_response(serverless_json(self._account.serverless))

    async def deployed(self, request: web.Request) -> web.Response:
        return web.json_response(deployed_json(self._account.serverless, request.match_info["ref"]))

    async def plan_builds(self, request: web.Request) -> web.Response:
        return web.json_response(plan_builds(self._account.serverless, await read_json(request)))

    async def settle_build(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        known(given, "status")
        status = one_of(given, "status", "completed", "failed")
        return web.json_response(settle_build(self._account.serverless, request.match_info["sid"], status, self._account.clock()))

    # Flex

    async def flex(self, _: web.Request) -> web.Response:
        flex = self._account.flex
        shown = {"configuration": flex.values(), "writes": flex.writes, "otherWrites": flex.other_writes, "writers": flex.writers.as_json()}
        return web.json_response(shown)

    async def edit_flex(self, request: web.Request) -> web.Response:
        self._account.flex.edit(await read_json(request), self._account.clock())
        return await self.flex(request)

    async def flex_writers(self, request: web.Request) -> web.Response:
        given = await read_json(request)
        known(given, "writers")
        writers = given.get("writers", [])
        if not isinstance(writers, list) or not all(isinstance(one, dict) for one in writers):
            raise bad_parameter("writers must be a list of objects")
        self._account.flex.let_others_write(*(OtherWriter.of(one) for one in writers))
        return await self.flex(request)

    # Counting

    async def mark(self, _: web.Request) -> web.Response:
        return web.json_response({"mark": self._account.journal.mark()}, status=201)

    async def count(self, request: web.Request) -> web.Response:
        since = request.query.get("since")
        counted = self._account.journal.since(None if since is None else int(since))
        return web.json_response({"total": counted.total, "by": counted.by, "mostAtOnce": counted.most_at_once})
