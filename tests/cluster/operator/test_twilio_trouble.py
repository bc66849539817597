"""What goes wrong at Twilio while an object is kept: each with its condition and way out, and nothing that is asked in vain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.lab import Lab
from cluster.operator.accounts import FOREIGN, RESYNC, Kept, all_right, operators
from cluster.operator.bench import VOICEASSIST, Cluster, Operator
from cluster.operator.clouds import API_KEY, API_SECRET, AUTH_TOKEN
from cluster.waiting import eventually

pytestmark = [pytest.mark.timeout(900, func_only=True), pytest.mark.usefixtures("keeping")]
QUIET = 3 * RESYNC + 0.5
SECRET = ("v1", "Secret")


@pytest.fixture(scope="module")
def keeping(plane: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all namespaces, which looks at Twilio every 2 s."""
    folder = tmp_path_factory.mktemp("operator")
    with operators(plane, None, folder) as start:
        yield start()


def secret(cluster: Cluster, name: str, **changes: str) -> None:
    cluster.secret(name, **{"authToken": AUTH_TOKEN, "apiKeySid": API_KEY, "apiKeySecret": API_SECRET, **changes})


def condition(kept: Kept, kind: str, status: str, reason: str) -> str:
    """Waits for a condition and gives its message."""
    return str(kept.cluster.await_condition(kind, status, reason, name=kept.name)["message"])


def silence(*kept: Kept) -> None:
    """Nothing is asked of Twilio for several resyncs."""
    before = [one.twilio.total() for one in kept]
    time.sleep(QUIET)
    assert [one.twilio.total() for one in kept] == before, [one.twilio.requests()[-3:] for one in kept]


def test_refused_credentials_are_not_tried_again_until_the_secret_changes(cluster: Cluster) -> None:
    cluster.secret("model", apiKey="k")
    secret(cluster, "bad-key", apiKeySecret="wrong")
    secret(cluster, "bad-both", apiKeySecret="wrong", authToken="wrong")
    secret(cluster, "bad-token", authToken="wrong")
    made = {
        name: Kept.make(cluster, name, "Serverless", credentialsSecretRef={"name": name}).create()
        for name in ("bad-key", "bad-both", "bad-token")
    }
    for name, kept in made.items():
        kind = "FlexConfigured" if name == "bad-token" else "SyncConfigured"
        message = condition(kept, kind, "False", "TwilioRefused")
        assert f"Secret {name}" in message
        assert "nothing is tried until it changes" in message
        if name != "bad-token":
            condition(kept, "FunctionsConfigured", "False", "TwilioRefused")
            assert cluster.find(("apps/v1", "Deployment"), f"{name}-relay") is None, "without Sync no relay can help"
    condition(made["bad-both"], "FlexConfigured", "False", "TwilioRefused")
    condition(made["bad-token"], "FunctionsConfigured", "True", "Configured")
    refused = len([one for one in made["bad-key"].twilio.requests() if one["status"] == 401])
    flex = len([one for one in made["bad-token"].twilio.requests() if "flex-api" in one["path"]])
    silence(made["bad-both"])
    assert len([one for one in made["bad-key"].twilio.requests() if one["status"] == 401]) == refused
    assert len([one for one in made["bad-token"].twilio.requests() if "flex-api" in one["path"]]) == flex
    for name in made:
        cluster.patch(SECRET, name, {"stringData": {"apiKeySecret": API_SECRET, "authToken": AUTH_TOKEN}})
    all_right(list(made.values()))


def test_a_suspended_account_is_named_and_goes_on_by_itself(cluster: Cluster) -> None:
    cluster.secrets()
    kept = Kept.make(cluster, "late")
    kept.create()
    all_right([kept])
    deployment = cluster.get(("apps/v1", "Deployment"), "late-relay")["metadata"]["uid"]
    kept.twilio.sim("PUT", "/settings", {"suspended": 20005})
    condition(kept, "SyncConfigured", "False", "TwilioSuspended")
    condition(kept, "FlexConfigured", "False", "TwilioSuspended")
    assert cluster.get(("apps/v1", "Deployment"), "late-relay")["metadata"]["uid"] == deployment, "relays go on"
    kept.twilio.sim("PUT", "/settings", {"suspended": None})
    all_right([kept])


def test_a_sync_service_that_is_not_there_and_functions_that_are_not(cluster: Cluster) -> None:
    cluster.secrets()
    kept = Kept.make(cluster, "x")
    kept.spec["twilio"]["sync"] = {"serviceSid": "IS" + "0" * 32}
    kept.spec["twilio"]["functions"] = {"mode": "Existing", "existing": {"serviceSid": "ZS" + "0" * 32, "environmentSid": "ZE" + "0" * 32}}
    kept.create()
    assert "check twilio.sync.serviceSid" in condition(kept, "SyncConfigured", "False", "SyncNotFound")
    assert "check twilio.functions.existing.serviceSid" in condition(kept, "FunctionsConfigured", "False", "FunctionsNotFound")
    way_out: dict[str, Any] = {"sync": {"serviceSid": None}, "functions": {"mode": "Relay", "existing": None}}
    cluster.patch(VOICEASSIST, "x", {"spec": {"twilio": way_out}})
    del kept.spec["twilio"]["sync"], kept.spec["twilio"]["functions"]
    all_right([kept])


def test_a_build_that_fails_is_a_condition_with_twilios_words(cluster: Cluster) -> None:
    cluster.secrets()
    kept = Kept.make(cluster, "x", "Serverless")
    kept.twilio.sim("PUT", "/serverless/builds", {"plans": [{"outcome": "refused", "message": "Dependency left-pad cannot be installed"}]})
    kept.create()
    message = condition(kept, "FunctionsConfigured", "False", "FunctionsBuildFailed")
    assert "Dependency left-pad cannot be installed" in message
    assert "mode Relay works meanwhile" in message
    assert cluster.find(("apps/v1", "Deployment"), "x-relay"), "calls are helped all the same"
    builds = len([one for one in kept.twilio.writes() if one[1].endswith("/Builds")])
    time.sleep(QUIET)
    assert len([one for one in kept.twilio.writes() if one[1].endswith("/Builds")]) == builds, "not tried again at once"
    cluster.patch(VOICEASSIST, "x", {"spec": {"twilio": {"functions": {"mode": "Relay"}}}})
    condition(kept, "FunctionsConfigured", "True", "Configured")


def test_an_update_of_flex_that_was_lost_is_written_again(cluster: Cluster) -> None:
    """Somebody else read the configuration before us and writes it after us: between our write and our reading it back."""
    cluster.secrets()
    kept = Kept.make(cluster, "x")
    kept.twilio.faults({"kind": "latency", "method": "POST", "path": "^/flex-api/", "seconds": 2.0, "after": True, "times": 1})
    kept.create()
    eventually("our write", lambda: kept.twilio.struck() == [1])
    theirs = {**FOREIGN, "written": "without our entry"}
    kept.twilio.write_flex(ui_attributes=theirs)
    all_right([kept])
    assert kept.twilio.flex()["ui_attributes"]["written"] == "without our entry"
    eventually("an event", lambda: any("at the same time" in event["note"] for event in kept.events()))


def test_somebody_who_overwrites_flex_again_and_again_is_told_of(cluster: Cluster) -> None:
    cluster.secrets()
    kept = Kept.make(cluster, "x").create()
    all_right([kept])
    # Each read takes a while, so that the other writer is always in between the operator's write and its reading back.
    kept.twilio.faults({"kind": "latency", "method": "GET", "path": "^/flex-api/", "seconds": 0.3})
    done = threading.Event()

    def overwrite() -> None:
        while not done.wait(0.02):
            kept.twilio.write_flex(ui_attributes=FOREIGN)

    writer = threading.Thread(target=overwrite)
    writer.start()
    try:
        assert "somebody else overwrites it" in condition(kept, "FlexConfigured", "False", "FlexContended")
    finally:
        done.set()
        writer.join()
        kept.twilio.faults()
    kept.twilio.write_flex(ui_attributes=FOREIGN)
    all_right([kept])


def test_a_queue_and_the_default_belong_to_the_older_object(cluster: Cluster) -> None:
    cluster.secrets()
    older = Kept.make(cluster, "older", flex={"queues": ["Claims", "Support"]}).create()
    default = Kept.make(cluster, "default", twilio=older.twilio).create()
    eventually("both are there", lambda: {*older.twilio.instances()} == {older.key, default.key})
    before = older.twilio.instances()
    time.sleep(1.1)  # ages count in seconds
    later = Kept.make(cluster, "later", twilio=older.twilio, flex={"queues": ["Claims", "Sales"]}).create()
    second = Kept.make(cluster, "second", twilio=older.twilio).create()
    message = condition(later, "FlexConfigured", "False", "FlexConflict")
    assert f"queue Claims by {older.key}" in message
    assert f"the default by {default.key}" in condition(second, "FlexConfigured", "False", "FlexConflict")
    eventually("what is free is configured", lambda: older.twilio.instances().get(later.key, {}).get("queues") == ["Sales"])
    assert {key: older.twilio.instances().get(key) for key in before} == before, "the older ones are unharmed"
    assert second.key not in older.twilio.instances()
    older.delete()
    default.delete()
    condition(later, "FlexConfigured", "True", "Configured")
    condition(second, "FlexConfigured", "True", "Configured")
    assert older.twilio.instances()[later.key]["queues"] == ["Claims", "Sales"]
    assert older.twilio.instances()[second.key]["default"] is True


def test_nothing_is_asked_for_an_object_that_is_paused(cluster: Cluster) -> None:
    cluster.secrets()
    fresh, kept = (Kept.make(cluster, name, "Serverless") for name in ("fresh", "kept"))
    kept.create()
    all_right([kept])
    cluster.patch(VOICEASSIST, "kept", {"spec": {"paused": True}})
    fresh.spec["paused"] = True
    fresh.create()
    for one in (fresh, kept):
        condition(one, "Progressing", "False", "Paused")
    silence(fresh, kept)
    assert fresh.twilio.requests() == []
    kept.twilio.ask("POST", f"/sync/v1/Services/{kept.services()[0]['sid']}", form={"AclEnabled": "false"})
    for one in (fresh, kept):
        cluster.patch(VOICEASSIST, one.name, {"spec": {"paused": False}})
    all_right([fresh, kept])
