"""What a proxy's reload costs: it happens when any Ingress of the cluster changes (issue 15, numbers 13 and 22)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from integration.end_to_end_rig import Watch, start
from integration.faults_rig import asking
from proxies.controllers import UPGRADED, haproxy, nginx
from proxies.proxies import Proxies, Proxy
from support.eventually import eventually
from voiceassist_demo.stage import RelayProcess, Stage

GOES_ON = 3.0
"""Seconds for which streams go on after a reload: 240 s at ingress-nginx, 10 min at haproxy-ingress, 30 min at haproxytech."""


class ProxiedStage(Stage):
    """A stage on which Twilio reaches the first relay through a proxy."""

    def __init__(self, folder: Path, proxies: Proxies, kind: str, **more: Any) -> None:
        super().__init__(folder, **more)
        self._proxies, self._kind = proxies, kind
        self.proxy: Proxy

    async def start_relay(self, *, port: int = 0, **more: Any) -> RelayProcess:
        relay = await super().start_relay(**more)
        if port:
            started = {
                "nginx": lambda: self._proxies.nginx(nginx(relay.port, *UPGRADED, shutdown=f"{GOES_ON:g}s"), port),
                "haproxy": lambda: self._proxies.haproxy(haproxy(relay.port, stop=f"{GOES_ON:g}s", times={"tunnel": 3600}), port),
            }
            self.proxy = await started[self._kind]()
        return relay


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
async def test_a_reload_ends_streams_after_its_time_out_and_they_are_started_again(kind: str, tmp_path: Path) -> None:
    config = {"audio": {"tracks": "Customer"}}
    async with (
        Proxies(tmp_path / "proxies") as proxies,
        ProxiedStage(tmp_path / "stage", proxies, kind, config=config) as stage,
        Watch(stage) as watch,
    ):
        call = await start(stage, asking(tmp_path, 180), hangUp=None)
        await eventually(lambda: watch.items(call), seconds=60, what="a suggestion")
        stage.proxy.reload()
        reloaded = time.monotonic()
        await eventually(lambda: ("reconnecting", "StreamLost") in watch.states(call), seconds=60, what="the agent told")
        assert time.monotonic() - reloaded > GOES_ON - 0.5, "it was not the reload that ended the stream"
        await eventually(lambda: any(item["id"].startswith("g2-") for item in watch.items(call)), seconds=60, what="the second stream's")
        await eventually(lambda: watch.states(call)[-1][0] == "live", what="the agent sees that it goes on")
        assert "lost" not in [state for state, _ in watch.states(call)], "there is nothing to do for the agent"
