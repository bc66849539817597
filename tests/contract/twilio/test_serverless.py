"""Serverless through the vendor's own client: from a service to code that is deployed, and what is refused on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from twilio.rest import Client

from contract.twilio.conftest import Ask, Clock
from contract.twilio.serverless_rig import CODE, NO_SID, Desk, credentials, open_desk, refused
from voiceassist_sim.twilio import TwilioServer

SERVICES = "/serverless/v1/Services"


@pytest.fixture
async def desk(server: TwilioServer, client: Client, ask: Ask) -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession(headers=credentials(server)) as session:
        yield await open_desk(server, client, ask, session)


async def test_from_a_service_to_deployed_code(desk: Desk) -> None:
    made = await desk.service.fetch_async()
    environment = await desk.environment.fetch_async()
    assert environment.domain_name == f"{made.domain_base}-prod.twil.io"
    assert made.domain_base.startswith("voice-assist-")
    await desk.environment.variables.create_async(key="GREETING", value="Good day")
    uploaded = await desk.upload()
    assert (uploaded.status, uploaded.body["path"], uploaded.body["visibility"]) == (201, "/stream", "public")
    version = uploaded.body["sid"]
    assert (await desk.function.function_versions(version).function_version_content().fetch_async()).content == CODE
    build = await desk.service.builds.create_async(
        function_versions=[version], dependencies='[{"name": "twilio", "version": "5.3.0"}]', runtime="node22"
    )
    assert (build.status, build.runtime, build.dependencies) == ("building", "node22", [{"name": "twilio", "version": "5.3.0"}])
    status, code, message = await refused(desk.environment.deployments.create_async(build_sid=build.sid))
    assert (status, code, "its status is building" in message) == (400, 20001, True)
    polled = [(await desk.service.builds(build.sid).build_status().fetch_async()).status for _ in range(3)]
    assert polled == ["building", "completed", "completed"]
    deployment = await desk.environment.deployments.create_async(build_sid=build.sid)
    assert deployment.build_sid == (await desk.environment.fetch_async()).build_sid == build.sid
    for ref in (environment.domain_name, environment.sid):
        deployed = (await desk.ask("GET", f"/_sim/serverless/environments/{ref}")).body
        assert deployed["variables"] == {"GREETING": "Good day"}
        assert [(one["path"], one["visibility"], one["content"]) for one in deployed["functions"]] == [("/stream", "public", CODE)]
    shown = (await desk.ask("GET", "/_sim/serverless")).body["services"][0]
    assert shown["environments"][0]["deployed"] == deployed
    assert shown["functions"] == [{"sid": desk.function_sid, "friendlyName": "stream", "versions": [version]}]


async def test_a_variable_counts_without_a_new_build(desk: Desk) -> None:
    await desk.environment.deployments.create_async(build_sid=await desk.built())
    variable = await desk.environment.variables.create_async(key="GREETING", value="Good day")
    await desk.environment.variables(variable.sid).update_async(value="Hello")
    deployed = (await desk.ask("GET", f"/_sim/serverless/environments/{desk.environment_sid}")).body
    assert deployed["variables"] == {"GREETING": "Hello"}
    assert (await desk.ask("GET", "/_sim/serverless/environments/ZE1")).status == 404


# Services


async def test_a_service_is_found_by_name_and_by_sid(desk: Desk, clock: Clock) -> None:
    services = desk.client.serverless.v1.services
    by_name = await services("voice-assist").fetch_async()
    assert (by_name.sid, by_name.include_credentials, by_name.ui_editable) == (desk.service_sid, False, False)
    assert [one.sid for one in await services("voice-assist").environments.list_async()] == [desk.environment_sid]
    clock.pass_(60)
    changed = await services("voice-assist").update_async(friendly_name="Assist", include_credentials=True, ui_editable=True)
    assert (changed.friendly_name, changed.include_credentials, changed.ui_editable) == ("Assist", True, True)
    assert changed.date_updated > changed.date_created
    assert (await services("voice-assist").update_async()).friendly_name == "Assist"
    assert await services("voice-assist").delete_async() is True
    assert (await refused(services(desk.service_sid).fetch_async()))[:2] == (404, 20404)
    assert (await refused(services(desk.service_sid).environments(desk.environment_sid).fetch_async()))[:2] == (404, 20404)


async def test_a_name_is_taken_once(desk: Desk) -> None:
    services = desk.client.serverless.v1.services
    taken = (409, 20409, "Service with this UniqueName already exists.")
    assert await refused(services.create_async(unique_name="voice-assist", friendly_name="x")) == taken
    both = "Environment with this UniqueName or DomainSuffix already exists."
    environments = desk.service.environments
    assert await refused(environments.create_async(unique_name="production", domain_suffix="other")) == (409, 20409, both)
    assert await refused(environments.create_async(unique_name="other", domain_suffix="prod")) == (409, 20409, both)
    bare = await environments.create_async(unique_name="bare")
    assert (bare.domain_suffix, bare.domain_name.count("-")) == (None, 2)
    assert await refused(environments.create_async(unique_name="bare2")) == (409, 20409, both)  # no suffix is one, too
    variables = desk.environment.variables
    first = await variables.create_async(key="A", value="1")
    await variables.create_async(key="B", value="2")
    assert (await refused(variables.create_async(key="A", value="3")))[:2] == (409, 20409)
    assert (await refused(variables(first.sid).update_async(key="B")))[:2] == (409, 20409)
    assert (await variables(first.sid).update_async(key="A", value="4")).value == "4"
    names = [(await desk.service.functions.create_async(friendly_name="stream")).friendly_name for _ in range(2)]
    assert names == ["stream", "stream"]  # a function's name need not be unique


@pytest.mark.parametrize(
    "given",
    [
        {"FriendlyName": "x"},
        {"UniqueName": "x"},
        {"UniqueName": "", "FriendlyName": "x"},
        {"UniqueName": "x", "FriendlyName": ""},
        {"UniqueName": "x" * 51, "FriendlyName": "x"},
        {"UniqueName": "x", "FriendlyName": "x" * 256},
        {"UniqueName": "voice_assist", "FriendlyName": "x"},
        {"UniqueName": "-x", "FriendlyName": "x"},
        {"UniqueName": "ZS" + NO_SID, "FriendlyName": "x"},
        {"UniqueName": "x", "FriendlyName": "x", "IncludeCredentials": "yes"},
        {"UniqueName": "x", "FriendlyName": "x", "DomainBase": "x"},
    ],
    ids=lambda given: "&".join(f"{name}={value[:12]}" for name, value in given.items()),
)
async def test_a_service_that_cannot_be(ask: Ask, given: dict[str, str]) -> None:
    reply = await ask("POST", SERVICES, form=given)
    assert (reply.status, reply.code) == (400, 20001)
    assert (await ask("GET", SERVICES)).body["services"] == []


@pytest.mark.parametrize(
    ("under", "given"),
    [
        ("Environments", {"DomainSuffix": "x"}),
        ("Environments", {"UniqueName": "x" * 101}),
        ("Environments", {"UniqueName": "x", "DomainSuffix": "x" * 17}),
        ("Environments", {"UniqueName": "x", "DomainSuffix": "a.b"}),
        ("Variables", {"Key": "A"}),
        ("Variables", {"Value": "A"}),
        ("Variables", {"Key": "A", "Value": ""}),
        ("Variables", {"Key": "A" * 129, "Value": "1"}),
        ("Variables", {"Key": "1A", "Value": "1"}),
        ("Variables", {"Key": "A-B", "Value": "1"}),
        ("Variables", {"Key": "A", "Value": "ä" * 226}),  # 452 bytes in 226 characters
        ("Functions", {}),
        ("Functions", {"FriendlyName": "x" * 256}),
        ("Builds", {}),
        ("Builds", {"FunctionVersions": "ZH" + NO_SID}),
        ("Builds", {"FunctionVersions": "ZN" + NO_SID}),
        ("Builds", {"AssetVersions": "ZN" + NO_SID}),
        ("Deployments", {"BuildSid": "ZB" + NO_SID}),
        ("Deployments", {"BuildSid": ""}),
        ("Deployments", {"IsPlugin": "maybe"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "&".join(f"{name}={text[:8]}" for name, text in value.items()) or "nothing",
)
async def test_what_cannot_be_made(desk: Desk, under: str, given: dict[str, str]) -> None:
    inner = f"/Environments/{desk.environment_sid}" if under in ("Variables", "Deployments") else ""
    path = f"{SERVICES}/{desk.service_sid}{inner}/{under}"
    before = (await desk.ask("GET", path)).body
    reply = await desk.ask("POST", path, form=given)
    assert (reply.status, reply.code) == (400, 20001)
    assert (await desk.ask("GET", path)).body == before


async def test_bounds_are_inclusive(desk: Desk) -> None:
    services = desk.client.serverless.v1.services
    made = await services.create_async(unique_name="x" * 50, friendly_name="ä" * 255)
    assert (await services(made.sid).environments.create_async(unique_name="x" * 100, domain_suffix="s" * 16)).domain_suffix == "s" * 16
    assert (await desk.environment.variables.create_async(key="K" * 128, value="v" * 450)).key == "K" * 128


@pytest.mark.parametrize("limit", ["max_services", "max_environments", "max_variables", "max_functions", "max_builds"])
async def test_caps(desk: Desk, limit: str) -> None:
    version = await desk.version()
    makers: dict[str, Any] = {
        "max_services": lambda: desk.client.serverless.v1.services.create_async(unique_name="y", friendly_name="y"),
        "max_environments": lambda: desk.service.environments.create_async(unique_name="y", domain_suffix="y"),
        "max_variables": lambda: desk.environment.variables.create_async(key="Y", value="y"),
        "max_functions": lambda: desk.service.functions.create_async(friendly_name="y"),
        "max_builds": lambda: desk.service.builds.create_async(function_versions=[version]),
    }
    if limit in ("max_variables", "max_builds"):
        await (
            desk.environment.variables.create_async(key="X", value="x")
            if limit == "max_variables"
            else desk.service.builds.create_async(function_versions=[version])
        )
    changed = await desk.ask("PUT", "/_sim/settings", json={"serverless": {limit: 1}})
    assert changed.body["serverless"][limit] == 1
    status, code, message = await refused(makers[limit]())
    assert (status, code, "limit of 1" in message) == (400, 20001, True)
    await desk.ask("PUT", "/_sim/settings", json={"serverless": {limit: None}})
    await makers[limit]()


# Lists


async def test_every_list_has_pages(desk: Desk) -> None:
    for number in range(4):
        await desk.client.serverless.v1.services.create_async(unique_name=f"s{number}", friendly_name="x")
        await desk.service.environments.create_async(unique_name=f"e{number}", domain_suffix=f"e{number}")
        await desk.environment.variables.create_async(key=f"K{number}", value="x")
        await desk.service.functions.create_async(friendly_name="x")
        await desk.environment.deployments.create_async(build_sid=await desk.built(f"/v{number}"))
    lists = {
        "services": (desk.client.serverless.v1.services, 5),
        "environments": (desk.service.environments, 5),
        "variables": (desk.environment.variables, 4),
        "functions": (desk.service.functions, 5),
        "versions": (desk.function.function_versions, 4),
        "builds": (desk.service.builds, 4),
        "deployments": (desk.environment.deployments, 4),
    }
    for name, (rows, count) in lists.items():
        whole = [one.sid for one in await rows.list_async()]
        assert len(set(whole)) == count, name
        mark = desk.server.journal.mark()
        assert [one.sid for one in await rows.list_async(page_size=2)] == whole, name
        assert desk.server.journal.since(mark).total == (count + 1) // 2, name  # the pages were followed
        assert len(await rows.list_async(limit=3)) == 3, name
    assert await desk.service.assets.list_async() == []
    reply = await desk.ask("GET", f"{SERVICES}?PageSize=1001")
    assert (reply.status, reply.code) == (400, 20001)


# Deletion


async def test_everything_can_be_deleted(desk: Desk) -> None:
    variable = await desk.environment.variables.create_async(key="A", value="1")
    build = await desk.built()
    for one in (
        desk.environment.variables(variable.sid),
        desk.service.builds(build),
        desk.function,
        desk.environment,
        desk.service,
    ):
        assert (await one.fetch_async()).sid
        assert await one.delete_async() is True
        assert (await refused(one.fetch_async()))[:2] == (404, 20404)
        assert (await refused(one.delete_async()))[:2] == (404, 20404)


async def test_what_is_deployed_outlives_its_function(desk: Desk) -> None:
    build = await desk.built()
    await desk.environment.deployments.create_async(build_sid=build)
    await desk.function.delete_async()
    deployed = (await desk.ask("GET", f"/_sim/serverless/environments/{desk.environment_sid}")).body
    assert [one["content"] for one in deployed["functions"]] == [CODE]


@pytest.mark.parametrize(
    "path",
    [
        "/ZS1",
        "/{service}/Environments/ZE1",
        "/{service}/Environments/ZE1/Variables",
        "/{service}/Environments/{environment}/Variables/ZV1",
        "/{service}/Environments/{environment}/Deployments/ZD1",
        "/{service}/Functions/ZH1",
        "/{service}/Functions/ZH1/Versions",
        "/{service}/Functions/{function}/Versions/ZN1",
        "/{service}/Functions/{function}/Versions/ZN1/Content",
        "/{service}/Builds/ZB1",
        "/{service}/Builds/ZB1/Status",
    ],
)
async def test_what_is_not_there(desk: Desk, path: str) -> None:
    at = path.format(service=desk.service_sid, environment=desk.environment_sid, function=desk.function_sid)
    reply = await desk.ask("GET", SERVICES + at)
    assert (reply.status, reply.code) == (404, 20404)
