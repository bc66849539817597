"""What the operator deploys runs: the JavaScript and the variables are taken out of the Twilio stand-in and served by `twilio-run`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from functions.rig import TwilioRun, asked
from integration.functions_table import FLEX
from voiceassist_demo.stage import HOST, Stage, sample_calls
from voiceassist_operator.metrics import OperatorMetrics
from voiceassist_operator.twilio.client import Login, TwilioClient, TwilioPool
from voiceassist_operator.twilio.functions.reconcile import FunctionsReconciler
from voiceassist_operator.twilio.model.address import Address
from voiceassist_operator.twilio.model.functions import FunctionsDesired, FunctionsMode, FunctionsOutcome, FunctionsRecord

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def deployed_by_the_operator(stage: Stage) -> FunctionsOutcome:
    wanted = FunctionsDesired(
        FunctionsMode.SERVERLESS, "11111111-2222-4333-8444-555555555555", "prod", "desk", HOST, "/voice", stage.sync_service_sid
    )
    account = stage.account
    pool = TwilioPool(OperatorMetrics(), lambda: None)
    address = Address(api_url=f"{stage.twilio_url}/{{product}}")
    client = TwilioClient(pool, address, Login(account.account_sid, account.api_key, account.api_secret))
    reconciler, record = FunctionsReconciler(), FunctionsRecord()
    try:
        for _ in range(10):
            outcome = await reconciler.reconcile(client, wanted, record, time.time())
            record = outcome.record
            if outcome.configured:
                return outcome
        raise AssertionError(outcome)
    finally:
        await pool.close()


async def test_what_is_deployed_serves_a_call(stage: Stage, tmp_path: Path) -> None:
    outcome = await deployed_by_the_operator(stage)
    assert outcome.functions_url is not None
    domain = outcome.functions_url.removeprefix("https://")
    status, deployed, _ = await asked(stage.http, "GET", f"{stage.twilio_url}/_sim/serverless/environments/{domain}")
    assert (status, deployed["domainName"], deployed["runtime"]) == (200, domain, "node22")
    assert deployed["variables"] == {"STREAM_URL": f"wss://{HOST}/voice/ws", "SYNC_SERVICE_SID": stage.sync_service_sid}
    files = {
        f"{one['path'].removeprefix('/')}{'.private' if one['visibility'] == 'private' else ''}.js": one["content"]
        for one in deployed["functions"]
    }
    # the relay's public name belongs to nobody, and there is no TLS before it here
    stream_url = deployed["variables"]["STREAM_URL"].replace(f"wss://{HOST}", f"ws://127.0.0.1:{stage.relay.port}")
    call = await stage.new_call(sample_calls() / "lost-parcel.wav", hangUp=60)
    async with TwilioRun(tmp_path / "project", deployed["variables"] | {"STREAM_URL": stream_url}, sources=files) as functions:
        status, answer, _ = await functions.ask("POST", "/stream", json={"action": "start", "callSid": call["callSid"]})
        assert (status, answer["error"]["code"]) == (401, "token_missing")
        body = {"callSid": call["callSid"], "taskSid": call["taskSid"], "Token": call["flexToken"]}
        status, answer, headers = await functions.ask("POST", "/stream", json=body | {"action": "start"}, headers={"Origin": FLEX})
        assert (status, answer["outcome"], headers["Access-Control-Allow-Origin"]) == (200, "started", FLEX)
        status, answer, _ = await functions.ask("GET", "/token", headers={"Authorization": f"Bearer {call['flexToken']}"})
        assert (status, answer["service_sid"]) == (200, stage.sync_service_sid)
        status, answer, _ = await functions.ask("POST", "/stream", data=body | {"action": "stop"})
        assert (status, answer["state"]) == (200, "stopped")
        assert functions.dialled() == {f"127.0.0.1:{stage.relay.port}"}
