"""Suggestions in a call's Map as a relay of version 0.1.0 writes them: for tests with processes that cannot wait for a model."""

from __future__ import annotations

import json
import time
from typing import Any

import aiohttp

from support.eventually import eventually
from voiceassist_crds import names
from voiceassist_demo.stage import Stage


async def publish(stage: Stage, call_sid: str, seq: int, revision: str) -> dict[str, Any]:
    """Stores a suggestion under this number; what a report names of it."""
    item = {"type": "suggestion", "id": f"g1-test{seq}", "revision": revision, "seq": seq, "question": "?", "answer": "!"}
    item |= {"at": int(time.time() * 1000), "latencyMs": 700}
    url = f"{stage.twilio_url}/sync/v1/Services/{stage.sync_service_sid}/Maps/{names.suggestions_map(call_sid)}/Items"
    headers = {"Authorization": aiohttp.encode_basic_auth(stage.account.api_key, stage.account.api_secret)}
    form = {"Key": names.suggestion_key(seq), "Data": json.dumps(item)}

    async def stored() -> bool:
        async with stage.http.post(url, data=form, headers=headers) as answer:
            assert answer.status in {201, 404}, (answer.status, await answer.text())
            return answer.status == 201

    await eventually(stored, "the Map follows a start within moments")
    return {"callSid": call_sid, "id": item["id"], "revision": revision, "seq": seq}
