"""What who may write a VoiceAssist may ask for: where keys are sent, which image runs, what the ingress controller is told. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from voiceassist_crds.config import PUBLIC_MODEL_HOSTS

INGRESS_ANNOTATIONS = (
    "kubernetes.io/ingress.class",
    "kubernetes.io/ingress.global-static-ip-name",
    "kubernetes.io/ingress.regional-static-ip-name",
    "kubernetes.io/tls-acme",
    "cert-manager.io/*",
    "acme.cert-manager.io/*",
    "external-dns.alpha.kubernetes.io/*",
    "networking.gke.io/*",
    "nginx.ingress.kubernetes.io/proxy-*-timeout",
    "nginx.ingress.kubernetes.io/proxy-body-size",
    "nginx.ingress.kubernetes.io/proxy-buffering",
    "nginx.ingress.kubernetes.io/limit-*",
    "nginx.ingress.kubernetes.io/ssl-redirect",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
    "nginx.ingress.kubernetes.io/whitelist-source-range",
    "nginx.ingress.kubernetes.io/denylist-source-range",
    "nginx.org/proxy-*-timeout",
    "nginx.org/websocket-services",
    "nginx.org/redirect-to-https",
    "haproxy.org/timeout-*",
    "haproxy.org/ssl-redirect",
    "haproxy.org/allow-list",
    "haproxy.org/deny-list",
    "haproxy-ingress.github.io/timeout-*",
    "haproxy-ingress.github.io/ssl-redirect",
    "projectcontour.io/response-timeout",
    "projectcontour.io/websocket-routes",
    "projectcontour.io/tls-minimum-protocol-version",
    "traefik.ingress.kubernetes.io/router.entrypoints",
    "traefik.ingress.kubernetes.io/router.tls",
    "traefik.ingress.kubernetes.io/router.tls.certresolver",
    "konghq.com/strip-path",
    "konghq.com/protocols",
    "konghq.com/https-redirect-status-code",
    "alb.ingress.kubernetes.io/scheme",
    "alb.ingress.kubernetes.io/target-type",
    "alb.ingress.kubernetes.io/listen-ports",
    "alb.ingress.kubernetes.io/certificate-arn",
    "alb.ingress.kubernetes.io/ssl-*",
    "alb.ingress.kubernetes.io/healthcheck-*",
    "alb.ingress.kubernetes.io/load-balancer-attributes",
    "alb.ingress.kubernetes.io/target-group-attributes",
    "alb.ingress.kubernetes.io/ip-address-type",
    "alb.ingress.kubernetes.io/inbound-cidrs",
    "alb.ingress.kubernetes.io/subnets",
    "alb.ingress.kubernetes.io/tags",
    "appgw.ingress.kubernetes.io/request-timeout",
    "appgw.ingress.kubernetes.io/connection-draining*",
    "appgw.ingress.kubernetes.io/health-probe-*",
    "appgw.ingress.kubernetes.io/ssl-redirect",
)
"""What an Ingress may bear wherever the operator runs: nothing of it configures the proxy freely, or leads elsewhere."""
_PLAIN_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator allows beyond what is allowed everywhere: patterns, in which * stands for any text."""

    model_hosts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    """Repositories, without tag or digest; that of the operator's own default image is always allowed."""
    ingress_annotations: tuple[str, ...] = ()
    any_secret: bool = False
    """Whether Secrets are used that do not say that they are for it."""


OPEN = Allowed(("*",), ("*",), ("*",), any_secret=True)
"""Everything is allowed: for who only looks at what would be written."""


def repository(image: str) -> str:
    """Returns an image's repository, without its tag and digest."""
    plain = image.partition("@")[0]
    head, slash, last = plain.rpartition("/")
    return head + slash + last.partition(":")[0]


def host_of(url: str) -> str:
    """Returns the host of a URL, in lower case; empty where programs could read another one from it."""
    netloc = urlsplit(url).netloc
    return (urlsplit(url).hostname or "").rstrip(".") if _PLAIN_HOST.fullmatch(netloc) else ""


def model_host_is_allowed(allowed: Allowed, url: str) -> bool:
    """Whether a model's key may be sent to this address."""
    host = host_of(url)
    return bool(host) and _matches(host, (*PUBLIC_MODEL_HOSTS, *allowed.model_hosts))


def image_is_allowed(allowed: Allowed, image: str, default_image: str) -> bool:
    """Whether the image may run."""
    return _matches(repository(image), (*allowed.images, _literally(repository(default_image))))


def refused_annotations(allowed: Allowed, annotations: Iterable[str]) -> list[str]:
    """Returns the annotations that an Ingress may not bear."""
    return sorted(one for one in annotations if not _matches(one, (*INGRESS_ANNOTATIONS, *allowed.ingress_annotations)))


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _literally(text: str) -> str:
    """A pattern that matches this text alone."""
    return re.sub(r"([\[*?])", r"[\1]", text)
