"""What the answer to a dial of the public address says of the proxies before the relays: the fault, and the setting that mends it. Pure.

A relay that refuses an upgrade says why in the answer's first line; whoever else answers is told by its status alone. What others say is
not repeated, but for the product that the header `Server` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voiceassist_crds.endpoint_report import EndpointReport
from voiceassist_crds.reasons import Reason, Refusal

from .observed import Endpoint, EndpointFact

PROXY_PROTOCOL, MALFORMED, HEAD_TOO_BIG = "proxy_protocol", "malformed", "head_too_big"
"""Words of a relay's HTTP port about what it cannot read."""


ENDPOINT_REASONS: Mapping[Endpoint, Reason] = {
    Endpoint.OK: Reason.ENDPOINT_OK,
    Endpoint.DNS: Reason.DNS_FAILED,
    Endpoint.CERTIFICATE: Reason.CERTIFICATE_INVALID,
    Endpoint.CONNECTION: Reason.CONNECTION_FAILED,
    Endpoint.PATH: Reason.PATH_NOT_ROUTED,
    Endpoint.UPGRADE: Reason.UPGRADE_NOT_PASSED,
    Endpoint.ALTERED: Reason.REQUEST_ALTERED,
}


def report_of(found: EndpointFact | None) -> EndpointReport | None:
    """Returns what relays are told of the last dial; None where none could be made."""
    return None if found is None or found.result is Endpoint.UNTRIED else EndpointReport(ENDPOINT_REASONS[found.result], found.cause)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to the dial that is no websocket of ours."""

    status: int
    body: bytes = b""
    server: str = ""
    """The header `Server`."""
    location: str = ""
    """The header `Location`, of a redirection."""


@dataclass(frozen=True, slots=True)
class Route:
    """How the address leads to the relays, as the object says."""

    host: str
    path_prefix: str
    service: str
    """Name of the relays' Service."""
    class_name: str = ""
    """The IngressClass; empty where the cluster's default is taken, or there is no Ingress of ours."""

    @property
    def stream(self) -> str:
        """The address without its scheme, as texts name it."""
        return f"{self.host}{self.path_prefix}/ws"


@dataclass(frozen=True, slots=True)
class _Fault:
    endpoint: Endpoint
    what: str
    settings: Mapping[str, str]
    """By controller; `""` is what holds for any."""


INGRESS_NGINX, NGINX_F5, HAPROXY, TRAEFIK, CONTOUR, KONG, ALB, GKE, AGIC, ISTIO = (
    "ingress-nginx",
    "NGINX of F5",
    "HAProxy",
    "Traefik",
    "Contour",
    "Kong",
    "ALB",
    "GKE",
    "AGIC",
    "Istio",
)
_BY_WORD = {
    "traefik": (TRAEFIK,),
    "haproxy": (HAPROXY,),
    "contour": (CONTOUR,),
    "kong": (KONG,),
    "alb": (ALB,),
    "awselb": (ALB,),
    "gce": (GKE,),
    "google": (GKE,),
    "azure": (AGIC,),
    "istio": (ISTIO,),
    "envoy": (CONTOUR, ISTIO),
    "nginx": (INGRESS_NGINX, NGINX_F5),
}
"""What a class or a product is called, and which controllers that may be; the first that fits."""

_FAULTS: Mapping[str, _Fault] = {
    Refusal.NO_UPGRADE: _Fault(
        Endpoint.UPGRADE,
        "the relay was asked without an upgrade: what stands before it passes no websockets on",
        {
            NGINX_F5: "annotation nginx.org/websocket-services: {service} (the operator sets it; does ingress.annotations undo it?)",
            INGRESS_NGINX: "no snippet may set the headers Upgrade and Connection",
            HAPROXY: "no rule may delete the headers Upgrade and Connection",
            TRAEFIK: "no middleware may set the headers Upgrade and Connection",
            CONTOUR: "annotation projectcontour.io/websocket-routes: {prefix} (the operator sets it)",
            KONG: "the route's protocols must be http and https",
            GKE: "an HTTP(S) balancer passes them on by itself; look for a proxy behind it",
            "": "an nginx of your own needs proxy_http_version 1.1 and the headers Upgrade and Connection",
        },
    ),
    Refusal.BAD_PATH: _Fault(
        Endpoint.ALTERED,
        "the relay was asked for another path than {prefix}/ws/…: what stands before it strips, adds or doubles a part",
        {
            INGRESS_NGINX: "remove nginx.ingress.kubernetes.io/rewrite-target",
            NGINX_F5: "remove nginx.org/rewrites",
            HAPROXY: "remove haproxy.org/path-rewrite or haproxy-ingress.github.io/rewrite-target",
            TRAEFIK: "remove the middleware (stripPrefix, addPrefix, replacePath) from traefik.ingress.kubernetes.io/router.middlewares",
            CONTOUR: "remove pathRewritePolicy",
            KONG: 'annotation konghq.com/strip-path: "false" (the operator sets it)',
            GKE: "remove pathPrefixRewrite from the URL map",
            AGIC: "remove appgw.ingress.kubernetes.io/backend-path-prefix",
            ISTIO: "remove the VirtualService's rewrite",
            "": "an nginx of your own needs proxy_pass without a path; or set pathPrefix to what arrives, if Twilio dials it so",
        },
    ),
    Refusal.QUERY: _Fault(
        Endpoint.ALTERED,
        "the relay was asked with a query, which Twilio's signature does not cover: what stands before it adds one",
        {
            INGRESS_NGINX: "no rewrite-target or snippet may have a ?",
            NGINX_F5: "nginx.org/rewrites and snippets may have no ?",
            HAPROXY: "remove http-request set-query",
            TRAEFIK: "remove the middleware replacePathRegex, or its ?",
            KONG: "the plugin request-transformer may add no querystring",
            ALB: "remove the query from the rule's redirect or transform",
            "": "remove whatever adds it",
        },
    ),
    Refusal.NO_SIGNATURE: _Fault(
        Endpoint.ALTERED,
        "the header X-Twilio-Signature does not arrive: what stands before the relay drops it, and no call will be taken",
        {
            INGRESS_NGINX: "no snippet or proxy-set-headers may empty it",
            NGINX_F5: "no snippet may empty it",
            HAPROXY: "remove http-request del-header",
            TRAEFIK: "no middleware headers may empty it (customRequestHeaders)",
            KONG: "the plugin request-transformer may not remove it",
            CONTOUR: "remove it from requestHeadersPolicy",
            ISTIO: "remove it from the VirtualService's headers.request.remove",
            "": "a web application firewall or an API gateway must pass it on (CloudFront: an origin request policy with all headers)",
        },
    ),
    Refusal.BAD_SIGNATURE: _Fault(
        Endpoint.ALTERED,
        "the relay refuses our signature: a part of the path is altered on the way, or the relays have another authToken than the Secret",
        {"": "compare the path in the ingress controller's access log; if conditions say that a roll-out is going on, wait for its end"},
    ),
    "doubled": _Fault(
        Endpoint.ALTERED,
        "the header X-Twilio-Signature arrives more than once: what stands before the relay adds it again",
        {
            HAPROXY: "use http-request set-header, or nothing, in place of add-header",
            INGRESS_NGINX: "remove it from the snippet",
            TRAEFIK: "remove it from the middleware headers",
            KONG: "remove it from the plugin request-transformer",
            "": "it arrives by itself: remove the rule that copies it",
        },
    ),
    Refusal.BAD_HANDSHAKE: _Fault(
        Endpoint.UPGRADE,
        "the upgrade arrives damaged: what stands before the relay changes Upgrade, Connection or a header Sec-WebSocket-…",
        {"": "let these headers pass as they are; HTTP/1.1 must be spoken to the relay, not HTTP/2"},
    ),
    PROXY_PROTOCOL: _Fault(
        Endpoint.ALTERED,
        "what stands before the relay speaks the PROXY protocol to it",
        {
            HAPROXY: "remove haproxy.org/send-proxy-protocol or haproxy-ingress.github.io/proxy-protocol (send-proxy)",
            TRAEFIK: "remove proxyProtocol from the service's balancer",
            ALB: "a network balancer: proxy_protocol_v2.enabled=false on its target group",
            INGRESS_NGINX: "remove proxy_protocol on from the snippet",
            NGINX_F5: "remove proxy_protocol on from the snippet",
            "": "turn it off towards the relays; towards the ingress controller it may stay",
        },
    ),
    MALFORMED: _Fault(
        Endpoint.ALTERED,
        "what arrives at the relay is no HTTP/1.1: TLS or HTTP/2 is spoken to it",
        {
            INGRESS_NGINX: "remove nginx.ingress.kubernetes.io/backend-protocol",
            NGINX_F5: "remove nginx.org/ssl-services and nginx.org/grpc-services",
            HAPROXY: "remove haproxy.org/server-ssl or server-proto",
            TRAEFIK: "remove traefik.ingress.kubernetes.io/service.serversscheme",
            ALB: "alb.ingress.kubernetes.io/backend-protocol: HTTP, and backend-protocol-version: HTTP1",
            "": "speak plain HTTP/1.1 to port 80 of the Service {service}",
        },
    ),
    HEAD_TOO_BIG: _Fault(
        Endpoint.ALTERED,
        "the headers that arrive at the relay are longer than 16 KiB",
        {"": "what stands before it adds too much; remove that"},
    ),
}
_BUSY = frozenset({Refusal.RATE, Refusal.DRAINING, Refusal.FULL})


def of_answer(answer: Answer, route: Route) -> EndpointFact:
    """Returns what an answer that is no websocket of ours means."""
    said, _, detail = answer.body.decode("ascii", "replace").partition("\n")
    said = said.strip()
    if said == Refusal.BAD_SIGNATURE and "was there" in detail:
        said = "doubled"
    if said in _BUSY:
        return EndpointFact(
            Endpoint.CONNECTION, f"{route.stream} leads to a relay that takes nothing right now ({said}); wait a moment", said
        )
    fault = _FAULTS.get(said)
    if fault is None:
        return EndpointFact(Endpoint.PATH, _of_status(answer, route))
    what = fault.what.format(prefix=route.path_prefix)
    return EndpointFact(fault.endpoint, f"{route.stream}: {what}; {_settings(fault, answer, route)}", said)


def _settings(fault: _Fault, answer: Answer, route: Route) -> str:
    """What mends it: for the controller where it is known which one it is, else for each."""
    by_class = _controllers(route.class_name)
    known = by_class or _controllers(answer.server)
    told = {name: text for name, text in fault.settings.items() if name and (not known or name in known)}
    if "" in fault.settings and not (by_class and told):
        told["else"] = fault.settings[""]
    lines = [text if name == "else" and len(told) == 1 else f"{name}: {text}" for name, text in told.items()]
    return "; ".join(lines).format(service=route.service, prefix=route.path_prefix or "/")


def _controllers(name: str) -> tuple[str, ...]:
    """The controllers that a class or a product of this name may be; empty: any."""
    return next((controllers for word, controllers in _BY_WORD.items() if word in name.lower()), ())


def _of_status(answer: Answer, route: Route) -> str:
    """What a status means that no relay gave."""
    status, where = answer.status, f"{route.stream} is answered with {answer.status}"
    if 300 <= status < 400:
        to = "to plain http" if answer.location.startswith("http:") else "elsewhere, as login pages do"
        return f"{where}, which leads {to}: Twilio follows no redirection; let {route.path_prefix}/ws past what redirects"
    if status == 404:
        return f"{where}: the ingress does not route it to the relays; check ingress.className and pathPrefix"
    if status in {502, 503, 504}:
        return f"{where}: no relay takes it; see condition RelayAvailable"
    if status in {401, 403}:
        return f"{where} by something before the relays: let {route.path_prefix}/ws past its log-in, firewall or list of addresses"
    if status == 426:
        return f"{where} by something before the relays: it wants another protocol than HTTP/1.1 with an upgrade"
    return f"{where} instead of a websocket, by something that is not our relay; check who has the host"
