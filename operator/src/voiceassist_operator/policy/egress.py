"""The way out of an object's relays: what the object says, else what the operator was given. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from voiceassist_crds.config import Network

from .observed import Observed

MOST_CA_BUNDLE = 300_000
"""Characters. The authorities share the relays' ConfigMap with the configuration, and 1 MiB is all that it may have."""
_HTTPS = 443
_PORTS = {"http": 80, "ws": 80, "https": _HTTPS, "wss": _HTTPS}


@dataclass(frozen=True, slots=True)
class Egress:
    """What is settled."""

    network: Network = field(default_factory=Network)
    ca_bundle: str = field(default="", repr=False)
    """Authorities in PEM; empty for the system's alone."""
    ports: tuple[int, ...] = (_HTTPS,)
    """TCP ports that the relays go out by."""


def egress(seen: Observed) -> Egress:
    """Returns the way out."""
    spec, installation = seen.owner.spec, seen.installation
    given = spec.network.proxy
    proxy, exceptions = (given.url, given.no_proxy) if given else (installation.proxy, list(installation.no_proxy))
    ca_bundle = seen.ca_bundle.text if spec.network.ca_bundle else installation.ca_bundle
    digest = hashlib.sha256(ca_bundle.encode()).hexdigest()[:16] if ca_bundle else None
    ports = {_port(url) for url in (proxy, spec.model.url, spec.twilio.api_url) if url} | set(spec.relay.network_policy.egress_ports)
    return Egress(Network(proxy=proxy, no_proxy=exceptions if proxy else [], ca_digest=digest), ca_bundle, tuple(sorted(ports | {_HTTPS})))


def ca_bundle_problem(text: str, where: str) -> str:
    """Returns why these are no authorities to trust; empty if they may be. The relays look whether they can be read."""
    if not text:
        return f"{where}: there is nothing; put certificates in PEM there"
    if len(text) > MOST_CA_BUNDLE:
        return f"{where}: {len(text)} characters; at most {MOST_CA_BUNDLE} are taken: leave out what the system trusts anyway"
    if "-----BEGIN CERTIFICATE-----" not in text or not text.isascii() or "PRIVATE KEY" in text:
        return f"{where}: this is something else than certificates in PEM"
    return ""


def is_address(url: str) -> bool:
    """Returns whether a URL has a host and, if any, a port that can be; the CRD's patterns let through `http://[x]` and port 99999."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _port(url: str) -> int:
    if not is_address(url):  # a blocker tells of it
        return _HTTPS
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme, _HTTPS)
