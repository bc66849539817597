"""What is done to a cluster while calls go on, each a row of the table: what is planned, and what is not."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cluster.faults_rig import FaultScene
from cluster.lab import clock, memory_limit
from cluster.lab.full_disk import full
from cluster.lab.images import distribution_image, image_archive
from cluster.lab.node_loss import vanished
from cluster.moves_rig import kill, relay_processes, until
from cluster.scene import GOES, STAYS, on
from cluster.standing import Json, fetch, status_urls, tls_secret
from cluster.waiting import eventually as wait_until

AWAY_SECONDS = 8.0
"""For which a part that was killed is away: as long as a kubelet waits before it starts a container again, or a little less."""
SKEW_SECONDS = 60


async def spread(scene: FaultScene) -> None:
    """One relay on each node; calls move for it."""
    await scene.are_ready(2)
    for node in (GOES, STAYS):
        crowd = on(node, await asyncio.to_thread(scene.cluster.ready))
        if len(crowd) > 1:
            name = crowd[0]["metadata"]["name"]
            await scene.kubectl("cordon", node)
            try:
                await scene.kubectl("delete", "pod", name, "-n", scene.cluster.place.namespace)
                await scene.are_ready(2, name)
            finally:
                await scene.kubectl("uncordon", node)


# planned


async def roll_out(scene: FaultScene) -> None:
    async with scene.row("roll-out of the relays"):
        before = await asyncio.to_thread(scene.names)
        await scene.change(podAnnotations={"roll-out": secrets.token_hex(4)})
        await scene.are_ready(2, *before)


async def scale_by_hand(scene: FaultScene) -> None:
    async with scene.row("`kubectl scale` from two relays to three"):
        await scene.kubectl("scale", "voiceassist/support", "--replicas=3", "-n", scene.cluster.place.namespace)
        await scene.are_ready(3)
    async with scene.row("`kubectl scale` back to two"):
        await scene.kubectl("scale", "voiceassist/support", "--replicas=2", "-n", scene.cluster.place.namespace)
        await scene.are_ready(2)


async def drain(scene: FaultScene) -> None:
    async with scene.row("`kubectl drain` of one of two nodes"):
        await scene.kubectl("drain", GOES, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
        await scene.are_ready(2, node=STAYS)
    await scene.kubectl("uncordon", GOES)


async def _put_secret(scene: FaultScene, name: str, **data: str) -> None:
    """Writes a Secret, and waits until every relay says that it reads it."""
    namespace, lab = scene.cluster.place.namespace, scene.lab

    def versions() -> dict[str, str]:
        return {pod: str(fetch(url).get("secretsVersion")) for pod, url in status_urls(lab, namespace).items()}

    before = await asyncio.to_thread(versions)
    held = await asyncio.to_thread(lab.get, "secret", name, "-n", namespace)
    fresh = {key: value for key, value in held.items() if key in {"apiVersion", "kind", "type"}}
    metadata = {key: held["metadata"][key] for key in ("name", "labels") if key in held["metadata"]}
    # Replaced, so that a key that is left out is gone.
    await asyncio.to_thread(
        lab.kubectl, "replace", "-n", namespace, "-f", "-", stdin=json.dumps({**fresh, "metadata": metadata, "stringData": data})
    )
    await until(f"relays read {name}", lambda: all(version != before.get(pod) for pod, version in versions().items()))


async def rotate_secrets(scene: FaultScene) -> None:
    """As the vendors have it done: the new one beside the old one first, and the old one goes when everybody has the new one."""
    place, lab = scene.cluster.place, scene.lab
    new = {one: f"{one}-{secrets.token_hex(12)}" for one in ("token", "secret", "model")}
    key = f"SK{secrets.token_hex(16)}"

    async def twilio(**settings: Any) -> None:
        status, told = await scene.cluster.send("PUT", f"{place.twilio}/_sim/settings", settings)
        assert status == 200, told

    async def model(*keys: str) -> None:
        status, told = await scene.cluster.send("PUT", f"{place.model}/_sim/behaviour", {"apiKeys": list(keys)})
        assert status == 200, told

    held = await asyncio.to_thread(_decoded, scene, "sandbox-twilio")
    old_model = (await asyncio.to_thread(_decoded, scene, "sandbox-openai"))["apiKey"]
    old_token, old_key, old_secret = held["authToken"], held["apiKeySid"], held["apiKeySecret"]
    async with scene.row("Twilio's auth token rotated: Secret, then Twilio, then the old one out"):
        await twilio(authTokenSecondary=new["token"])
        both = {"authToken": new["token"], "authTokenSecondary": old_token, "apiKeySid": old_key, "apiKeySecret": old_secret}
        await _put_secret(scene, "sandbox-twilio", **both)
        await twilio(authToken=new["token"], authTokenSecondary=None)
        await _put_secret(scene, "sandbox-twilio", authToken=new["token"], apiKeySid=old_key, apiKeySecret=old_secret)
    async with scene.row("Twilio's API key and the model's key rotated"):
        await twilio(apiKeys={key: new["secret"]})
        await model(old_model, new["model"])
        await _put_secret(scene, "sandbox-twilio", authToken=new["token"], apiKeySid=key, apiKeySecret=new["secret"])
        await _put_secret(scene, "sandbox-openai", apiKey=new["model"])
        await twilio(apiKeys={old_key: None})
        await model(new["model"])
        await _one_more_call(scene)
    async with scene.row("the Ingress's certificate rotated"):
        pair = await asyncio.to_thread(lab.another_ingress_certificate)
        body = tls_secret(lab) | {"stringData": {"tls.crt": pair.certificate.read_text(), "tls.key": pair.key.read_text()}}
        await asyncio.to_thread(lambda: lab.apply(body, namespace=place.namespace))
        await _one_more_call(scene)


def _decoded(scene: FaultScene, name: str) -> dict[str, str]:
    held = scene.lab.get("secret", name, "-n", scene.cluster.place.namespace)["data"]
    return {key: base64.b64decode(value).decode() for key, value in held.items()}


async def _one_more_call(scene: FaultScene) -> None:
    """A call that begins now gets a suggestion: with the keys as they are."""
    call = await scene.cluster.start(scene.spare)
    try:
        await until("a suggestion in a new call", lambda: scene.watch.items(call), 60)
    finally:
        await scene.cluster.send("POST", f"{scene.cluster.place.twilio}/_sim/calls/{call['callSid']}/complete", {})
        scene.also.append(call)


# the cluster's own parts


@asynccontextmanager
async def _daemon_away(scene: FaultScene, name: str, seconds: float) -> AsyncIterator[float]:
    """One of the cluster's programs is killed, and is started again after so many seconds; gives the moment of the kill."""
    daemon = scene.lab.daemon(name)
    at = time.time()
    await asyncio.to_thread(daemon.stop, signal.SIGKILL)
    try:
        yield at
        await asyncio.sleep(seconds)
    finally:
        daemon.start()


async def kill_operator(scene: FaultScene) -> None:
    def pods() -> list[Json]:
        found: list[Json] = scene.lab.get("pods", "-A", "-l", "app.kubernetes.io/name=voiceassist-operator")["items"]
        return found

    def restarts(found: list[Json]) -> int:
        return sum(one["restartCount"] for pod in found for one in pod["status"].get("containerStatuses", []) if one["ready"])

    async with scene.row("SIGKILL of the operator"):
        before = await asyncio.to_thread(pods)
        for pod in before:
            await asyncio.to_thread(kill, pod)
        count = restarts(before)
        await until("the operator is ready again", lambda: restarts(pods()) > count)


async def kill_api_server(scene: FaultScene) -> None:
    async with scene.row(f"SIGKILL of the API server, away for {AWAY_SECONDS:.0f} s"):
        async with _daemon_away(scene, "apiserver", AWAY_SECONDS):
            pass
        await asyncio.to_thread(wait_until, "the API server", lambda: scene.lab.kubectl("get", "--raw", "/readyz") == "ok")


async def kill_dns(scene: FaultScene) -> None:
    async with scene.row(f"SIGKILL of the DNS server, away for {AWAY_SECONDS:.0f} s"), _daemon_away(scene, "coredns", AWAY_SECONDS):
        pass


async def kill_kubelet(scene: FaultScene) -> None:
    async with scene.row(f"SIGKILL of a kubelet, away for {AWAY_SECONDS:.0f} s"), _daemon_away(scene, "kubelet1", AWAY_SECONDS):
        pass


# not planned


async def kill_relay(scene: FaultScene, node: str = GOES, what: str = "SIGKILL of one of two relays") -> None:
    await spread(scene)
    async with scene.row(what, 5.0) as row:
        [doomed] = on(node, await asyncio.to_thread(scene.cluster.ready))
        hit, since = await scene.at_relay(doomed), await scene.generations()
        at = time.time()
        await asyncio.to_thread(kill, doomed)
        await scene.struck(row, hit, since, at)
    await scene.are_ready(2)


async def kill_ingress(scene: FaultScene) -> None:
    away = 3.0
    async with scene.row(f"SIGKILL of the ingress controller, away for {away:.0f} s", away + 5.0) as row:
        since = await scene.generations()
        async with _daemon_away(scene, "traefik", away) as at:
            pass
        await scene.struck(row, scene.calls, since, at)


async def out_of_memory(scene: FaultScene) -> None:
    await spread(scene)
    async with scene.row("a relay at its memory limit: the kernel's OOM kill", 5.0) as row:
        [doomed] = on(GOES, await asyncio.to_thread(scene.cluster.ready))
        hit, since = await scene.at_relay(doomed), await scene.generations()
        struck: list[float] = []
        await asyncio.to_thread(memory_limit.reach, relay_processes(doomed)[0], lambda: struck.append(time.time()))
        await scene.struck(row, hit, since, struck[0])
        await until("its restart", lambda: _last_end(scene, doomed))
        how = await asyncio.to_thread(_last_end, scene, doomed)
        assert how["exitCode"] == 128 + signal.SIGKILL, how  # on a busy machine the reason is not always OOMKilled
    await scene.are_ready(2)


def _last_end(scene: FaultScene, pod: Json) -> Json:
    found = scene.lab.get("pod", pod["metadata"]["name"], "-n", scene.cluster.place.namespace)
    ends = [one.get("lastState", {}).get("terminated") or one["state"].get("terminated") for one in found["status"]["containerStatuses"]]
    return next((end for end in ends if end), {})


async def full_disk(scene: FaultScene) -> None:
    node = next(node for node in scene.lab.nodes if node.name == GOES)
    namespace = scene.cluster.place.namespace

    def evicted(name: str) -> bool:
        found = scene.lab.get("pod", name, "-n", namespace)["status"]
        return (found["phase"], found.get("reason")) == ("Failed", "Evicted")

    await spread(scene)
    async with scene.row("a node's disk is full: the kubelet evicts its pods", 10.0) as row:
        [doomed] = on(GOES, await asyncio.to_thread(scene.cluster.ready))
        hit, since = await scene.at_relay(doomed), await scene.generations()
        with full(scene.lab, node):
            await until("streams that end", lambda: any(one["at"] > row.began for call in hit for one in _ends(scene, call)))
            at = min(one["at"] for call in hit for one in _ends(scene, call) if one["at"] > row.began)
            await scene.struck(row, hit, since, at)
            await until("the eviction", lambda: evicted(doomed["metadata"]["name"]))
    await scene.kubectl("delete", "pod", doomed["metadata"]["name"], "-n", namespace)
    await scene.are_ready(2)


def _ends(scene: FaultScene, call: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        dict(one) for one in scene.watch.events if one["type"] == "stream" and one["event"] == "ended" and one["callSid"] == call["callSid"]
    ]


async def another_clock(scene: FaultScene) -> None:
    """The relays of one node run with a clock that is a minute ahead."""
    lab, node = scene.lab, next(node for node in scene.lab.nodes if node.name == GOES)
    true = image_archive(distribution_image("relay"))
    wrong = clock.skewed(true, SKEW_SECONDS, scene.cluster.folder / "skewed.tar")
    await asyncio.to_thread(lambda: lab.load(wrong, into=[node]))
    try:
        async with scene.row(f"roll-out to relays of which one's clock is {SKEW_SECONDS} s ahead"):
            before = await asyncio.to_thread(scene.names)
            await scene.change(podAnnotations={"roll-out": "clock"})
            await scene.are_ready(2, *before)
            await spread(scene)
            [ahead] = on(GOES, await asyncio.to_thread(scene.cluster.ready))
            told = [
                "exec",
                ahead["metadata"]["name"],
                "-n",
                scene.cluster.place.namespace,
                "--",
                "python3",
                "-c",
                "import time; print(time.time())",
            ]
            seen = float(await asyncio.to_thread(lab.kubectl, *told))
            assert abs(seen - time.time() - SKEW_SECONDS) < 5, seen
        await kill_relay(scene, STAYS, f"SIGKILL of the relay whose clock is right, beside one {SKEW_SECONDS} s ahead")
    finally:
        await asyncio.to_thread(lambda: lab.load(true, into=[node]))
    await roll_out(scene)


async def lose_node(scene: FaultScene) -> None:
    """Last, as what was there is there again only at the end."""
    await spread(scene)
    async with scene.row("a node that vanishes", 20.0) as row:
        [doomed] = on(GOES, await asyncio.to_thread(scene.cluster.ready))
        hit, since = await scene.at_relay(doomed), await scene.generations()
        at = time.time()
        with vanished(scene.lab, next(node for node in scene.lab.nodes if node.name == GOES)):
            await scene.struck(row, hit, since, at)
