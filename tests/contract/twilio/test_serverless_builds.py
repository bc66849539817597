"""Serverless: uploads, what builds come to, and what may be deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from twilio.rest import Client

from contract.twilio.conftest import Ask, Clock
from contract.twilio.serverless_rig import CODE, NO_SID, Desk, credentials, open_desk, refused
from voiceassist_sim.twilio import BuildPlan, Outcome, TwilioServer


@pytest.fixture
async def desk(server: TwilioServer, client: Client, ask: Ask) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession(headers=credentials(server)) as session:
        yield await open_desk(server, client, ask, session)


async def statuses(desk: Desk, build_sid: str, times: int) -> list[str]:
    return [(await desk.service.builds(build_sid).build_status().fetch_async()).status for _ in range(times)]


# Uploads


@pytest.mark.parametrize("visibility", ["public", "protected", "private"])
async def test_an_upload_keeps_every_byte(desk: Desk, visibility: str) -> None:
    code = 'exports.handler = () => "ä\\u2028 €";\r\n\r\n--x\n'
    reply = await desk.upload("/a/b", visibility=visibility, code=code.encode())
    assert (reply.status, reply.body["visibility"]) == (201, visibility)
    content = await desk.function.function_versions(reply.body["sid"]).function_version_content().fetch_async()
    assert content.content == code
    again = await desk.upload("/a/b", visibility=visibility, code=code.encode())
    assert again.body["sid"] != reply.body["sid"]  # the vendor knows no hash: the same code is another version


@pytest.mark.parametrize(
    "given",
    [
        {"path": "stream"},
        {"path": "/"},
        {"path": "/" + "x" * 255},
        {"path": "/a b"},
        {"path": "/a?b"},
        {"visibility": "secret"},
        {"visibility": "PUBLIC"},
        {"code": b""},
        {"code": b"\xff\xfe"},
        {"content_type": "text/plain"},
        {"filename": None},
        {"without": "Path"},
        {"without": "Visibility"},
        {"without": "Content"},
        {"more": {"FriendlyName": "x"}},
    ],
    ids=lambda given: "-".join(f"{name}-{str(value)[:12]}" for name, value in given.items()),
)
async def test_uploads_that_are_refused(desk: Desk, given: dict[str, Any]) -> None:
    reply = await desk.upload(**given)
    assert (reply.status, reply.code) == (400, 20001)
    assert await desk.function.function_versions.list_async() == []


async def test_an_upload_needs_a_function_and_a_multipart_form(desk: Desk) -> None:
    reply = await desk.upload(function_sid="ZH" + NO_SID)
    assert (reply.status, reply.code) == (404, 20404)
    form = {"Path": "/stream", "Visibility": "public", "Content": CODE}
    for given in ({"form": form}, {"json": form}, {"data": b""}):
        reply = await desk.ask("POST", desk.upload_path, **given)
        assert (reply.status, reply.code) == (400, 20001)
    big = await desk.upload(code=b"/" * (1 << 20))
    assert big.status == 413


# Builds


async def test_a_build_takes_its_time(desk: Desk, clock: Clock) -> None:
    await desk.ask("PUT", "/_sim/settings", json={"serverless": {"build_seconds": 12, "build_polls": 0}})
    build = await desk.service.builds.create_async(function_versions=[await desk.version()])
    assert await statuses(desk, build.sid, 5) == ["building"] * 5
    clock.pass_(12)
    assert (await desk.service.builds(build.sid).fetch_async()).status == "completed"


async def test_a_build_takes_its_polls(desk: Desk) -> None:
    await desk.ask("PUT", "/_sim/settings", json={"serverless": {"build_polls": 3}})
    build = await desk.service.builds.create_async(function_versions=[await desk.version()])
    assert (await desk.service.builds.list_async())[0].status == "building"  # a list does not count
    assert await statuses(desk, build.sid, 4) == ["building"] * 3 + ["completed"]


async def test_a_build_names_all_its_versions(desk: Desk) -> None:
    versions = [await desk.version("/stream"), await desk.version("/token")]
    build = await desk.service.builds.create_async(function_versions=versions)
    assert [(one["sid"], one["path"]) for one in build.function_versions] == list(zip(versions, ["/stream", "/token"], strict=True))
    assert [one["name"] for one in build.dependencies] == ["twilio", "@twilio/runtime-handler"]  # as the vendor adds them
    with_quotes = await desk.service.builds.create_async(function_versions=versions, dependencies='"[{"name": "got", "version": "6.7.1"}]"')
    assert with_quotes.dependencies == [{"name": "got", "version": "6.7.1"}]  # as the vendor's toolkit sends them


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"function_versions": "same path"}, 20001),
        ({"dependencies": "{"}, 20001),
        ({"dependencies": '{"twilio": "5.3.0"}'}, 20001),
        ({"dependencies": '[{"name": "twilio"}]'}, 20001),
        ({"dependencies": '[{"name": "a", "version": "1"}, {"name": "a", "version": "2"}]'}, 20001),
        ({"runtime": "node16"}, 82007),
        ({"runtime": "deno"}, 20001),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else str(value),
)
async def test_builds_that_are_refused(desk: Desk, given: dict[str, str], code: int) -> None:
    versions = [await desk.version(), await desk.version()]
    wanted = {"function_versions": versions} if "function_versions" in given else {"function_versions": versions[:1], **given}
    assert (await refused(desk.service.builds.create_async(**wanted)))[:2] == (400, code)
    assert await desk.service.builds.list_async() == []


async def test_runtimes_come_and_go(desk: Desk) -> None:
    versions = [await desk.version()]
    assert (await desk.service.builds.create_async(function_versions=versions, runtime="node24")).runtime == "node24"
    await desk.ask("PUT", "/_sim/settings", json={"serverless": {"runtimes": ["node24"]}})
    assert (await refused(desk.service.builds.create_async(function_versions=versions, runtime="node22")))[1] == 82007


async def test_a_build_fails(desk: Desk) -> None:
    order = {"plans": [{"outcome": "failed", "message": "npm: no such package"}]}
    assert (await desk.ask("PUT", "/_sim/serverless/builds", json=order)).body["plans"][0]["times"] == 1
    version = await desk.version()
    build = await desk.service.builds.create_async(function_versions=[version])
    assert await statuses(desk, build.sid, 3) == ["building", "failed", "failed"]
    fetched = (await desk.ask("GET", f"/serverless/v1/Services/{desk.service_sid}/Builds/{build.sid}")).body
    assert "npm" not in str(fetched)  # the vendor's API says no more than `failed`
    shown = (await desk.ask("GET", "/_sim/serverless")).body["services"][0]["builds"]
    assert [(one["status"], one["message"]) for one in shown] == [("failed", "npm: no such package")]
    status, code, message = await refused(desk.environment.deployments.create_async(build_sid=build.sid))
    assert (status, code, "its status is failed" in message) == (400, 20001, True)
    second = await desk.service.builds.create_async(function_versions=[version])
    assert await statuses(desk, second.sid, 2) == ["building", "completed"]  # the order was for one


async def test_a_build_is_refused_with_a_message(desk: Desk) -> None:
    desk.server.serverless.plan_builds(BuildPlan(Outcome.REFUSED, "Dependency nowhere@1 does not exist.", times=2), BuildPlan(Outcome.HANG))
    versions = [await desk.version()]
    for _ in range(2):
        expected = (400, 20001, "Dependency nowhere@1 does not exist.")
        assert await refused(desk.service.builds.create_async(function_versions=versions)) == expected
    hanging = await desk.service.builds.create_async(function_versions=versions)
    assert await statuses(desk, hanging.sid, 5) == ["building"] * 5
    assert (await desk.ask("GET", "/_sim/serverless")).body["refusedBuilds"] == ["Dependency nowhere@1 does not exist."] * 2


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_a_build_hangs_until_it_is_settled(desk: Desk, clock: Clock, end: str) -> None:
    desk.server.serverless.plan_builds(BuildPlan(Outcome.HANG, times=None))
    build = await desk.service.builds.create_async(function_versions=[await desk.version()])
    clock.pass_(86_400)
    assert await statuses(desk, build.sid, 5) == ["building"] * 5
    assert (await desk.ask("POST", f"/_sim/serverless/builds/{build.sid}", json={"status": end})).status == 200
    assert await statuses(desk, build.sid, 1) == [end]
    assert (await desk.ask("POST", "/_sim/serverless/builds/ZB1", json={"status": end})).status == 404


@pytest.mark.parametrize(
    "bad",
    [
        {"plans": {}},
        {"plans": [{"outcome": "explodes"}]},
        {"plans": [{"times": -1}]},
        {"plans": [{"why": 1}]},
        {"plan": []},
        {"plans": [1]},
    ],
    ids=str,
)
async def test_orders_that_do_not_fit(ask: Ask, bad: dict[str, Any]) -> None:
    assert (await ask("PUT", "/_sim/serverless/builds", json=bad)).status == 400


# Deployments


async def test_a_build_is_deployed_once_and_taken_out(desk: Desk) -> None:
    deployments, again = desk.environment.deployments, (409, 20409, "Environment already has requested deployment.")
    assert await refused(deployments.create_async()) == again  # there is nothing to take out
    first, second = await desk.built("/stream", "/token"), await desk.built("/stream")
    made = await deployments.create_async(build_sid=first)
    assert (await deployments(made.sid).fetch_async()).build_sid == first
    assert await refused(deployments.create_async(build_sid=first)) == again
    assert (await refused(desk.service.builds(first).delete_async()))[:2] == (409, 20409)
    await deployments.create_async(build_sid=second)  # what is left out of a build disappears
    deployed = (await desk.ask("GET", f"/_sim/serverless/environments/{desk.environment_sid}")).body
    assert [one["path"] for one in deployed["functions"]] == ["/stream"]
    assert await desk.service.builds(first).delete_async() is True
    assert (await deployments.create_async()).build_sid is None
    assert (await desk.environment.fetch_async()).build_sid is None
    assert (await desk.ask("GET", f"/_sim/serverless/environments/{desk.environment_sid}")).body["functions"] == []
    assert [one.build_sid for one in await deployments.list_async()] == [first, second, None]
