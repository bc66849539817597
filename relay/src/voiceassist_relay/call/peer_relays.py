"""Relays among themselves: who has a call's audio, and pause and resume where it is. The private port's routes and their client."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import ipaddress
import re
import secrets
from enum import Enum, auto
from typing import Final

import aiohttp
import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from voiceassist_crds.messages import CallDocument
from voiceassist_crds.names import CALL_SID_PATTERN, PEER_HEADER, PEER_PROOF_HEADER, is_call_sid

from ..auth import mint_peer, mint_peer_for, verify_peer, verify_peer_for
from ..handed_over import MAX_BYTES, HandedCall, TakeRequest, encode, read_call
from ..logs import call_hash
from .dependencies import FunctionDependencies, LiveCall

NO_SUCH_CALL: Final = "no_such_call"
CALL_OVER: Final = "call_over"
ACTIONS: Final = ("pause", "resume", "refresh")
_MAX_ANSWER = 4096
_NONCE_BYTES = 18
_PORT = re.compile(r"[0-9]{1,5}")

log = structlog.get_logger("voiceassist.peers")


class Asked(Enum):
    """What became of a question to the relay that has a call's audio."""

    DONE = auto()
    GONE = auto()
    """Nothing listens at its address: it has ended."""
    NEVER = auto()
    """A relay that never had the call answers at its address: the one that had it has ended."""
    OVER = auto()
    """It had the call, and has seen its end."""
    UNKNOWN = auto()
    """It could not be asked, did not answer in time, or does not take our proof: what it does with the call is not known."""


_NO_ADDRESS_OF_A_POD: Final = tuple(
    ipaddress.ip_network(net) for net in ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
"""IPv4 addresses in the clothes of IPv6: a relay names its own as it is."""


def peer_address(owner: str, peer_port: int | None) -> str | None:
    """`owner` if it is an address and a port that a relay may have, else None. Never a name: those could lead anywhere.

    `peer_port` is the one port that relays have; None, on a developer's machine: any, but of this machine alone.
    """
    host, colon, port = owner.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        return None
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None
    if (address.version == 6) != bracketed or getattr(address, "scope_id", None):
        return None
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return None
    if peer_port is None:
        return owner if address.is_loopback else None
    if int(port) != peer_port or address.is_loopback:
        return None
    return None if address.version == 6 and any(address in net for net in _NO_ADDRESS_OF_A_POD) else owner


def nothing_listens(error: Exception) -> bool:
    """Whether a connection was refused: the network let us through, and nothing listens there."""
    return isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED


class PeerRelays:
    """Asks the relay that a Document names, this one included."""

    def __init__(self, deps: FunctionDependencies) -> None:
        self._deps = deps

    async def has(self, call_sid: str, document: CallDocument) -> Asked:
        """Whether the call's stream is still connected at its owner."""
        if self._deps.calls.find(call_sid) is not None:
            return Asked.DONE
        return await self._ask("GET", document.owner, f"/calls/{call_sid}", call_sid)

    async def tell(self, call_sid: str, document: CallDocument, action: str) -> Asked:
        """Pauses, resumes or refreshes the call where its audio is."""
        local = self._deps.calls.find(call_sid)
        if local is not None:
            _carry_out(local, action)
            return Asked.DONE
        return await self._ask("POST", document.owner, f"/calls/{call_sid}/{action}", call_sid)

    async def take(self, owner: str, call_sid: str, request: TakeRequest) -> HandedCall | Asked:
        """Asks a relay to hand over a call. Asked.DONE: it keeps the call."""
        answer = await self._request("POST", owner, f"/calls/{call_sid}/take", call_sid, encode(request), self._deps.timing.take_seconds)
        if isinstance(answer, Asked):
            return answer
        status, body = answer
        handed = read_call(body) if status == 200 else None
        if handed is not None:
            return handed
        return Asked.DONE if status == 409 else _other(status, body, call_sid)

    async def calls(self, address: str, path: str, most: int, seconds: float) -> bytes | Asked:
        """Asks a relay which calls it has, and waits so many seconds; Asked.GONE: nothing listens there. Empty: it is there, and does not
        say. Whether it answers is the asker's to remember."""
        answer = await self._request("GET", address, path, "", b"", seconds, most=most, noted=False)
        if isinstance(answer, Asked):
            return answer
        status, body = answer
        return body if status == 200 else Asked.UNKNOWN if status >= 500 else b""

    async def _ask(self, method: str, owner: str, path: str, call_sid: str) -> Asked:
        answer = await self._request(method, owner, path, call_sid, b"", self._deps.timing.peer_seconds)
        if isinstance(answer, Asked):
            return answer
        status, body = answer
        return Asked.DONE if status == 200 else _other(status, body, call_sid)

    async def _request(
        self,
        method: str,
        owner: str,
        path: str,
        call_sid: str,
        content: bytes,
        seconds: float,
        *,
        most: int = _MAX_ANSWER,
        noted: bool = True,
    ) -> tuple[int, bytes] | Asked:
        address = peer_address(owner, self._deps.peer_port)
        tokens = self._deps.current().secrets.auth_tokens
        if address is None or not tokens:
            return Asked.UNKNOWN
        now, proven = self._deps.now(), proven_path(path, content)
        headers = {
            PEER_PROOF_HEADER: mint_peer_for(tokens[0], address, method, proven, now, secrets.token_urlsafe(_NONCE_BYTES)),
            PEER_HEADER: mint_peer(tokens[0], method, proven, now),  # for a relay of version 0.1.0
        }
        most = MAX_BYTES if content else most
        try:
            async with (
                asyncio.timeout(seconds),
                self._deps.http.request(
                    method, f"http://{address}{path}", headers=headers, data=content or None, allow_redirects=False
                ) as response,
            ):
                if noted:
                    self._deps.unreached.answered(address)
                return response.status, await _at_most(response.content, most)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            refused = nothing_listens(error)
            if not noted:
                return Asked.GONE if refused else Asked.UNKNOWN
            log.warning("relay not reached", call=call_hash(call_sid), error=type(error).__name__, refused=refused)
            if refused:  # the process is no more
                self._deps.unreached.answered(address)
                return Asked.GONE
            self._deps.unreached.silent(address, self._deps.monotonic())
            return Asked.UNKNOWN


async def _at_most(content: aiohttp.StreamReader, most: int) -> bytes:
    """The body. Raises ValueError if it is longer than that."""
    parts, size = [], 0
    async for part in content.iter_chunked(1 << 16):
        size += len(part)
        if size > most:
            raise ValueError("the answer is too long")
        parts.append(part)
    return b"".join(parts)


def _other(status: int, body: bytes, call_sid: str) -> Asked:
    if status == 404 and NO_SUCH_CALL.encode() in body:
        return Asked.NEVER
    if status == 404 and CALL_OVER.encode() in body:
        return Asked.OVER
    log.warning("relay did not do as asked", call=call_hash(call_sid), status=status)
    return Asked.UNKNOWN


def proven_path(path: str, body: bytes) -> str:
    """What a proof names: the path, and the body if there is one."""
    return f"{path}#{hashlib.sha256(body).hexdigest()}" if body else path


def peer_router(deps: FunctionDependencies) -> APIRouter:
    """The private port's routes: GET /calls/{callSid}, POST /calls/{callSid}/pause, /resume and /refresh, for relays with our proof."""
    router = APIRouter()

    async def call(request: Request) -> Response:
        return _answer(deps, request, None)

    async def act(request: Request) -> Response:
        return _answer(deps, request, request.path_params["action"])

    router.add_api_route("/calls/{call_sid}", call, methods=["GET"], include_in_schema=False, response_model=None)
    router.add_api_route("/calls/{call_sid}/{action}", act, methods=["POST"], include_in_schema=False, response_model=None)
    return router


def _answer(deps: FunctionDependencies, request: Request, action: str | None) -> Response:
    call_sid = request.path_params["call_sid"]
    if not is_relay(deps, request):
        return error_answer(403, "no_proof", f"{PEER_HEADER}: no valid proof of a relay of this installation")
    if action not in {None, *ACTIONS} or not is_call_sid(call_sid):
        return error_answer(404, "not_found", f"known: /calls/{CALL_SID_PATTERN} and its {', '.join(ACTIONS)}")
    local = deps.calls.find(call_sid)
    if local is None and deps.calls.coming(call_sid):
        if action is None:
            return JSONResponse({"callSid": call_sid, "done": "found"})
        return error_answer(503, "coming", "another relay has still to hand this call over")
    if local is None and deps.calls.had(call_sid):
        return error_answer(404, CALL_OVER, "the call's stream at this relay is over")
    if local is None:
        return error_answer(404, NO_SUCH_CALL, "this relay does not have the call")
    if action is not None:
        _carry_out(local, action)
    return JSONResponse({"callSid": call_sid, "done": action or "found"})


def is_relay(deps: FunctionDependencies, request: Request, body: bytes = b"") -> bool:
    """Whether the request carries a proof that is for this relay, and for this body, and was not used yet.

    A relay of version 0.1.0 sends only its own kind, which names no target. A later one sends both: whoever takes its proof off the
    request finds the other used up here, and no other relay has the call.
    """
    tokens, now, method, path = deps.current().secrets.auth_tokens, deps.now(), request.method, request.url.path
    path = proven_path(path, body)
    proof, old = request.headers.get(PEER_PROOF_HEADER, ""), request.headers.get(PEER_HEADER, "")
    if proof:
        valid = bool(deps.address) and verify_peer_for(tokens, proof, deps.address, method, path, now)
        if not (valid and deps.proofs.use(proof, now)):
            return False
        deps.proofs.use(f"{method} {path} {old}", now)
        return True
    if not verify_peer(tokens, old, method, path, now) or not deps.proofs.use(f"{method} {path} {old}", now):
        return False
    deps.metrics.other_version("peer_proof")
    return True


def _carry_out(call: LiveCall, action: str) -> None:
    if action == "pause":
        call.pause()
    elif action == "resume":
        call.resume()
    else:
        call.refresh()


def error_answer(status: int, code: str, message: str) -> Response:
    """A refusal, as relays tell each other."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)
