"""Each write to Twilio with the operator killed in it, before and after it landed: the next one finishes, and nothing is doubled.

Twilio holds its answer until the operator is dead. All writes of a stage are held at once, each for an object and an account of
its own, so that one operator dies for all of them.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.lab import Lab
from cluster.operator.accounts import Kept, all_right, operators
from cluster.operator.bench import VOICEASSIST, Cluster, Operator
from cluster.waiting import eventually

pytestmark = pytest.mark.timeout(900, func_only=True)
ATTEMPTS, FEW = 8, 5
"""All are to be held within the 10 s after which the operator gives the first one up: of fewer a slow machine can do that, too."""


@dataclass(frozen=True)
class Write:
    """One kind of write, and the mode in which it happens."""

    name: str
    method: str
    path: str
    mode: str = "Relay"


SID = "[0-9a-f]{32}"
SERVICE = rf"/serverless/v1/Services/ZS{SID}"
CREATING = (
    Write("sync", "POST", r"/sync/v1/Services"),
    Write("flex", "POST", r"/flex-api/v1/Configuration"),
    Write("variable", "POST", rf"{SERVICE}/Environments/ZE{SID}/Variables", "Existing"),
    Write("service", "POST", r"/serverless/v1/Services", "Serverless"),
    Write("environment", "POST", rf"{SERVICE}/Environments", "Serverless"),
    Write("setting", "POST", rf"{SERVICE}/Environments/ZE{SID}/Variables", "Serverless"),
    Write("function", "POST", rf"{SERVICE}/Functions", "Serverless"),
    Write("upload", "POST", rf"/serverless-upload/v1/Services/ZS{SID}/Functions/ZH{SID}/Versions", "Serverless"),
    Write("build", "POST", rf"{SERVICE}/Builds", "Serverless"),
    Write("deploy", "POST", rf"{SERVICE}/Environments/ZE{SID}/Deployments", "Serverless"),
)
REPAIRING = (
    Write("sync", "POST", rf"/sync/v1/Services/IS{SID}"),
    Write("variable", "POST", rf"{SERVICE}/Environments/ZE{SID}/Variables/ZV{SID}", "Existing"),
    Write("service", "POST", SERVICE, "Serverless"),
    Write("function", "DELETE", rf"{SERVICE}/Functions/ZH{SID}", "Serverless"),
    Write("build", "DELETE", rf"{SERVICE}/Builds/ZB{SID}", "Serverless"),
)
REMOVING = (
    Write("flex", "POST", r"/flex-api/v1/Configuration", "Serverless"),
    Write("sync", "DELETE", rf"/sync/v1/Services/IS{SID}", "Serverless"),
    Write("service", "DELETE", SERVICE, "Serverless"),
)


def hold(kept: Kept, write: Write, *, landed: bool) -> None:
    """The next such write is never answered; it is done if it is to land."""
    kept.mark = kept.twilio.total()
    kept.twilio.faults({"kind": "hang", "method": write.method, "path": f"^{write.path}$", "after": landed, "times": 1})


def killed_in(operator: Operator, held: dict[str, Kept]) -> set[str]:
    """Kills the operator once all these writes are held; gives those that were not given up before, as a slow machine may do."""
    for name, kept in held.items():
        eventually(f"{name} is held", lambda kept=kept: kept.twilio.struck() == [1])
    killed = time.time()
    operator.stop(9)
    in_time = set()
    for name, kept in held.items():
        [first, *_] = eventually(f"{name} is cut", lambda kept=kept: [one["at"] for one in kept.twilio.requests(kept.mark) if one["fault"]])
        kept.twilio.faults()
        in_time |= {name} if first >= killed else set()
    return in_time


def stage(
    start: Callable[[], Operator], writes: tuple[Write, ...], begin: Callable[[Write, str], Kept], check: Callable[[list[Kept]], None]
) -> list[Kept]:
    """Every write, before and after it landed; what a slow machine spoiled is done once more, few at once. Gives all objects."""
    pending = {f"{write.name}-{write.mode.lower()}-{when}": write for write in writes for when in ("before", "after")}
    everything: list[Kept] = []
    for attempt in range(ATTEMPTS):
        at_once = itertools.islice(pending.items(), FEW if attempt else None)
        held = {name: begin(write, f"{name}-{attempt}" if attempt else name) for name, write in at_once}
        done = killed_in(start(), held)
        everything += held.values()
        after = start()
        check(list(held.values()))
        assert after.stop() == 0
        pending = {name: write for name, write in pending.items() if name not in done}
        if not pending:
            return everything
    raise AssertionError(f"given up before the operator was killed, time and again: {sorted(pending)}")


def spoil(kept: Kept, write: Write) -> None:
    """Somebody changes by hand what this write puts right."""
    twilio = kept.twilio
    if write.path.startswith("/sync"):
        twilio.ask("POST", f"/sync/v1/Services/{kept.services()[0]['sid']}", form={"AclEnabled": "false"})
    elif kept.mode == "Existing":
        existing = kept.spec["twilio"]["functions"]["existing"]
        base = f"/serverless/v1/Services/{existing['serviceSid']}/Environments/{existing['environmentSid']}/Variables"
        variable = next(one for one in twilio.ask("GET", base)["variables"] if one["key"] == "STREAM_URL")
        twilio.ask("POST", f"{base}/{variable['sid']}", form={"Value": "wss://other.example.test/ws"})
    else:
        base = f"/serverless/v1/Services/{kept.serverless()[0]['sid']}"
        if write.name == "service":
            twilio.ask("POST", base, form={"FriendlyName": "renamed"})
        elif write.name == "function":  # of an older version of ours
            twilio.ask("POST", f"{base}/Functions", form={"FriendlyName": "voiceassist /stream 0123456789abcdef"})
        else:
            versions = [one["sid"] for one in twilio.within(base.rsplit("/", 1)[1], "Builds")[0]["function_versions"]]
            twilio.ask("POST", f"{base}/Builds", form={"FunctionVersions": versions[:1]})


def test_a_crash_in_each_write(plane: Lab, cluster: Cluster, tmp_path: Path) -> None:
    cluster.secrets()
    with operators(plane, cluster, tmp_path) as start:

        def create(write: Write, name: str) -> Kept:
            kept = Kept.make(cluster, f"c-{name}", write.mode)
            hold(kept, write, landed="after" in name)
            return kept.create()

        kept = stage(start, CREATING, create, all_right)
        spare = {mode: deque(one for one in kept if one.mode == mode) for mode in ("Relay", "Existing", "Serverless")}

        def repair(write: Write, name: str) -> Kept:
            spare[write.mode].rotate()
            one = spare[write.mode][0]
            spoil(one, write)
            hold(one, write, landed="after" in name)
            return one

        stage(start, REPAIRING, repair, all_right)

        def remove(write: Write, name: str) -> Kept:
            one = spare[write.mode].pop()
            hold(one, write, landed="after" in name)
            one.delete()
            return one

        def all_freed(gone: list[Kept]) -> None:
            for one in gone:
                eventually(f"{one.name} is freed", one.freed)

        removed = stage(start, REMOVING, remove, all_freed)
        last = start()
        for one in kept:
            if one not in removed:
                one.delete()
        all_freed(kept)
        assert last.stop() == 0
        assert cluster.list(VOICEASSIST) == []
        known = [(write.method, f"^{write.path}$") for write in (*CREATING, *REPAIRING, *REMOVING)]
        by_us = {(request["method"], request["path"]) for one in kept for request in one.twilio.requests() if request["method"] != "GET"}
        unknown = {one for one in by_us if not any(one[0] == method and re.match(path, one[1]) for method, path in known)}
        assert unknown == set(), "a write to Twilio that no crash was tried in"
