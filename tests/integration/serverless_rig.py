"""An object's functions at the Twilio stand-in: the operator's reconciler for them over real HTTP, and what Twilio has then."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.twilio.client import Login, Retries, TwilioClient, TwilioPool
from voiceassist_operator.twilio.functions.plan import unique_name
from voiceassist_operator.twilio.functions.reconcile import FunctionsReconciler
from voiceassist_operator.twilio.model.address import Address
from voiceassist_operator.twilio.model.functions import FunctionsDesired, FunctionsMode, FunctionsOutcome, FunctionsRecord
from voiceassist_sim.twilio.app import TwilioServer
from voiceassist_sim.twilio.serverless_model import Environment, ServerlessService

UID = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
SYNC = "IS" + "1" * 32
HOST, PREFIX = "assist.example.com", "/voice"
WANTED = FunctionsDesired(FunctionsMode.SERVERLESS, UID, "prod", "desk", HOST, PREFIX, SYNC, url_in_flex="")


class Clock:
    """Epoch seconds that a test may move forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Rig:
    """One object's functions; `reconciler` is what an operator has in memory, `record` what is in the status."""

    twilio: TwilioServer
    client: TwilioClient
    clock: Clock
    reconciler: FunctionsReconciler = field(default_factory=FunctionsReconciler)
    record: FunctionsRecord = field(default_factory=FunctionsRecord)
    drift: list[str] = field(default_factory=list)
    outcomes: list[FunctionsOutcome] = field(default_factory=list)

    async def look(self, wanted: FunctionsDesired = WANTED) -> FunctionsOutcome:
        """One look, as the operator makes it: what it says of the record is kept."""
        outcome = await self.reconciler.reconcile(self.client, wanted, self.record, self.clock())
        self.record = outcome.record
        self.drift += outcome.drift
        self.outcomes.append(outcome)
        return outcome

    async def settle(self, wanted: FunctionsDesired = WANTED, looks: int = 20) -> FunctionsOutcome:
        """Looks until it is as wanted; a look for each second, and errors are met by the next look."""
        for _ in range(looks):
            outcome = await self.look(wanted)
            if outcome.configured:
                return outcome
            self.clock.ahead += 1
        raise AssertionError(f"not settled: {[one.message for one in self.outcomes]}")

    def restart(self, *, forget: bool = False) -> None:
        """Another operator takes over; with `forget`, the status was not written either."""
        self.reconciler = FunctionsReconciler()
        if forget:
            self.record = FunctionsRecord()

    @property
    def service(self) -> ServerlessService:
        """The one service that there is of ours."""
        (found,) = [one for one in self.twilio.serverless.services.values() if one.unique_name == unique_name(UID)]
        return found

    @property
    def environment(self) -> Environment:
        """Its one environment."""
        (found,) = self.service.environments.values()
        return found

    def requests(self) -> list[tuple[str, str]]:
        """Method and path of every request so far."""
        return [(entry.method, entry.path) for entry in self.twilio.journal.requests()]

    def deployed(self) -> dict[str, Any]:
        """What runs."""
        return self.twilio.serverless.deployed(self.service, self.environment)

    def variables(self) -> Mapping[str, str]:
        """The variables of the environment."""
        return dict(self.deployed()["variables"])

    def assert_as_wanted(self, wanted: FunctionsDesired = WANTED) -> None:
        """Everything once, nothing twice, nothing left over."""
        deployed = self.deployed()
        assert {one["path"]: one["visibility"] for one in deployed["functions"]} == {
            "/forward": "private",
            "/stream": "public",
            "/token": "public",
            "/feedback": "public",
        }
        assert deployed["variables"] == {"STREAM_URL": wanted.stream_url, "SYNC_SERVICE_SID": wanted.sync_service_sid}
        assert deployed["runtime"] == "node22"
        service = self.service
        assert (service.include_credentials, service.ui_editable, service.friendly_name) == (False, False, "voiceassist/prod/desk")
        assert len(service.functions) == 4 and all(len(one.versions) == 1 for one in service.functions.values())
        assert list(service.builds) == [deployed["buildSid"]]


def wanted_as(mode: FunctionsMode, **changes: Any) -> FunctionsDesired:
    """The same object in another mode."""
    return replace(WANTED, mode=mode, **changes)


@contextlib.asynccontextmanager
async def rigged() -> AsyncIterator[Rig]:
    """The stand-in, and access to its account by an API key."""
    clock = Clock()
    async with TwilioServer(clock=clock) as twilio:
        retries = Retries(first=0.01, longest=0.02, attempts=2, longest_asked=0.05)
        pool = TwilioPool(OperatorMetrics(), lambda: None, timeout=5.0, retries=retries)
        login = Login(twilio.account_sid, *twilio.api_key)
        try:
            yield Rig(twilio, TwilioClient(pool, Address(api_url=twilio.template), login), clock)
        finally:
            await pool.close()
