"""Asks relay pods for their status on the private port; an answer stands for a while. Secrets never travel here.

Relays may be of another version: fields that this one does not know are passed over and counted, and an answer that cannot be read at
all is not taken for silence.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import structlog

from voiceassist_crds.base import undeclared
from voiceassist_crds.endpoint_report import ENDPOINT_HEADER, EndpointReport
from voiceassist_crds.errors import ContractError
from voiceassist_crds.limits_word import LimitsWord
from voiceassist_crds.names import LIMITS_HEADER, PLACES_HEADER, PRIVATE_PORT, RELAYS_HEADER
from voiceassist_crds.status import RelayStatus

from ..http_body import read_bounded
from ..metrics import OperatorMetrics
from ..policy.observed import RelayAnswer
from ..policy.spending import Others

SILENT_SECONDS = 10.0
"""How long a relay's last answer stands after the first question that it did not answer: one lost answer is no news."""
FORGOTTEN_SECONDS = 300.0
"""Relays that were not asked for so long are gone."""
TIMEOUT_SECONDS = 1.5
AT_ONCE = 50
MOST_TOLD = 200
"""Relays whose addresses the others are told."""
MAX_BYTES = 64 * 1024
UNREADABLE = "(unreadable)"

log = structlog.get_logger("voiceassist.relays")


@dataclass(slots=True)
class _Answered:
    """A relay's last status."""

    status: RelayStatus
    asked_at: float
    body: bytes = b""
    """What it was read from: the same again says the same."""
    silent_since: float | None = None
    """When it did not answer for the first time since."""


def places(status: RelayStatus) -> int:
    """How many more calls a relay takes."""
    return max(0, status.max_calls - status.active_calls) if status.ready and not status.draining else 0


class RelayPoller:
    """One pool of connections for all pods."""

    def __init__(self, http: aiohttp.ClientSession, metrics: OperatorMetrics, port: int = PRIVATE_PORT) -> None:
        self._http, self._metrics, self._port = http, metrics, port
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._answers: dict[tuple[str, str], _Answered] = {}
        self._swept_at = time.monotonic()
        self._unknown: dict[tuple[str, str], tuple[str, ...]] = {}
        """What was not known in a pod's last answer: each is counted and logged once."""

    async def ask_all(
        self, pods: Sequence[tuple[str, str]], endpoint: EndpointReport | None = None, others: Others | None = None
    ) -> dict[str, RelayAnswer]:
        """Returns the answer of each pod, given as name and address; those without an address are not asked.

        `endpoint` is what the relays are told of their public address, `others` what they are told of each other where they share limits.
        """
        self._sweep(time.monotonic())
        asked = [(pod, ip) for pod, ip in pods if ip]
        known = {key: self._answers[key] for key in asked if key in self._answers}
        free = {key: places(last.status) for key, last in known.items() if last.silent_since is None}
        elsewhere = {key: sum(free.values()) - free.get(key, 0) if known else None for key in asked}
        relays = ",".join(sorted(self._address(ip) for _, ip in free)[:MOST_TOLD]) if known else None
        last = {key: known[key].status if key in known else None for key in asked}
        words = {key: None if others is None else others.word(key[0], last[key]) for key in asked}
        answers = await asyncio.gather(*(self.ask(*key, endpoint, elsewhere[key], relays, words[key]) for key in asked))
        return dict(zip((pod for pod, _ in asked), answers, strict=True))

    def _address(self, ip: str) -> str:
        return f"[{ip}]:{self._port}" if ":" in ip else f"{ip}:{self._port}"

    async def ask(
        self,
        pod: str,
        ip: str,
        endpoint: EndpointReport | None = None,
        elsewhere: int | None = None,
        relays: str | None = None,
        word: LimitsWord | None = None,
    ) -> RelayAnswer:
        """Returns a pod's answer; its last status where it gave one and gives none for the first time in 10 s.

        It is told `elsewhere`, how many places the other relays have, `relays`, the addresses of those that answer, and the `word` on
        shared limits; None: not known.
        """
        headers = {} if endpoint is None else {ENDPOINT_HEADER: endpoint.as_header()}
        if elsewhere is not None:
            headers[PLACES_HEADER] = str(elsewhere)
        if relays is not None:
            headers[RELAYS_HEADER] = relays
        if word is not None:
            headers[LIMITS_HEADER] = word.as_header()
        body, now = await self._fetch(ip, headers), time.monotonic()
        unreadable, last = False, self._answers.get((pod, ip))
        if body is not None and last is not None and body == last.body:
            last.asked_at, last.silent_since = now, None
            return RelayAnswer(last.status)
        if body is not None:
            try:
                status = RelayStatus.read(body)
            except ContractError as error:
                unreadable = True
                self._note_unknown(pod, ip, (UNREADABLE,), error.problems)
            else:
                self._note_unknown(pod, ip, undeclared(RelayStatus, json.loads(body)))
                self._answers[pod, ip] = _Answered(status, now, body)
                return RelayAnswer(status)
        if last is None:
            return RelayAnswer(None, unreadable)
        last.asked_at = now
        last.silent_since = now if last.silent_since is None else last.silent_since
        if now - last.silent_since < SILENT_SECONDS:
            return RelayAnswer(last.status, unreadable, late=True)
        del self._answers[pod, ip]
        return RelayAnswer(None, unreadable)

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= FORGOTTEN_SECONDS:
            self._swept_at = now
            self._answers = {key: kept for key, kept in self._answers.items() if now - kept.asked_at < FORGOTTEN_SECONDS}

    async def _fetch(self, ip: str, headers: Mapping[str, str]) -> bytes | None:
        """Returns the body of a 200; None for everything else."""
        try:
            async with (
                self._slots,
                asyncio.timeout(TIMEOUT_SECONDS),
                self._http.get(f"http://{self._address(ip)}/status", headers=headers, allow_redirects=False) as answer,
            ):
                return await read_bounded(answer.content, MAX_BYTES) if answer.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None

    def _note_unknown(self, pod: str, ip: str, unknown: tuple[str, ...], problems: Sequence[str] = ()) -> None:
        before = self._unknown.get((pod, ip), ())
        if unknown == before:
            return
        if not unknown:
            self._unknown.pop((pod, ip), None)
            return
        while len(self._unknown) >= 10_000:  # pods come and go; what is forgotten is counted again
            self._unknown.pop(next(iter(self._unknown)))
        self._unknown[pod, ip] = unknown
        if unknown == (UNREADABLE,):
            self._metrics.other_version("relay_status")
            log.warning("a relay's status cannot be read; it may be of another version", pod=pod, problems=list(problems)[:5])
        else:
            self._metrics.other_version("relay_status_field", len(set(unknown) - set(before)))
            log.info("a relay of another version reports fields that are not known here", pod=pod, fields=list(unknown)[:20])
