"""VoiceAssists with Twilio accounts of their own: made, looked at from both sides, and what there must be when all is as described."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.lab import Lab
from cluster.operator.bench import VOICEASSIST, Cluster, Manifest, Operator, voiceassist
from cluster.operator.clouds import Twilio, clouds
from cluster.waiting import PATIENCE, eventually

RESYNC = 2.0
"""Seconds between looks at Twilio in these tests."""
SETTINGS = {"acl_enabled": True, "webhook_url": None, "webhooks_from_rest_enabled": False, "reachability_webhooks_enabled": False}
PATHS = {"/forward": "private", "/stream": "public", "/token": "public", "/feedback": "public"}
FOREIGN = {"colour": "blue", "custom_data": {"theirs": 1, "voice_assist": {"note": "kept"}}}
"""What others have in the Flex configuration: it must be there after everything."""
Json = dict[str, Any]
_numbers = itertools.count(1)


@dataclass
class Kept:
    """A VoiceAssist, and the account that is its alone."""

    cluster: Cluster
    twilio: Twilio
    name: str
    mode: str = "Relay"
    spec: Any = None
    mark: int = 0
    """How many requests there had been when a test began to count."""
    alone: bool = True
    """Whether one operator at a time keeps it. Two that write in the same moment may upload a version that no build has."""

    @classmethod
    def make(cls, cluster: Cluster, name: str, mode: str = "Relay", twilio: Twilio | None = None, **parts: Any) -> Kept:
        """Prepares an object and an account in which others have things too; `create` creates it. `parts` go into `spec.twilio`."""
        account = twilio or clouds().account()
        made = cls(cluster, account, name, mode)
        if twilio is None:
            account.write_flex(ui_attributes=FOREIGN)
            account.ask("POST", "/sync/v1/Services", form={"FriendlyName": "theirs"})
        functions: Json = {"mode": mode}
        if mode == "Existing":
            functions["existing"] = made.deployed_by_hand()
        spec = voiceassist(name)["spec"]
        del spec["twilio"]["sync"], spec["twilio"]["flex"]
        spec["twilio"] |= {"accountSid": account.account_sid, "apiUrl": account.template, "functions": functions, **parts}
        made.spec = {**spec, "relay": {"replicas": 0, "drainTimeoutSeconds": 0}}
        return made

    def deployed_by_hand(self) -> Json:
        """A Functions environment that the user has, with a variable of his own and one that is wrong."""
        form = {"UniqueName": f"by-hand-{next(_numbers)}", "FriendlyName": "by hand"}
        service = self.twilio.ask("POST", "/serverless/v1/Services", form=form)["sid"]
        base = f"/serverless/v1/Services/{service}/Environments"
        environment = self.twilio.ask("POST", base, form={"UniqueName": "production", "DomainSuffix": "prod"})["sid"]
        for key, value in {"THEIRS": "1", "STREAM_URL": "wss://old.example.test/ws"}.items():
            self.twilio.ask("POST", f"{base}/{environment}/Variables", form={"Key": key, "Value": value})
        self.deploy(service, environment, "/stream")
        return {"serviceSid": service, "environmentSid": environment}

    def deploy(self, service: str, environment: str, path: str) -> str:
        """Somebody deploys a function of his own; gives the build."""
        base = f"/serverless/v1/Services/{service}"
        function = self.twilio.ask("POST", f"{base}/Functions", form={"FriendlyName": path})["sid"]
        upload = f"/serverless-upload/v1/Services/{service}/Functions/{function}/Versions"
        version = self.twilio.ask("POST", upload, form={"Path": path, "Visibility": "public"}, file="exports.handler = () => {};")["sid"]
        needed = '[{"name": "@twilio/runtime-handler", "version": "2.0.3"}, {"name": "twilio", "version": "4.23.0"}]'
        build = self.twilio.ask("POST", f"{base}/Builds", form={"FunctionVersions": version, "Dependencies": needed})["sid"]
        eventually("the build", lambda: self.twilio.ask("GET", f"{base}/Builds/{build}/Status")["status"] == "completed")
        self.twilio.ask("POST", f"{base}/Environments/{environment}/Deployments", form={"BuildSid": build})
        return str(build)

    def create(self) -> Kept:
        self.cluster.create({"apiVersion": VOICEASSIST[0], "kind": VOICEASSIST[1], "metadata": {"name": self.name}, "spec": self.spec})
        return self

    def delete(self) -> None:
        self.cluster.delete(VOICEASSIST, self.name)

    @property
    def key(self) -> str:
        """Its key in the Flex configuration."""
        return f"{self.cluster.namespace}/{self.name}"

    # Twilio's side

    def services(self) -> list[Json]:
        """Sync services but the one that is others'."""
        found = self.twilio.ask("GET", "/sync/v1/Services")["services"]
        return [one for one in found if one["friendly_name"] not in {"theirs", "given"}]

    def serverless(self) -> list[Json]:
        """Serverless services but those of users."""
        found = self.twilio.ask("GET", "/serverless/v1/Services")["services"]
        return [one for one in found if not one["unique_name"].startswith("by-hand")]

    def variables(self, service: str, environment: str) -> Json:
        found = self.twilio.ask("GET", f"/serverless/v1/Services/{service}/Environments/{environment}/Variables")["variables"]
        assert len(found) == len({one["key"] for one in found})
        return {one["key"]: one["value"] for one in found}

    # When all is as described

    def right(self) -> bool:
        """Whether both sides are as described, with nothing doubled; an AssertionError says what is not."""
        status = self.cluster.assist(self.name)["status"]
        conditions = {one["type"]: one for one in status["conditions"]}
        for kind in ("FunctionsConfigured", "FlexConfigured"):
            assert conditions[kind]["status"] == "True", conditions[kind]
        sync = self._sync_right(status)
        url = self._functions_right(status, sync)
        assert status["endpoints"]["functionsUrl"] == url
        self._flex_right(url)
        config = self.cluster.get(("v1", "ConfigMap"), f"{self.name}-relay")["data"]["relay.json"]
        assert f'"{sync}"' in config, "the relays use another Sync service"
        return True

    def _sync_right(self, status: Json) -> str:
        services = self.services()
        sid: str = status["sync"]["serviceSid"]
        if given := self.spec["twilio"].get("sync", {}).get("serviceSid"):
            assert services == []
            assert sid == given
            assert self.twilio.ask("GET", f"/sync/v1/Services/{given}")["acl_enabled"] is True
            return sid
        assert [one["sid"] for one in services] == [sid], (services, sid)
        shown = {name: services[0][name] or None if name == "webhook_url" else services[0][name] for name in SETTINGS}
        assert shown == SETTINGS
        assert services[0]["friendly_name"] == f"voiceassist/{self.key}/{self.cluster.assist(self.name)['metadata']['uid']}"
        return sid

    def _functions_right(self, status: Json, sync: str) -> str:
        relay = f"https://{self.spec['host']}"
        variables = {"STREAM_URL": f"wss://{self.spec['host']}/ws", "SYNC_SERVICE_SID": sync}
        ours = self.serverless()
        if self.mode == "Relay":
            assert ours == []
            return relay
        if self.mode == "Existing":
            assert ours == []
            existing = self.spec["twilio"]["functions"]["existing"]
            service, environment = existing["serviceSid"], existing["environmentSid"]
            assert self.variables(service, environment) == variables | {"THEIRS": "1"}
            shown = self.twilio.ask("GET", f"/serverless/v1/Services/{service}/Environments/{environment}")
            return f"https://{shown['domain_name']}"
        assert len(ours) == 1, ours
        assert (ours[0]["include_credentials"], ours[0]["ui_editable"]) == (False, False)
        service = ours[0]["sid"]
        environments = self.twilio.within(service, "Environments")
        assert len(environments) == 1, environments
        environment = environments[0]
        assert self.variables(service, environment["sid"]) == variables
        functions = self.twilio.within(service, "Functions")
        assert len(functions) == len(PATHS), functions
        versions = [
            one for made in functions for one in self.twilio.within(service, f"Functions/{made['sid']}/Versions", "function_versions")
        ]
        assert {one["path"]: one["visibility"] for one in versions} == PATHS
        assert len(versions) == len(PATHS) or not self.alone, versions
        builds = self.twilio.within(service, "Builds")
        assert len(builds) == 1, builds
        build = builds[0]
        assert (build["status"], environment["build_sid"]) == ("completed", build["sid"])
        built = {one["sid"]: one["path"] for one in build["function_versions"]}
        assert sorted(built.values()) == sorted(PATHS)
        assert set(built) <= {one["sid"] for one in versions}
        assert status["functions"]["serviceSid"] == service
        return f"https://{environment['domain_name']}"

    def _flex_right(self, url: str) -> None:
        attributes = self.twilio.flex()["ui_attributes"]
        entry = attributes["custom_data"]["voice_assist"]["instances"][self.key]
        queues = self.spec["twilio"].get("flex", {}).get("queues")
        claim = {"queues": sorted(queues)} if queues else {"default": True}
        assert {name: value for name, value in entry.items() if name not in {"uid", "since"}} == {"functionsUrl": url, **claim}
        self.others_unharmed()

    def others_unharmed(self) -> None:
        """What others have in the Flex configuration is there."""
        attributes = self.twilio.flex()["ui_attributes"]
        assert attributes["colour"] == "blue"
        assert attributes["custom_data"]["theirs"] == 1
        assert attributes["custom_data"]["voice_assist"]["note"] == "kept"

    def freed(self) -> bool:
        """Whether the object is gone and nothing of it is left; an AssertionError says what is."""
        assert self.cluster.find(VOICEASSIST, self.name) is None
        assert (self.services(), self.serverless(), self.twilio.instances()) == ([], [], {})
        names = {one["friendly_name"] for one in self.twilio.ask("GET", "/sync/v1/Services")["services"]}
        assert "theirs" in names
        self.others_unharmed()
        return True

    def events(self) -> list[Manifest]:
        """Events about it."""
        found = self.cluster.list(("events.k8s.io/v1", "Event"))
        return [one for one in found if one["regarding"]["name"] == self.name]


def all_right(kept: list[Kept], patience: float = PATIENCE) -> None:
    """Waits until all objects are as described."""
    for one in kept:
        eventually(f"{one.name} is right", one.right, patience)


@contextlib.contextmanager
def operators(plane: Lab, cluster: Cluster | None, folder: Path, *arguments: str) -> Iterator[Any]:
    """Gives a function that starts operators of the test's own, each with a Lease of its own, so that none waits for another.

    Without `cluster` they keep the objects of all namespaces.
    """
    started: list[Operator] = []
    where = ("--namespace", cluster.namespace) if cluster is not None else ("--all-namespaces",)

    def start(*more: str) -> Operator:
        number = len(started)
        one = Operator(
            plane.outside_kubeconfig(),
            folder / f"log{number}",
            *(*where, "--lease-namespace", cluster.namespace if cluster is not None else "default"),
            *("--lease-name", f"twilio-{os.getpid()}-{next(_numbers)}"),
            *("--twilio-resync-seconds", str(RESYNC), *arguments, *more),
        )
        started.append(one)
        one.await_event("operator up")
        return one

    try:
        yield start
    finally:
        for one in started:
            one.kill()
