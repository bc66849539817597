"""What an object may ask for: which host a URL leads to, which repository an image is of, which annotations are refused."""

from __future__ import annotations

import pytest

from unit.operator.making import owner
from voiceassist_operator.policy.allowed import (
    OPEN,
    Allowed,
    host_of,
    image_is_allowed,
    model_host_is_allowed,
    refused_annotations,
    repository,
)
from voiceassist_operator.policy.resources.proxy_annotations import ingress_annotations

DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("wss://api.openai.com/v1/realtime", "api.openai.com"),
        ("https://API.OpenAI.com:443", "api.openai.com"),
        ("wss://api.openai.com./v1", "api.openai.com"),
        ("wss://api.openai.com@evil.example/v1", ""),
        ("wss://evil.example\\@api.openai.com/v1", ""),
        ("wss://api.openai.com%2eevil.example/", ""),
        ("wss://[2001:db8::1]:443/", "2001:db8::1"),
    ],
)
def test_allowed_the_host_is_what_every_program_reads(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "more", "allowed"),
    [
        ("wss://api.openai.com/v1", (), True),
        ("wss://eu.api.openai.com/v1", (), True),
        ("wss://evilapi.openai.com/v1", (), False),
        ("wss://api.openai.com.evil.example/v1", (), False),
        ("https://mine.openai.azure.com", (), False),
        ("https://mine.openai.azure.com", ("*.openai.azure.com",), True),
        ("wss://evil.example\\@api.openai.com/v1", ("*",), False),
    ],
)
def test_allowed_where_keys_may_be_sent(url: str, more: tuple[str, ...], allowed: bool) -> None:
    assert model_host_is_allowed(Allowed(model_hosts=more), url) is allowed


@pytest.mark.parametrize(
    ("image", "of"),
    [
        ("relay", "relay"),
        ("relay:1", "relay"),
        ("localhost:5000/a/relay", "localhost:5000/a/relay"),
        (f"localhost:5000/a/relay:1{DIGEST}", "localhost:5000/a/relay"),
        (f"ghcr.io/voiceassist/relay{DIGEST}", "ghcr.io/voiceassist/relay"),
    ],
)
def test_allowed_repository(image: str, of: str) -> None:
    assert repository(image) == of


def test_allowed_which_image_may_run() -> None:
    default = f"ghcr.io/voiceassist/relay:1{DIGEST}"
    assert image_is_allowed(Allowed(), "ghcr.io/voiceassist/relay:2", default)
    assert not image_is_allowed(Allowed(), "ghcr.io/voiceassist/relay.evil:2", default)
    assert not image_is_allowed(Allowed(), "docker.io/library/busybox", default)
    assert image_is_allowed(Allowed(images=("registry.example/*",)), "registry.example/team/relay:1", default)
    assert not image_is_allowed(Allowed(), "x/relayy", "x/rela[xy]y"), "the default is no pattern"


def test_allowed_annotations_that_are_programs_are_refused() -> None:
    bad = [
        "nginx.ingress.kubernetes.io/configuration-snippet",
        "nginx.ingress.kubernetes.io/auth-url",
        "nginx.org/location-snippets",
        "haproxy.org/backend-config-snippet",
        "alb.ingress.kubernetes.io/group.name",
        "traefik.ingress.kubernetes.io/router.middlewares",
        "nginx.ingress.kubernetes.io/proxy-pass-x",
    ]
    assert refused_annotations(Allowed(), [*bad, "cert-manager.io/cluster-issuer"]) == sorted(bad)
    assert refused_annotations(Allowed(ingress_annotations=("nginx.org/*",)), bad[2:3]) == []
    assert refused_annotations(OPEN, bad) == []


def test_allowed_what_we_write_ourselves_is_allowed_to_be_changed() -> None:
    assert refused_annotations(Allowed(), ingress_annotations(owner())) == []
