"""What is changed or deleted at Twilio by hand: each field is put right at the next look, with an event that says what it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster.lab import Lab
from cluster.operator.accounts import FOREIGN, Kept, all_right, operators
from cluster.operator.bench import Cluster
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(900, func_only=True)
Json = dict[str, Any]


@dataclass(frozen=True)
class Drift:
    """What somebody does, in which mode, and words of the event that follows."""

    name: str
    spoil: Callable[[Kept], None]
    words: tuple[str, ...]
    mode: str = "Relay"
    parts: Json = field(default_factory=dict)
    given: bool = False
    """Whether the Sync service is one that the user gave."""


def sync(**form: str) -> Callable[[Kept], None]:
    return lambda kept: void(kept.twilio.ask("POST", f"/sync/v1/Services/{sync_sid(kept)}", form=form))


def sync_sid(kept: Kept) -> str:
    return str(kept.cluster.assist(kept.name)["status"]["sync"]["serviceSid"])


def sync_gone(kept: Kept) -> None:
    kept.twilio.ask("DELETE", f"/sync/v1/Services/{sync_sid(kept)}")


def entry(**changes: Any) -> Callable[[Kept], None]:
    """Fields of our Flex entry; None takes one away."""

    def spoil(kept: Kept) -> None:
        mine = {**kept.twilio.instances()[kept.key], **changes}
        write(kept, {name: value for name, value in mine.items() if value is not None})

    return spoil


def write(kept: Kept, mine: Any) -> None:
    """Our Flex entry as a whole, beside what others have."""
    theirs = FOREIGN["custom_data"]
    ours = {**theirs["voice_assist"], "instances": {kept.key: mine} if mine is not None else {}}  # type: ignore[dict-item]
    kept.twilio.write_flex(ui_attributes={**FOREIGN, "custom_data": {**theirs, "voice_assist": ours}})  # type: ignore[dict-item]


def place(kept: Kept) -> tuple[str, str]:
    """Serverless service and environment."""
    if kept.mode == "Existing":
        existing = kept.spec["twilio"]["functions"]["existing"]
        return existing["serviceSid"], existing["environmentSid"]
    status = kept.cluster.assist(kept.name)["status"]["functions"]
    return status["serviceSid"], status["environmentSid"]


def variable(key: str, value: str | None) -> Callable[[Kept], None]:
    def spoil(kept: Kept) -> None:
        service, environment = place(kept)
        base = f"/serverless/v1/Services/{service}/Environments/{environment}/Variables"
        sid = next(one["sid"] for one in kept.twilio.ask("GET", base)["variables"] if one["key"] == key)
        if value is None:
            kept.twilio.ask("DELETE", f"{base}/{sid}")
        else:
            kept.twilio.ask("POST", f"{base}/{sid}", form={"Value": value})

    return spoil


def service(**form: str) -> Callable[[Kept], None]:
    return lambda kept: void(kept.twilio.ask("POST", f"/serverless/v1/Services/{place(kept)[0]}", form=form))


def service_gone(kept: Kept) -> None:
    kept.twilio.ask("DELETE", f"/serverless/v1/Services/{place(kept)[0]}")


def environment_gone(kept: Kept) -> None:
    kept.twilio.ask("DELETE", "/serverless/v1/Services/{}/Environments/{}".format(*place(kept)))


def other_build(kept: Kept) -> None:
    """A build of one of our functions alone is deployed."""
    sid, environment = place(kept)
    base = f"/serverless/v1/Services/{sid}"
    [ours] = kept.twilio.within(sid, "Builds")
    version = next(one["sid"] for one in ours["function_versions"] if one["path"] == "/stream")
    form = {"FunctionVersions": version, "Dependencies": '[{"name": "@twilio/runtime-handler", "version": "2.0.3"}]'}
    build = kept.twilio.ask("POST", f"{base}/Builds", form=form)["sid"]
    eventually("the build", lambda: kept.twilio.ask("GET", f"{base}/Builds/{build}/Status")["status"] == "completed")
    kept.twilio.ask("POST", f"{base}/Environments/{environment}/Deployments", form={"BuildSid": build})


def void(_: object) -> None:
    return None


QUEUES: Json = {"flex": {"queues": ["Claims", "Support"]}}
DRIFTS = (
    Drift("acl", sync(AclEnabled="false"), ("acl_enabled", "was false")),
    Drift("webhook", sync(WebhookUrl="https://x.example.test"), ("webhook_url", "https://x.example.test")),
    Drift("rest-webhooks", sync(WebhooksFromRestEnabled="true"), ("webhooks_from_rest_enabled", "was true")),
    Drift("reachability", sync(ReachabilityWebhooksEnabled="true"), ("reachability_webhooks_enabled", "was true")),
    Drift("sync-name", sync(FriendlyName="renamed"), ("FriendlyName of Sync service", "'renamed'")),
    Drift("sync-gone", sync_gone, ("Sync service", "was deleted by hand", "another one is made")),
    Drift("given-acl", sync(AclEnabled="false"), ("AclEnabled of Sync service", "was off"), given=True),
    Drift("url", entry(functionsUrl="https://x.example.test"), ("functionsUrl was 'https://x.example.test'",)),
    Drift("queues", entry(queues=["Other"]), ("queues was", "Other"), parts=QUEUES),
    Drift("default", entry(default=None), ("default was missing",)),
    Drift("uid", entry(uid="someone"), ("uid was 'someone'",)),
    Drift("since", entry(since="2020-01-01T00:00:00Z"), ("since was '2020-01-01T00:00:00Z'",)),
    Drift("more", entry(colour="red"), ("colour was 'red'",)),
    Drift("no-object", lambda kept: write(kept, "gone"), ("was not an object",)),
    Drift("entry-gone", lambda kept: write(kept, None), ("was gone: written again",)),
    Drift("ours-gone", lambda kept: kept.twilio.write_flex(ui_attributes=FOREIGN), ("was gone: written again",)),
    Drift("url-changed", variable("STREAM_URL", "wss://x/ws"), ("variable STREAM_URL", "'wss://x/ws'"), "Existing"),
    Drift("url-gone", variable("STREAM_URL", None), ("variable STREAM_URL", "was deleted"), "Existing"),
    Drift("sid-changed", variable("SYNC_SERVICE_SID", "IS0"), ("variable SYNC_SERVICE_SID", "'IS0'"), "Existing"),
    Drift("sid-gone", variable("SYNC_SERVICE_SID", None), ("variable SYNC_SERVICE_SID", "was deleted"), "Existing"),
    Drift("service-name", service(FriendlyName="renamed"), ("Functions service", "FriendlyName 'renamed'"), "Serverless"),
    Drift("credentials", service(IncludeCredentials="true"), ("IncludeCredentials true",), "Serverless"),
    Drift("editable", service(UiEditable="true"), ("UiEditable true",), "Serverless"),
    Drift("service-gone", service_gone, ("Functions service", "was deleted: made again"), "Serverless"),
    Drift("environment-gone", environment_gone, ("Functions environment", "was deleted: made again"), "Serverless"),
    Drift("setting", variable("STREAM_URL", "wss://x/ws"), ("variable STREAM_URL", "'wss://x/ws'"), "Serverless"),
    Drift("setting-gone", variable("SYNC_SERVICE_SID", None), ("variable SYNC_SERVICE_SID", "was deleted"), "Serverless"),
    Drift("build", other_build, ("instead of", "deployed again"), "Serverless"),
)


def test_what_is_changed_by_hand_is_put_right_and_told(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    cluster.secrets()
    kept: dict[str, Kept] = {}
    for drift in DRIFTS:
        one = kept[drift.name] = Kept.make(cluster, f"d-{drift.name}", drift.mode, **drift.parts)
        if drift.given:
            form = {"FriendlyName": "given", "AclEnabled": "true"}
            one.spec["twilio"]["sync"] = {"serviceSid": one.twilio.ask("POST", "/sync/v1/Services", form=form)["sid"]}
        one.create()
    with operators(plane, cluster, tmp_path) as start:
        start()
        all_right(list(kept.values()))
        assert not [event for one in kept.values() for event in one.events() if event["reason"] == "RepairedAtTwilio"]
        for drift in DRIFTS:
            drift.spoil(kept[drift.name])
        for drift in DRIFTS:

            def told(drift: Drift = drift) -> list[str]:
                notes = [event["note"] for event in kept[drift.name].events()]
                assert any(all(word in note for word in drift.words) for note in notes), notes
                return notes

            eventually(f"{drift.name} is told", told)
        all_right(list(kept.values()))
