"""Floods beside ordinary calls: every frame of the others arrives, in time; memory is bounded; the counters tell.

One relay process and ten calls for all tests, which run one after the other. docs/reliability.md has the bounds and the figures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from load.flood import attacks
from load.flood.rig import MB, FloodRig, Watched, flooded, unharmed
from load.flood.wire import Stream
from voiceassist_relay.media.admission import UPGRADES
from voiceassist_relay.realtime.core.audio_time import AHEAD_SECONDS, CATCHING_UP
from voiceassist_relay.server.descriptors import raise_limit
from voiceassist_relay.server.limits import HttpLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FloodRig]:
    raise_limit()
    async with flooded(tmp_path_factory.mktemp("flood")) as found:
        await asyncio.sleep(1)
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(rig: FloodRig) -> Watched:
    return await rig.quiet(3)


def say(what: str, watched: Watched) -> None:
    print(f"\n{what}: {watched}")


async def test_a_stream_at_fifty_times_real_time(rig: FloodRig, quiet: Watched) -> None:
    """It is cut down to thirty seconds at once and 1.25 times real time; what is dropped is counted."""
    sent, seconds = 0, 3.0
    dropped = await rig.count("queue_drops_total", queue="too_fast")

    async def flood() -> None:
        nonlocal sent
        sent = await attacks.hasty_stream(rig.port, Stream(rig.account), 50, seconds)
        await until_over(rig)

    loud = await rig.watch(flood)
    say("50 times real time", loud)
    unharmed(quiet, loud)
    heard, dropped = loud.seen["others"], await rig.count("queue_drops_total", queue="too_fast") - dropped
    assert heard + dropped == sent == 7500
    assert heard <= AHEAD_SECONDS * 50 + 3 * seconds * 50 * CATCHING_UP + 100
    assert loud.peak - loud.before < 12 * MB


async def until_over(rig: FloodRig) -> None:
    """Waits until only the ordinary calls are left."""
    async with asyncio.timeout(30):
        while await rig.count("active_calls") > 10:
            await asyncio.sleep(0.1)


async def test_ten_thousand_upgrades_without_a_signature(rig: FloodRig, quiet: Watched) -> None:
    """As fast as they are answered: each gets 403; every true upgrade among them is let in; the log does not grow with them."""
    honest: tuple[int, int] = (0, 0)
    logged = rig.stage.relay.child.log.stat().st_size

    async def flood() -> None:
        nonlocal honest
        over = asyncio.Event()
        true = asyncio.create_task(attacks.true_ones(rig.port, lambda: Stream(rig.account), 0.1, over))
        unsigned = Stream(rig.account).upgrade(signed=False)
        answers = await attacks.upgrades(rig.port, lambda _: unsigned, 10_000, 50, (403,))
        over.set()
        honest = await true
        assert answers == {403: 10_000}

    loud = await rig.watch(flood)
    say("10,000 upgrades without signature", loud)
    unharmed(quiet, loud)
    assert honest[0] == honest[1] > 5
    assert await rig.count("upgrades_total", outcome="no_signature") == 10_000
    assert await rig.count("upgrades_total", outcome="rate") == 0
    assert loud.peak - loud.before < 16 * MB
    assert rig.stage.relay.child.log.stat().st_size - logged < 100_000


async def test_forged_signatures(rig: FloodRig, quiet: Watched) -> None:
    """Their check costs more: at most 500 a second are checked (1000 at once), the others get 429."""
    seconds = 0.0

    async def flood() -> None:
        nonlocal seconds
        forged, began = Stream(rig.account).upgrade(signature="x" * 28), time.monotonic()
        answers = await attacks.upgrades(rig.port, lambda _: forged, 4000, 50, (403, 429))
        seconds = time.monotonic() - began
        assert sum(answers.values()) == 4000

    loud = await rig.watch(flood)
    say("4,000 upgrades with forged signatures", loud)
    unharmed(quiet, loud)
    checked, turned_away = [await rig.count("upgrades_total", outcome=outcome) for outcome in ("bad_signature", "rate")]
    assert checked + turned_away == 4000
    assert checked <= UPGRADES.burst + UPGRADES.per_second * seconds + 1
    assert loud.peak - loud.before < 16 * MB


async def test_clients_that_never_read(rig: FloodRig, quiet: Watched) -> None:
    """Pings at full speed, no pong is read: the stream is refused after its first 1000 frames of that kind, and the others hear nothing.

    What comes while the close is under way (5 s) is read and thrown away.
    """
    lost = await rig.count("streams_lost_total", reason="protocol")

    async def flood() -> None:
        sent = await asyncio.gather(*(attacks.never_reads(rig.port, Stream(rig.account), 4096 * MB) for _ in range(4)))
        assert all(0 < count < 4096 * MB for count in sent), sent
        await until_over(rig)

    loud = await rig.watch(flood)
    say("4 clients that never read", loud)
    unharmed(quiet, loud)
    assert await rig.count("streams_lost_total", reason="protocol") == lost + 4
    assert await rig.count("upgrades_total", outcome="too_many") == 4
    assert loud.peak - loud.before < 12 * MB


async def test_messages_of_one_mebibyte(rig: FloodRig, quiet: Watched) -> None:
    """In one frame, in sixteen, in a thousand: closed with 1009 as soon as it is known to be too much."""
    lost = await rig.count("streams_lost_total", reason="protocol")

    async def flood() -> None:
        codes = []
        for _ in range(10):  # three at a time: a call's start has a price of its own
            codes += await asyncio.gather(*(attacks.big_message(rig.port, Stream(rig.account), count) for count in (1, 16, 1024)))
        assert set(codes) <= {0, 1009}  # 0: the close was lost, since the relay had gone while bytes were still coming
        assert codes.count(1009) >= 1
        await until_over(rig)

    loud = await rig.watch(flood)
    say("30 messages of 1 MiB", loud)
    unharmed(quiet, loud)
    assert await rig.count("upgrades_total", outcome="too_big") == 30
    assert await rig.count("streams_lost_total", reason="protocol") == lost + 30
    assert loud.peak - loud.before < 30 * (3 * 65_536) + 12 * MB


async def test_connections_that_are_only_held_open(rig: FloodRig, quiet: Watched) -> None:
    """Silent, half-sent heads, half-sent bodies, bytes that drip: more than there is room for; a true upgrade is let in at once."""
    most, held = HttpLimits().connections, list[attacks.Connection]()
    head = Stream(rig.account).upgrade()
    kinds = [b"", head[: len(head) // 2], b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"x" * 30_000]

    async def flood() -> None:
        held.extend(await attacks.held_open(rig.port, (kinds[n % 3] for n in range(most + 200))))
        slow = [asyncio.create_task(attacks.drip(writer, head, 0.05)) for _, writer in held[-30::3]]
        for _ in range(5):
            _, writer = await attacks.let_in(rig.port, Stream(rig.account), start=False)
            writer.close()
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    loud = await rig.watch(flood)
    say(f"{most + 200} connections held open", loud)
    unharmed(quiet, loud)
    displaced = await rig.count("http_refused_total", reason="displaced")
    late = await rig.count("http_refused_total", reason="head_timeout") + await rig.count("http_refused_total", reason="body_timeout")
    assert displaced + late >= 200
    assert await rig.count("http_refused_total", reason="connections") == 0
    assert loud.peak - loud.before < most * 64 * 1024
    for _, writer in held:
        writer.transport.abort()
