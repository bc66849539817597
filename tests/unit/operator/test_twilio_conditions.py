"""What is told of Twilio and deployed without it: conditions, status and blockers, as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from unit.operator.making import ACCOUNT, NOW, SYNC, TWILIO, well
from voiceassist_crds.reasons import Reason
from voiceassist_operator.policy.observed import Observed
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.twilio.model.desired import TwilioRecord, recorded
from voiceassist_operator.twilio.model.functions import FunctionsOutcome, FunctionsRecord
from voiceassist_operator.twilio.model.observed import TwilioFact
from voiceassist_operator.twilio.model.outcome import FlexOutcome, Problem, SyncOutcome, SyncRecord

MADE = SyncRecord("IS" + "9" * 32, made=True)
AWAY = Problem(Reason.TWILIO_UNREACHABLE, "Twilio is away", passing=True)
REFUSED = Problem(Reason.TWILIO_REFUSED, "see Secret twilio", waits_for_secret=True)
OWN = {"accountSid": ACCOUNT, "credentialsSecretRef": {"name": "twilio"}}
SERVERLESS = {**TWILIO, "functions": {"mode": "Serverless"}}
RIGHT = FlexOutcome("https://assist.example.com", {}, ours=True)


def seen(twilio: dict[str, Any] = TWILIO, status: dict[str, Any] | None = None, **fact: Any) -> Observed:
    """Relays that are well, an object with this `twilio`, and what the last look found."""
    base = well()
    owner = replace(base.owner, spec=well(twilio={**TWILIO, **twilio}).owner.spec)
    if "sync" not in twilio:
        owner = replace(
            owner,
            spec=owner.spec.model_copy(
                update={
                    "twilio": owner.spec.twilio.model_copy(update={"sync": owner.spec.twilio.sync.model_copy(update={"service_sid": None})})
                }
            ),
        )
    return replace(base, owner=owner, twilio=TwilioFact(**fact), status=status or {})


def told(kind: str, status: str, reason: str, generation: int = 2) -> dict[str, Any]:
    entry = {"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": generation}
    return {"observedGeneration": generation, "conditions": [{**entry, "lastTransitionTime": NOW}]}


DEPLOYED = FunctionsOutcome(True, Reason.CONFIGURED, "", "https://x.twil.io")
BUILDING = FunctionsOutcome(False, Reason.FUNCTIONS_DEPLOYING, "building", None)
ROWS: list[tuple[str, Callable[[], Observed], str, str, str]] = [
    ("not made yet", lambda: seen(OWN), "SyncConfigured", "False", "TwilioPending"),
    ("not made yet", lambda: seen(OWN), "Ready", "False", "TwilioPending"),
    ("away from the start", lambda: seen(OWN, sync=SyncOutcome(SyncRecord(), AWAY)), "Ready", "False", "TwilioUnreachable"),
    ("refused from the start", lambda: seen(OWN, sync=SyncOutcome(SyncRecord(), REFUSED)), "Ready", "False", "TwilioRefused"),
    ("made", lambda: seen(OWN, record=TwilioRecord(MADE)), "SyncConfigured", "True", "SyncOK"),
    ("away later", lambda: seen(OWN, sync=SyncOutcome(MADE, AWAY), record=TwilioRecord(MADE)), "SyncConfigured", "True", "SyncOK"),
    ("refused later", lambda: seen(sync=SyncOutcome(SyncRecord(SYNC), REFUSED)), "SyncConfigured", "False", "TwilioRefused"),
    ("at the relays", lambda: seen(functions_problem=AWAY), "FunctionsConfigured", "True", "Configured"),
    ("not looked at", lambda: seen(SERVERLESS), "FunctionsConfigured", "Unknown", "TwilioPending"),
    ("building", lambda: seen(SERVERLESS, functions=BUILDING), "Ready", "False", "FunctionsDeploying"),
    ("deployed", lambda: seen(SERVERLESS, functions=DEPLOYED), "Ready", "True", "Ready"),
    (
        "away, deployed",
        lambda: seen(SERVERLESS, told("FunctionsConfigured", "True", "Configured"), functions=DEPLOYED, functions_problem=AWAY),
        "Ready",
        "True",
        "Ready",
    ),
    ("away, new", lambda: seen(SERVERLESS, functions_problem=AWAY), "FunctionsConfigured", "False", "TwilioUnreachable"),
    ("right", lambda: seen(flex=RIGHT), "FlexConfigured", "True", "Configured"),
    ("right", lambda: seen(flex=RIGHT), "Degraded", "False", "Reconciled"),
    ("refused", lambda: seen(flex=FlexOutcome(problem=REFUSED)), "FlexConfigured", "False", "TwilioRefused"),
    ("refused", lambda: seen(flex=FlexOutcome(problem=REFUSED)), "Degraded", "True", "TwilioRefused"),
    ("refused", lambda: seen(flex=FlexOutcome(problem=REFUSED)), "Ready", "True", "Ready"),
    ("not looked at", seen, "FlexConfigured", "Unknown", "TwilioPending"),
    ("known", lambda: seen(status=told("FlexConfigured", "False", "FlexConflict")), "FlexConfigured", "False", "FlexConflict"),
    ("by hand before", lambda: seen(status=told("FlexConfigured", "False", "NotConfigured")), "FlexConfigured", "Unknown", "TwilioPending"),
    ("by hand", lambda: seen({**TWILIO, "flex": {"configure": False}}), "Degraded", "False", "Reconciled"),
]


@pytest.mark.parametrize(("name", "what", "kind", "status", "reason"), ROWS, ids=[f"{row[2]}: {row[0]}" for row in ROWS])
def test_twilio_conditions_conditions(name: str, what: Callable[[], Observed], kind: str, status: str, reason: str) -> None:
    found = next(one for one in make_plan(what(), NOW).status["conditions"] if one["type"] == kind)
    assert (found["status"], found["reason"]) == (status, reason), (name, found)


def test_twilio_conditions_nothing_is_deployed_without_a_sync_service_and_nothing_taken_away() -> None:
    assert make_plan(seen(OWN), NOW).apply == []
    plan = make_plan(seen(OWN, sync=SyncOutcome(MADE, AWAY), record=TwilioRecord(MADE)), NOW)
    assert plan.config is not None
    assert plan.config.twilio.sync_service_sid == MADE.sid
    assert [one["kind"] for one in plan.apply].count("Deployment") == 1


def test_twilio_conditions_the_status_remembers_what_was_made() -> None:
    record = TwilioRecord(MADE, FunctionsRecord("ZS1", "ZE1", "ZB1", right=True), "https://x.twil.io", flex_written=True)
    status = make_plan(seen({**OWN, "functions": {"mode": "Serverless"}}, functions=DEPLOYED, record=record), NOW).status
    assert status["sync"] == {"serviceSid": MADE.sid, "made": True}
    assert status["functions"] == {"serviceSid": "ZS1", "environmentSid": "ZE1", "buildSid": "ZB1"}
    assert status["flex"] == {"written": True}
    assert status["endpoints"]["functionsUrl"] == "https://x.twil.io"
    assert recorded(status, 3) == record
    adopted = make_plan(seen(record=TwilioRecord(MADE)), NOW).status
    assert adopted["sync"] == {"serviceSid": SYNC, "made": False}


def test_twilio_conditions_what_an_older_look_found_is_told_as_such() -> None:
    plan = make_plan(seen(SERVERLESS, functions=DEPLOYED, flex=RIGHT, generation=2), NOW)
    about = {one["type"]: one["observedGeneration"] for one in plan.status["conditions"]}
    assert (about["FunctionsConfigured"], about["FlexConfigured"], about["Ready"], about["RelayAvailable"]) == (2, 2, 2, 3)
