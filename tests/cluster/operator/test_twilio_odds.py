"""A Twilio that fails every fifth request, two operators at once, other modes on live objects, and what all of it costs at rest."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

import pytest

from cluster.lab import Lab
from cluster.operator.accounts import RESYNC, Kept, all_right, operators
from cluster.operator.bench import VOICEASSIST, Cluster
from cluster.waiting import eventually
from voiceassist_operator.twilio.model.schedule import RESYNC_SECONDS

pytestmark = pytest.mark.timeout(900, func_only=True)
MODES = ("Relay", "Existing", "Serverless")
DOC = Path(__file__).parents[3] / "docs/twilio.md"
FIFTH = (
    {"kind": "429", "share": 0.06},
    {"kind": "5xx", "share": 0.05},
    {"kind": "stored-then-500", "share": 0.05},
    {"kind": "cut", "share": 0.03},
    {"kind": "cut", "share": 0.03, "after": True},
)


def test_every_fifth_request_fails(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    """It is made, mended and freed all the same, and nothing is doubled."""
    cluster.secrets()
    kept = [Kept.make(cluster, f"{mode.lower()}-{number}", mode) for mode in MODES for number in range(3)]
    for seed, one in enumerate(kept):
        one.twilio.faults(*({**rule, "path": "^/(sync|flex-api|serverless)"} for rule in FIFTH), seed=seed)
        one.create()
    with operators(plane, cluster, tmp_path) as start:
        start()

        def made() -> bool:
            for one in kept:
                shown = {entry["type"]: entry["status"] for entry in cluster.assist(one.name)["status"]["conditions"]}
                assert (shown["FunctionsConfigured"], shown["FlexConfigured"]) == ("True", "True"), one.name
            return True

        eventually("all is made under faults", made)
        asked = [entry for one in kept for entry in one.twilio.requests()]
        struck = [entry for entry in asked if entry["fault"]]
        assert len(struck) > len(asked) / 10, "the faults did strike"
        for one in kept:
            one.twilio.faults()
        all_right(kept)
        for seed, one in enumerate(kept):
            one.twilio.faults(*FIFTH, seed=seed)
            one.delete()
        eventually("all objects are gone", lambda: not cluster.list(VOICEASSIST))
        for one in kept:
            one.twilio.faults()
            assert one.freed()


def test_two_operators_at_once_make_one_of_everything(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    """As when a Lease was lost and the old leader still has a request under way, only all the time."""
    cluster.secrets()
    kept = [Kept.make(cluster, f"{mode.lower()}-{number}", mode) for mode in MODES for number in range(3)]
    with operators(plane, cluster, tmp_path) as start:
        first, second = start(), start()
        for one in kept:
            one.alone = False
            one.create()
        all_right(kept)
        time.sleep(2 * RESYNC)
        all_right(kept)
        first.stop()
        for one in kept:
            one.delete()
        for one in kept:
            eventually(f"{one.name} is freed", one.freed)
        assert second.stop() == 0


def test_what_it_costs_at_rest_is_what_the_page_says(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    """Requests at each look, counted by Twilio; looks are an hour apart outside of tests. Then from one mode to the next."""
    said = {mode: int(count) for mode, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", DOC.read_text(), re.MULTILINE)}
    assert set(said) == set(MODES)
    assert max(said.values()) * 3600 / RESYNC_SECONDS <= 10
    cluster.secrets()
    kept = {mode: Kept.make(cluster, mode.lower(), mode).create() for mode in MODES}
    with operators(plane, cluster, tmp_path) as start:
        start()
        all_right(list(kept.values()))
        time.sleep(2 * RESYNC)
        totals = {mode: one.twilio.total() for mode, one in kept.items()}
        time.sleep(5 * RESYNC)
        for mode, one in kept.items():
            asked = one.twilio.requests(totals[mode])
            assert {entry["method"] for entry in asked} == {"GET"}
            looks = [number for number, entry in enumerate(asked) if entry["path"] == "/sync/v1/Services"]
            assert len(looks) >= 3
            assert {after - before for before, after in itertools.pairwise(looks)} == {said[mode]}, asked[looks[0] : looks[2]]


def test_from_one_mode_to_the_next(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    """The plugin is led to the new address first; what was made stays for a day, for open browser tabs, and goes then."""
    cluster.secrets()
    kept = Kept.make(cluster, "x", "Serverless").create()
    with operators(plane, cluster, tmp_path) as start:
        first = start()
        all_right([kept])
        service = kept.serverless()[0]["sid"]
        existing = kept.deployed_by_hand()
        kept.spec["twilio"]["functions"] = {"mode": "Existing", "existing": existing}
        cluster.patch(VOICEASSIST, "x", {"spec": {"twilio": {"functions": kept.spec["twilio"]["functions"]}}})

        def retired() -> str:
            status = cluster.assist("x")["status"]
            assert kept.twilio.instances()[kept.key]["functionsUrl"] == status["endpoints"]["functionsUrl"]
            assert "-prod.twil.io" in status["endpoints"]["functionsUrl"]
            return str(status["functions"]["retireAt"])

        eventually("it is to be retired", retired)
        assert [one["sid"] for one in kept.serverless()] == [service]
        assert kept.variables(existing["serviceSid"], existing["environmentSid"])["STREAM_URL"] == "wss://x.example.test/ws"
        back = {"mode": "Serverless", "existing": None}
        cluster.patch(VOICEASSIST, "x", {"spec": {"twilio": {"functions": back}}})
        kept.mode = kept.spec["twilio"]["functions"]["mode"] = "Serverless"
        all_right([kept])
        assert kept.serverless()[0]["sid"] == service, "taken up again"
        eventually("nothing is to be retired", lambda: "retireAt" not in cluster.assist("x")["status"]["functions"])
        cluster.patch(VOICEASSIST, "x", {"spec": {"twilio": {"functions": {"mode": "Relay"}}}})
        kept.mode = "Relay"
        eventually("it is to be retired", lambda: cluster.assist("x")["status"]["functions"]["retireAt"])
        eventually(
            "the plugin has the relays' address", lambda: kept.twilio.instances()[kept.key]["functionsUrl"] == "https://x.example.test"
        )
        assert first.stop() == 0
        cluster.patch(VOICEASSIST, "x", {"status": {"functions": {"retireAt": "2020-01-01T00:00:00Z"}}}, status=True)
        start()
        all_right([kept])
        eventually("the status forgets it", lambda: "functions" not in cluster.assist("x")["status"])
