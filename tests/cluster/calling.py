"""Plays calls on the cluster, as agents with the plugin would: /stream by the ingress controller, and what became of each."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from cluster.lab import Lab
from cluster.lab.errors import CommandError
from cluster.lab.places import REPOSITORY
from cluster.standing import Sandbox, relay_pods, status_urls
from voiceassist_demo.attribution import Track, claim_parts, claim_whole
from voiceassist_demo.feed import follow
from voiceassist_demo.playing import Gathering, sent
from voiceassist_demo.report import CallFacts
from voiceassist_relay.logs import call_hash
from voiceassist_sim.audio import load_call
from voiceassist_sim.twilio.streams.request import SAMPLE_RATE

EXAMPLES = REPOSITORY / "examples" / "calls"
RECORDINGS = "/opt/voiceassist/examples/calls"  # in the stand-in's image
AFTER_SPEECH_SECONDS = 3.0
"""What a last suggestion may take, once the recording is over."""
AFTER_SECONDS = 180.0
END_SECONDS = 400.0


class _Ingress(AbstractResolver):
    """Every name is the ingress controller."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=self._port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""


class Agents:
    """The browsers of the agents: they know one public name, and reach it with TLS."""

    def __init__(self, lab: Lab, host: str) -> None:
        self._host, self._port = host, lab.ingress_port
        self._trusted = ssl.create_default_context(cafile=str(lab.authority))

    async def __aenter__(self) -> Agents:
        connector = aiohttp.TCPConnector(resolver=_Ingress(self._port), ssl=self._trusted)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def act(self, action: str, call: Mapping[str, Any]) -> tuple[int, Any]:
        """What the plugin does: start or stop."""
        body = {"action": action, "callSid": call["callSid"], "taskSid": call["taskSid"], "Token": call["flexToken"]}
        async with self._http.post(f"https://{self._host}/stream", json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def feedback(self, call: Mapping[str, Any], suggestion: Mapping[str, Any], verdict: str) -> int:
        """What the plugin does with a thumb: up or down. Gives the answer's status."""
        body = {"callSid": call["callSid"], "id": suggestion["id"], "revision": suggestion["revision"], "verdict": verdict}
        async with self._http.post(f"https://{self._host}/feedback", json={**body, "Token": call["flexToken"]}) as answer:
            await answer.read()
            return answer.status

    async def knock(self) -> None:
        """A request that means nothing: an ingress controller that takes turns among the pods goes on to the next."""
        async with self._http.get(f"https://{self._host}/nothing") as answer:
            await answer.read()


async def new_call(http: aiohttp.ClientSession, place: Sandbox, recording: str, **more: Any) -> dict[str, Any]:
    """A call at the stand-in with a task that an agent has accepted."""
    async with http.post(f"{place.twilio}/_sim/calls", json={"recording": f"{RECORDINGS}/{recording}", **more}) as answer:
        assert answer.status == 201, await answer.text()
        return dict(await answer.json())


async def _json(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as answer:
        return await answer.json()


def summaries(lab: Lab, place: Sandbox, name: str = "support") -> dict[str, dict[str, Any]]:
    """The relays' last line about each call, by the call's hash."""
    found = {}
    for pod in relay_pods(lab, place.namespace, name):
        try:
            text = lab.kubectl("logs", pod["metadata"]["name"], "-n", place.namespace)
        except CommandError:
            continue
        for line in text.splitlines():
            if '"call over"' in line:
                entry = json.loads(line)
                found[entry["call"]] = entry
    return found


async def _play(
    lab: Lab, place: Sandbox, host: str, recordings: Sequence[str], name: str, meanwhile: Callable[[], None] | None
) -> list[CallFacts]:
    gathering, ready = Gathering(), asyncio.Event()
    async with aiohttp.ClientSession() as http, Agents(lab, host) as agents:
        feed = asyncio.create_task(follow(http, f"{place.twilio}/_sim/events", gathering.take, ready))
        try:
            await asyncio.wait_for(ready.wait(), 20)
            hang_up = "recording" if meanwhile is None else None
            calls = [await new_call(http, place, recording, hangUp=hang_up) for recording in recordings]
            for call in calls:
                gathering.add(call["callSid"])
            for status, answer in await asyncio.gather(*(agents.act("start", call) for call in calls)):
                assert status == 200, answer
            if meanwhile is not None:
                said = max(len(load_call(EXAMPLES / recording).customer) / SAMPLE_RATE for recording in recordings) + AFTER_SPEECH_SECONDS
                await asyncio.gather(asyncio.to_thread(meanwhile), asyncio.sleep(said))
                for call in calls:
                    assert not gathering.ended[call["callSid"]].is_set(), "the call was to be up all the time"
                    async with http.post(f"{place.twilio}/_sim/calls/{call['callSid']}/complete", json={}) as answered:
                        assert answered.status == 200, await answered.text()
            async with asyncio.timeout(END_SECONDS):
                await asyncio.gather(*(gathering.ended[call["callSid"]].wait() for call in calls))
            facts = [gathering.calls[call["callSid"]] for call in calls]
            await _stored(lab, place, facts, name)
        finally:
            feed.cancel()
            await asyncio.gather(feed, return_exceptions=True)
        streams = (await _json(http, f"{place.twilio}/_sim/streams"))["streams"]
        for one in facts:
            one.streams = [stream for stream in streams if stream["callSid"] == one.call_sid]
        for one, recording in zip(facts, recordings, strict=True):
            one.tracks = sent(one, load_call(EXAMPLES / recording))
        await _listen(http, place, [track for one in facts for track in one.tracks.values()])
    return facts


async def _listen(http: aiohttp.ClientSession, place: Sandbox, tracks: Sequence[Track]) -> None:
    """Gives each track the sessions that heard it."""
    parts = []
    for session in claim_whole(tracks, (await _json(http, f"{place.model}/_sim/sessions"))["sessions"]):
        async with http.get(f"{place.model}/_sim/sessions/{session['id']}/audio") as answer:
            parts.append((session, await answer.read()))
    claim_parts(tracks, parts)


def frames_added(lab: Lab, namespace: str) -> dict[str, int]:
    """Frames that the relays say they sent besides what came: silence where none came for a while, and replays to another session."""
    totals = {"filled": 0.0, "replayed": 0.0}
    for url in status_urls(lab, namespace).values():
        with urllib.request.urlopen(url.replace("/status", "/metrics"), timeout=60) as answer:
            for line in answer.read().decode().splitlines():
                for outcome in totals:
                    if line.startswith("voiceassist_relay_frames_total{") and f'outcome="{outcome}"' in line:
                        totals[outcome] += float(line.rpartition(" ")[2])
    return {outcome: round(total) for outcome, total in totals.items()}


async def _stored(lab: Lab, place: Sandbox, facts: Sequence[CallFacts], name: str) -> None:
    """Waits for the relays' last word on every call; a call without one was never bridged, which the report shows."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AFTER_SECONDS
    while True:
        told = await asyncio.to_thread(summaries, lab, place, name)
        if all(call_hash(one.call_sid) in told for one in facts) or loop.time() > deadline:
            break
        await asyncio.sleep(0.5)
    for one in facts:
        one.summary = told.get(call_hash(one.call_sid), {})


def play(
    lab: Lab, place: Sandbox, host: str, recordings: Sequence[str], name: str = "support", meanwhile: Callable[[], None] | None = None
) -> list[CallFacts]:
    """Plays all recordings at once, one call each, to their ends; what became of them.

    `meanwhile` begins once every call was started, in a thread of its own; the calls last until it is done, however long it takes.
    """
    return asyncio.run(_play(lab, place, host, recordings, name, meanwhile))


async def _begin(lab: Lab, place: Sandbox, host: str, recording: str, more: Mapping[str, Any]) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, Agents(lab, host) as agents:
        call = await new_call(http, place, recording, **more)
        status, answer = await agents.act("start", call)
        assert status == 200, answer
    return call


def begin(lab: Lab, place: Sandbox, host: str, recording: str, **more: Any) -> dict[str, Any]:
    """Begins one call, which goes on by itself."""
    return asyncio.run(_begin(lab, place, host, recording, more))


async def _knock(lab: Lab, host: str) -> None:
    async with Agents(lab, host) as agents:
        await agents.knock()


def knock(lab: Lab, host: str) -> None:
    """One request that means nothing."""
    asyncio.run(_knock(lab, host))
