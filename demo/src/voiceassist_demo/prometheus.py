"""A Prometheus of the demo's own: started where the program is there, told what to scrape, and asked what it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from .errors import DemoError

READY_SECONDS = 120.0
ASK_SECONDS = 10.0
END_SECONDS = 10.0
PROGRAM = "prometheus"
Targets = Mapping[str, Sequence[str]]
"""Addresses (`host:port`) by job."""


def available() -> bool:
    """Whether the program is on this machine."""
    return shutil.which(PROGRAM) is not None


def configuration(rules: Path | None, targets: Path, interval: float) -> str:
    """Its configuration (YAML, as JSON): every job from one file, rules from another. `interval` is seconds."""
    pause = f"{round(interval * 1000)}ms"
    return json.dumps(
        {
            "global": {"scrape_interval": pause, "scrape_timeout": pause, "evaluation_interval": pause},
            "rule_files": [str(rules)] if rules else [],
            "scrape_configs": [
                {
                    "job_name": "voiceassist",
                    "honor_labels": True,
                    "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
                }
            ],
        }
    )


class Prometheus:
    """One process on loopback, with its data in a folder that goes with it."""

    def __init__(self, folder: Path, port: int, rules: str = "", interval: float = 1.0) -> None:
        self._folder, self._interval, self._rules = folder, interval, rules
        self._port = port
        self.url = f"http://127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Prometheus:
        self._folder.mkdir(parents=True, exist_ok=True)
        rules = self._folder / "rules.yaml" if self._rules else None
        if rules:
            rules.write_text(self._rules)
        self.scrape({})
        config = self._folder / "prometheus.yaml"
        config.write_text(configuration(rules, self._targets, self._interval))
        log = (self._folder / "prometheus.log").open("ab")
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_SECONDS))
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(PROGRAM, "--config.file", str(config), "--storage.tsdb.path", str(self._folder / "data")),
                *("--web.listen-address", f"127.0.0.1:{self._port}", "--storage.tsdb.retention.time", "1d", "--log.level", "warn"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            await self._ready()
        except BaseException:
            await self._end()
            raise
        finally:
            log.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def _targets(self) -> Path:
        return self._folder / "targets.json"

    def scrape(self, targets: Targets) -> None:
        """What is scraped from now on; noticed within a second."""
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps([{"targets": list(addresses), "labels": {"job": job}} for job, addresses in targets.items()]))
        new.replace(self._targets)

    async def _ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while True:
            assert self._process is not None  # noqa: S101 - started just before
            if self._process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                words = (self._folder / "prometheus.log").read_text(errors="replace").strip().splitlines()
                raise DemoError(f"Prometheus did not start: {words[-1] if words else 'it said nothing'}")
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._http.get(f"{self.url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)

    async def _end(self) -> None:
        try:
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(signal.SIGTERM)
                try:
                    async with asyncio.timeout(END_SECONDS):
                        await self._process.wait()
                except TimeoutError:
                    self._process.kill()
                    await self._process.wait()
        finally:
            await self._http.close()

    async def _ask(self, path: str, **parameters: str) -> Any:
        async with self._http.get(f"{self.url}/api/v1/{path}", params=parameters) as answer:
            body = await answer.json()
        if body["status"] != "success":
            raise DemoError(f"Prometheus: {body.get('error', body)}")
        return body["data"]

    async def query(self, promql: str) -> list[dict[str, Any]]:
        """The result of an instant query: labels under `metric`, and `value` as a time and a text."""
        return list((await self._ask("query", query=promql))["result"])

    async def at(self, promql: str, moment: float) -> list[dict[str, Any]]:
        """The result of an instant query at a moment: seconds since the epoch."""
        return list((await self._ask("query", query=promql, time=f"{moment:.3f}"))["result"])

    async def series(self, promql: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """The result of a range query: labels under `metric`, and `values`. Times are seconds since the epoch."""
        data = await self._ask("query_range", query=promql, start=f"{begin:.3f}", end=f"{end:.3f}", step=f"{step:g}")
        return list(data["result"])

    async def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing: `labels`, `annotations`, `state`."""
        return list((await self._ask("alerts"))["alerts"])
