"""What load balancers and proxies ask the public port: whether calls may come here, and a websocket's address without an upgrade."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from voiceassist_crds.names import READY_PATH, WS_PATH
from voiceassist_crds.reasons import Refusal

from ..config.snapshot import CurrentSnapshot
from ..metrics.relay_metrics import RelayMetrics

_ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_NO_UPGRADE = f"{Refusal.NO_UPGRADE}\nThis address takes websockets only: what stands before the relay passed no upgrade on.\n"


class PublicEndpoints:
    """`/readyz`, which is 200 while calls may come, and an answer for `/ws/…` that names the fault of a proxy."""

    def __init__(self, ready: Callable[[], bool], current: CurrentSnapshot, metrics: RelayMetrics) -> None:
        self._ready, self._current, self._metrics = ready, current, metrics

    def router(self) -> APIRouter:
        """The routes, below the path prefix and without it: balancers ask the pod itself."""
        router = APIRouter()
        for prefix in ("", "/{prefix:path}"):
            router.add_api_route(
                f"{prefix}{READY_PATH}", self.readiness, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
            )
            router.add_api_route(
                f"{prefix}{WS_PATH}/{{rest:path}}", self.no_upgrade, methods=_ANY, include_in_schema=False, response_model=None
            )
        return router

    async def readiness(self, request: Request) -> Response:
        """GET /readyz: why it is not ready stands on the private port alone."""
        path = request.scope["path"]
        if path not in {READY_PATH, self._current().config.path_prefix + READY_PATH}:
            return Response("not found\n", HTTPStatus.NOT_FOUND, media_type="text/plain")
        ready = self._ready()
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Response("ready\n" if ready else "not ready\n", status, {"Cache-Control": "no-store"}, "text/plain")

    async def no_upgrade(self) -> Response:
        """Any plain request for a websocket's address."""
        self._metrics.upgrade(Refusal.NO_UPGRADE)
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Cache-Control": "no-store"}
        return Response(_NO_UPGRADE, HTTPStatus.UPGRADE_REQUIRED, headers, "text/plain")
