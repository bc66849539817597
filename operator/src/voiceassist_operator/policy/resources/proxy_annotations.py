"""What ingress controllers are told by annotations, on the Ingress or on the Service. Pure; sources are in docs/install.md.

A stream is one websocket that may last for hours and may be silent; closing it ends the call's assist. A controller passes over the
annotations of others, so all are written, whichever reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from voiceassist_crds.names import PUBLIC_PORT, READY_PATH

from .metadata import Owner

SILENCE_SECONDS = 3600
"""How long a stream may be silent at a proxy that counts. The relay's pings come long before."""
MAX_DRAIN_SECONDS = 3600
"""The longest that balancers of AWS, Azure and Google wait for a target that leaves."""
STREAM_SECONDS = 86_400
"""How long a stream may last at a balancer that counts from its begin: longer than any call."""


def drain_seconds(owner: Owner) -> int:
    """Returns how long a balancer is to let streams to a leaving pod go on: as long as the pod does, as far as balancers can."""
    return max(1, min(owner.spec.relay.drain_timeout_seconds, MAX_DRAIN_SECONDS))


def ingress_annotations(owner: Owner) -> dict[str, str]:
    """Returns the Ingress's annotations. Those of the object are added, and win."""
    drain = drain_seconds(owner)
    ours = {
        "nginx.ingress.kubernetes.io/proxy-read-timeout": f"{SILENCE_SECONDS}",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": f"{SILENCE_SECONDS}",
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.org/websocket-services": owner.relay,
        "nginx.org/proxy-read-timeout": f"{SILENCE_SECONDS}s",
        "nginx.org/proxy-send-timeout": f"{SILENCE_SECONDS}s",
        "haproxy-ingress.github.io/timeout-tunnel": f"{SILENCE_SECONDS}s",
        "projectcontour.io/response-timeout": "infinity",
        "projectcontour.io/websocket-routes": owner.spec.path_prefix or "/",
        "konghq.com/strip-path": "false",
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/healthcheck-port": "traffic-port",
        "alb.ingress.kubernetes.io/healthcheck-path": READY_PATH,
        "alb.ingress.kubernetes.io/load-balancer-attributes": f"idle_timeout.timeout_seconds={SILENCE_SECONDS}",
        "alb.ingress.kubernetes.io/target-group-attributes": f"deregistration_delay.timeout_seconds={drain}",
        "appgw.ingress.kubernetes.io/request-timeout": f"{SILENCE_SECONDS}",
        "appgw.ingress.kubernetes.io/connection-draining": "true",
        "appgw.ingress.kubernetes.io/connection-draining-timeout": f"{drain}",
        "appgw.ingress.kubernetes.io/health-probe-path": READY_PATH,
        "appgw.ingress.kubernetes.io/health-probe-port": f"{PUBLIC_PORT}",
    }
    return {**ours, **owner.spec.ingress.annotations}


def route_annotations() -> dict[str, str]:
    """Returns the HTTPRoute's annotations."""
    return {"konghq.com/strip-path": "false"}


def service_annotations(owner: Owner) -> dict[str, str]:
    """Returns the Service's annotations: where controllers take the settings from the Service that they lead to."""
    ours = {"konghq.com/read-timeout": f"{SILENCE_SECONDS * 1000}", "konghq.com/write-timeout": f"{SILENCE_SECONDS * 1000}"}
    if owner.spec.ingress.flavour == "GKE":
        ours |= _json({"cloud.google.com/neg": {"ingress": True}, "cloud.google.com/backend-config": {"default": owner.relay}})
    return ours


def _json(annotations: Mapping[str, object]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in annotations.items()}
