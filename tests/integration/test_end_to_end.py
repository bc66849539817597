"""From end to end: stand-ins, relays and calls, every part a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from pathlib import Path

import pytest

from integration.end_to_end_rig import Watch, cut, sessions, start, streams
from support.eventually import eventually
from voiceassist_crds import names
from voiceassist_demo.chain import FRAME_BYTES
from voiceassist_demo.stage import Stage, write_whole


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """One question of the customer, some six seconds."""
    return cut(tmp_path, "c2")


async def test_a_call_from_end_to_end(tmp_path: Path) -> None:
    """Every frame once and in order, drafts that grow, one suggestion, both sides' words, nothing to Twilio, no words in logs."""
    recording = cut(tmp_path, "a2", "c2", "a3", after=500)
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        call = await start(stage, recording)
        await eventually(lambda: watch.ended(call), seconds=30, what="the call's end")
        await eventually(lambda: watch.document(call)["state"] == "stopped", seconds=10, what="the Document's end")
        items = watch.items(call)
        assert len(items) == 1, items
        (suggestion,) = items
        drafts = watch.messages(call, "draft")
        assert len(drafts) >= 2
        assert [d["part"] for d in drafts] == sorted(d["part"] for d in drafts)
        assert suggestion["answer"].startswith(drafts[-1]["answer"])
        assert all(b["answer"].startswith(a["answer"]) for a, b in itertools.pairwise(drafts))
        (published,) = watch.messages(call, "suggestion")
        assert json.loads(published["transcript"]) == {"question": suggestion["question"], "answer": suggestion["answer"]}
        words = {(w["track"], w["text"]) for w in watch.messages(call, "transcript") if w["final"]}
        assert {track for track, _ in words} == {"customer", "agent"}
        assert watch.states(call)[-1] == ("stopped", "CallEnded")

        (stream,) = await streams(stage, call)
        assert stream["errors"] == []
        assert stream["received"] == {"data": 0, "pings": 0, "pongs": 0}
        (conversation,) = await sessions(stage, "realtime")
        (agent,) = await sessions(stage, "transcription")
        assert conversation["sha256"] == stream["tracks"]["inbound"]["sha256"]
        assert agent["sha256"] == stream["tracks"]["outbound"]["sha256"]
        assert conversation["bytesHeard"] == stream["tracks"]["inbound"]["frames"] * FRAME_BYTES
        assert conversation["misinterpretedBytes"] == 0
        assert conversation["errors"] == []
        assert all(turn["exact"] for turn in conversation["turns"])
        metrics = await stage.metrics()
        assert metrics["active_calls"] == 0
        assert metrics['turns_total{outcome="suggested",revision="' + suggestion["revision"] + '"}'] == 1
        assert metrics['frames_total{outcome="forwarded",track="customer"}'] == stream["tracks"]["inbound"]["frames"]
        for name in (
            "frame_forward_seconds_count",
            "event_loop_delay_seconds_count",
            'stage_duration_seconds_count{stage="publish"}',
            'sync_publish_seconds_count{outcome="ok"}',
            'suggestion_latency_seconds_count{revision="' + suggestion["revision"] + '"}',
            'tokens_total{cached="false",direction="input",modality="audio",model="' + stage.config().model.name + '"}',
            'upgrades_total{outcome="accepted"}',
        ):
            assert metrics[name] > 0, name
        assert (metrics['peer_up{peer="model"}'], metrics['peer_up{peer="sync"}']) == (1, 1)
        log = stage.relay.child.log.read_text()
    for word in (
        suggestion["answer"][:20],
        "parcel",
        stage.account.auth_token,
        stage.account.api_secret,
        stage.model.key,
        call["flexToken"],
        call["callSid"],
    ):
        assert word not in log, "secrets, words and call SIDs stay out of logs"
    (summary,) = [entry for entry in map(json.loads, log.splitlines()) if entry["event"] == "call over"]
    assert (summary["reason"], summary["suggestions"], summary["turns"]["suggested"]) == ("stop", 1, 1)
    assert summary["frames"]["customer"]["forwarded"] == stream["tracks"]["inbound"]["frames"]
    assert summary["frames"]["agent"]["forwarded"] == stream["tracks"]["outbound"]["frames"]
    assert summary["tokens"]["text_output"] > 0
    assert (summary["drops"], summary["reconnects"], summary["model_errors"]) == ({}, {}, {})


async def test_customer_only_and_transcripts_off(tmp_path: Path) -> None:
    config = {"audio": {"tracks": "Customer"}, "privacy": {"transcripts": "Off"}}
    async with Stage(tmp_path / "stage", config=config) as stage, Watch(stage) as watch:
        call = await start(stage, cut(tmp_path, "c2"))
        await eventually(lambda: watch.items(call), seconds=20)
        await eventually(lambda: watch.ended(call), seconds=20)
        (stream,) = await streams(stage, call)
        assert list(stream["tracks"]) == ["inbound"]
        assert await sessions(stage, "transcription") == []
        assert watch.messages(call, "transcript") == []


async def test_configuration_swap_and_secret_rotation(tmp_path: Path, short: Path) -> None:
    """A new prompt takes effect within a second for new calls; a bad file is refused and the old one stays; a new key is used."""
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:

        async def status() -> dict:
            return await stage.get(f"{stage.relay.private}/status")

        new = stage.config(prompts=[{"instructions": "Help.\nPrefix: Gladly."}])
        write_whole(stage.relay.config, new.to_json())
        began = asyncio.get_running_loop().time()
        await eventually(lambda: _equals(status, "configRevision", new.config_revision), seconds=5)
        assert asyncio.get_running_loop().time() - began < 1.0
        write_whole(stage.relay.config, '{"version": 1, "host": 7}')
        await eventually(lambda: _truthy(status, "configError"), seconds=5)
        told = await status()
        assert told["configRevision"] == new.config_revision
        assert "host" in told["configError"]
        assert "configuration refused" in stage.relay.child.log.read_text()
        call = await start(stage, short)
        (suggestion,) = await eventually(lambda: watch.items(call), seconds=20)
        assert suggestion["answer"].startswith("Gladly.")
        assert suggestion["revision"] == new.prompts[0].revision

        write_whole(stage.relay.secrets / names.SECRET_MODEL_KEY, "sk-not-valid")
        await eventually(lambda: _model_reason(status, "Refused"), seconds=10, what="the model's refusal in /status")
        write_whole(stage.relay.secrets / names.SECRET_MODEL_KEY, stage.model.key)
        await eventually(lambda: _model_reason(status, None), seconds=10, what="the model well again")


async def _equals(read: object, key: str, value: object) -> bool:
    return (await read())[key] == value  # type: ignore[operator]


async def _truthy(read: object, key: str) -> bool:
    return bool((await read()).get(key))  # type: ignore[operator]


async def _model_reason(read: object, reason: str | None) -> bool:
    return (await read())["model"].get("reason") == reason  # type: ignore[operator]


async def test_pings_disturb_no_call(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage", config={"limits": {"streamPingSeconds": 0.1}}) as stage, Watch(stage) as watch:
        call = await start(stage, cut(tmp_path, "c2"))
        assert await eventually(lambda: watch.items(call), seconds=20)
        assert "stream refused" not in stage.relay.child.log.read_text()


async def test_all_calls_take_a_new_prompt(tmp_path: Path) -> None:
    config = {"rollout": {"applyTo": "AllCalls"}}
    async with Stage(tmp_path / "stage", config=config) as stage, Watch(stage) as watch:
        call = await start(stage, cut(tmp_path, "c2", "c3"))
        (first,) = await eventually(lambda: watch.items(call), seconds=20)
        new = stage.config(prompts=[{"instructions": "Help.\nPrefix: Gladly."}])
        write_whole(stage.relay.config, new.to_json())
        await eventually(lambda: len(watch.items(call)) == 2, seconds=30, what="the second suggestion")
        second = watch.items(call)[1]
        assert not first["answer"].startswith("Gladly.")
        assert second["answer"].startswith("Gladly.")
        assert second["revision"] == new.prompts[0].revision != first["revision"]


async def test_a_canary_keeps_its_calls_until_it_is_withdrawn(tmp_path: Path) -> None:
    """A call stays with its prompt while another one is tried; the canary's call leaves it at its next turn once it is taken back."""
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:

        async def status() -> dict:
            return await stage.get(f"{stage.relay.private}/status")

        async def use(prompts: list[dict], **rollout: object) -> None:
            config = stage.config(prompts=prompts, rollout=rollout)
            write_whole(stage.relay.config, config.to_json())
            await eventually(lambda: _equals(status, "configRevision", config.config_revision), seconds=30)

        stable = stage.config().prompts[0]
        old, new = {"instructions": stable.instructions}, {"instructions": "Help.\nPrefix: Gladly.", "revision": "canary1"}
        recording = cut(tmp_path, "c2", "c4")
        before = await start(stage, recording)
        await eventually(lambda: watch.items(before), seconds=60, what="a suggestion by the stable prompt")
        await use([{**old, "weight": 0}, {**new, "weight": 100}], id="canary1.1")
        tried = await start(stage, recording)
        await eventually(lambda: watch.items(tried), seconds=60, what="a suggestion by the canary")
        counted = (await status())["rollout"]
        assert counted["id"] == "canary1.1"
        assert counted["prompts"]["canary1"]["calls"] == 1
        assert counted["prompts"]["canary1"]["turns"] >= 1
        await use([{**old, "weight": 100}], withdrawn=["canary1"])
        for call in (before, tried):
            await eventually(lambda call=call: watch.document(call)["state"] == "stopped", seconds=90, what="the call's end")
        assert {one["revision"] for one in watch.items(before)} == {stable.revision}
        answers = watch.items(tried)
        own = [one for one in answers if one["revision"] == "canary1"]
        assert answers[: len(own)] == own, "no turn goes back to what is withdrawn"
        assert own[0]["answer"].startswith("Gladly.")
        assert answers[-1]["revision"] == stable.revision
        assert not answers[-1]["answer"].startswith("Gladly.")


async def test_a_refused_key_ends_the_calls_assist_and_says_why(tmp_path: Path, short: Path) -> None:
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        write_whole(stage.relay.secrets / names.SECRET_MODEL_KEY, "sk-not-valid")
        await eventually(lambda: _model_reason(lambda: stage.get(f"{stage.relay.private}/status"), "Refused"), seconds=10)
        call = await start(stage, short)
        await eventually(lambda: ("failed", "ModelRefused") in watch.states(call), seconds=15, what="the reason in the Map")
        await eventually(lambda: watch.document(call)["state"] == "lost", seconds=10)
        await asyncio.sleep(2)
        assert watch.states(call)[-1] == ("failed", "ModelRefused"), "the reason stays on the screen"
        write_whole(stage.relay.secrets / names.SECRET_MODEL_KEY, stage.model.key)
        await eventually(lambda: _model_reason(lambda: stage.get(f"{stage.relay.private}/status"), None), seconds=10)
        status, answer = await stage.act("start", call)
        assert (status, answer["generation"]) == (200, 2), "a new start works once it is mended"


async def test_full_relay_refuses_before_the_upgrade_and_the_stream_starts_elsewhere(tmp_path: Path) -> None:
    recording = cut(tmp_path, "c2", "c3")
    async with Stage(tmp_path / "stage", config={"limits": {"maxCalls": 1}}) as stage, Watch(stage) as watch:
        first = await start(stage, recording)
        await eventually(lambda: watch.document(first)["state"] == "live", seconds=10)
        ready, _ = await stage.send("GET", f"{stage.relay.private}/readyz")
        assert ready == 503
        second = await start(stage, recording)
        await eventually(lambda: watch.document(second)["state"] == "lost", seconds=60, what="the second call given up")
        assert watch.document(second)["restarts"] == 4, "started again four times at most"
        refused = await streams(stage, second)
        assert [stream["error"]["code"] for stream in refused] == [31920] * 5
        await eventually(lambda: watch.states(second)[-1][0] == "lost", seconds=10, what="the agent told")
        metrics = await stage.metrics()
        assert metrics['upgrades_total{outcome="full"}'] == 5
        assert watch.document(first)["state"] == "live", "the first call goes on"


async def test_pause_reaches_the_relay_with_the_audio_from_any_other(tmp_path: Path) -> None:
    """While paused no byte is heard; the request may come to another relay."""
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        other = await stage.start_relay()
        call = await start(stage, cut(tmp_path, "c2", "c4"), relay=other)
        await eventually(lambda: "live" in [state for state, *_ in watch.states(call)], seconds=10)
        status, _ = await stage.act("pause", call, other)
        assert status == 200
        (heard,) = await sessions(stage, "realtime")
        await asyncio.sleep(2)
        (later,) = await sessions(stage, "realtime")
        assert later["bytesHeard"] - heard["bytesHeard"] <= 10 * FRAME_BYTES, "what was on its way, and nothing more"
        (still,) = await sessions(stage, "realtime")
        assert still["bytesHeard"] == later["bytesHeard"]
        await eventually(lambda: watch.states(call)[-1][0] == "paused", seconds=5)
        assert (await stage.act("resume", call, other))[0] == 200
        await eventually(lambda: watch.states(call)[-1][0] == "live", seconds=5)
        before = later["bytesHeard"]
        await asyncio.sleep(1)
        (after,) = await sessions(stage, "realtime")
        assert after["bytesHeard"] > before


async def test_stop_is_idempotent_and_a_second_start_is_a_new_generation(tmp_path: Path) -> None:
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        call = await start(stage, cut(tmp_path, "c2", "c4"))
        await eventually(lambda: watch.document(call)["state"] == "live", seconds=10)
        for _ in range(2):
            status, answer = await stage.act("stop", call)
            assert (status, answer["state"]) == (200, "stopped")
        await eventually(lambda: watch.states(call)[-1][0] == "stopped", seconds=10)
        status, answer = await stage.act("start", call)
        assert (status, answer["generation"]) == (200, 2)
        await eventually(lambda: watch.document(call)["state"] == "live" and watch.document(call)["generation"] == 2, seconds=10)
        assert [stream["name"] for stream in await streams(stage, call)] == [f"assist_{call['callSid']}", f"assist_{call['callSid']}_2"]


async def test_twenty_starts_on_three_relays_make_one_stream(tmp_path: Path, short: Path) -> None:
    async with Stage(tmp_path / "stage") as stage, Watch(stage) as watch:
        relays = [stage.relay, await stage.start_relay(), await stage.start_relay()]
        call = await stage.new_call(short, hangUp="recording")
        answers = await asyncio.gather(*(stage.act("start", call, relays[n % 3]) for n in range(20)))
        assert {status for status, _ in answers} == {200}
        assert {answer["generation"] for _, answer in answers} == {1}
        await eventually(lambda: watch.document(call)["state"] == "live", seconds=10)
        assert len(await streams(stage, call)) == 1


async def test_drain(tmp_path: Path, short: Path) -> None:
    """SIGTERM: unready at once, a new call is served during the grace, live calls end by themselves, suggestions are stored, exit 0."""
    config = {"limits": {"drainGraceSeconds": 4, "drainTimeoutSeconds": 60}}
    async with Stage(tmp_path / "stage", config=config) as stage, Watch(stage) as watch:
        first = await start(stage, short)
        await eventually(lambda: watch.document(first)["state"] == "live", seconds=10)
        relay = stage.relay
        relay.child.signal(signal.SIGTERM)
        await eventually(lambda: _is_unready(stage), seconds=2)
        second = await start(stage, short)
        await eventually(lambda: watch.document(second)["state"] == "live", seconds=10)
        await eventually(lambda: watch.items(first) and watch.items(second), seconds=20, what="both suggestions")
        assert (await stage.metrics())["draining"] == 1, "metrics answer until the end"
        assert await asyncio.wait_for(relay.child.wait(), 40) == 0
        assert watch.document(first)["state"] == watch.document(second)["state"] == "stopped"
        log = [json.loads(line) for line in relay.child.log.read_text().splitlines()]
        assert [entry["event"] for entry in log][-1] == "relay down"


async def _is_unready(stage: Stage) -> bool:
    return (await stage.send("GET", f"{stage.relay.private}/readyz"))[0] == 503


async def test_drain_timeout_ends_live_calls_in_order(tmp_path: Path) -> None:
    config = {"limits": {"drainGraceSeconds": 0, "drainTimeoutSeconds": 1}}
    async with Stage(tmp_path / "stage", config=config) as stage, Watch(stage) as watch:
        call = await start(stage, cut(tmp_path, "c2", "c4"))
        await eventually(lambda: watch.document(call)["state"] == "live", seconds=10)
        stage.relay.child.signal(signal.SIGTERM)
        assert await asyncio.wait_for(stage.relay.child.wait(), 30) == 0
        await eventually(lambda: watch.document(call)["state"] == "lost", seconds=5)
        assert ("lost", "RelayStopping") in watch.states(call)


@pytest.mark.parametrize(
    ("provider", "path", "header", "arguments"),
    [
        ("AzureOpenAI", "", "api-key", ()),
        ("Compatible", "/speech/realtime", "X-API-Key", ("--compatible-path", "/speech/realtime", "--compatible-header", "X-API-Key")),
    ],
)
async def test_other_providers(tmp_path: Path, short: Path, provider: str, path: str, header: str, arguments: tuple[str, ...]) -> None:
    async with Stage(tmp_path / "stage", model_arguments=arguments) as stage, Watch(stage) as watch:
        model = {"provider": provider, "url": stage.model_url + path, "authHeader": header}
        relay = await stage.start_relay(config=stage.config(model=model))
        write_whole(stage.relay.config, stage.config(model=model).to_json())
        await eventually(lambda: _model_reason(lambda: stage.get(f"{relay.private}/status"), None), seconds=10, what="the model well")
        await eventually(lambda: _same_revision(stage, relay), seconds=5)
        call = await start(stage, short)
        assert await eventually(lambda: watch.items(call), seconds=20)
        (session,) = await sessions(stage, "realtime")
        assert header.lower() in {name.lower() for name in session["headers"]}


async def _same_revision(stage: Stage, relay: object) -> bool:
    wanted = (await stage.get(f"{relay.private}/status"))["configRevision"]  # type: ignore[attr-defined]
    return bool((await stage.get(f"{stage.relay.private}/status"))["configRevision"] == wanted)
