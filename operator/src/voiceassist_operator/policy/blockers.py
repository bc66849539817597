"""What keeps the relays from being deployed: checks that are all asked, so that all that is missing is said at once. Pure."""

from __future__ import annotations

from collections.abc import Callable

from voiceassist_crds import names
from voiceassist_crds.reasons import Reason

from . import allowed
from .condition import Blocker
from .egress import is_address
from .observed import Observed, SecretFact
from .twilio_conditions import sync_service_known

CREDENTIALS = frozenset({"authToken", "apiKeySid", "apiKeySecret"})
SECOND_TOKEN = "authTokenSecondary"  # noqa: S105 - a key's name
"""Keys of the Secret of Twilio's credentials."""
TWILIO_ONLY = CREDENTIALS | {SECOND_TOKEN}
"""Keys that are never sent to a model."""


def host_is_free(seen: Observed) -> Blocker | None:
    """No older VoiceAssist has this host and path prefix."""
    if not seen.conflicting:
        return None
    spec = seen.owner.spec
    text = (
        f"VoiceAssist {seen.conflicting} has host {spec.host} and path prefix {spec.path_prefix or '(none)'} already; change one of the two"
    )
    return Blocker(Reason.HOST_CONFLICT, text)


def names_are_free(seen: Observed) -> Blocker | None:
    """Nobody else has an object by a name that is needed."""
    if not seen.taken:
        return None
    found = ", ".join(f"{one.kind} {one.name} (of {one.holder})" for one in seen.taken)
    text = f"not this object's, and left alone: {found}; delete or rename what is in the way, or give the VoiceAssist another name"
    return Blocker(Reason.NAME_TAKEN, text)


def custom_endpoints_are_allowed(seen: Observed) -> Blocker | None:
    """Another server in place of Twilio is named only where the operator allows it."""
    if not seen.owner.spec.twilio.api_url or seen.custom_endpoints:
        return None
    text = "twilio.apiUrl needs an operator with --allow-custom-endpoints; remove it, or start the operator so"
    return Blocker(Reason.CUSTOM_ENDPOINTS_NOT_ALLOWED, text)


def custom_network_is_allowed(seen: Observed) -> Blocker | None:
    """A way out that is the object's own is named only where the operator allows it: who stands on it could read what goes by."""
    spec = seen.owner.spec
    named = {
        "network.proxy": spec.network.proxy,
        "network.caBundle": spec.network.ca_bundle,
        "relay.hostAliases": spec.relay.host_aliases,
        "relay.env": spec.relay.env,
    }
    given = [name for name, value in named.items() if value]
    if not given or seen.installation.custom_network:
        return None
    text = f"{', '.join(given)} need{'s' if len(given) == 1 else ''} an operator with --allow-custom-network; remove it, or start it so"
    return Blocker(Reason.CUSTOM_NETWORK_NOT_ALLOWED, text)


def ca_bundle_is_there(seen: Observed) -> Blocker | None:
    """The authorities that the object names are there."""
    return Blocker(Reason.CA_BUNDLE_UNUSABLE, seen.ca_bundle.problem) if seen.ca_bundle.problem else None


def twilio_credentials_are_complete(seen: Observed) -> Blocker | None:
    """The Secret of Twilio's credentials has a value under each key."""
    return _secret_has(seen, seen.credentials, CREDENTIALS, "twilio.credentialsSecretRef", frozenset({SECOND_TOKEN}))


def model_key_is_there(seen: Observed) -> Blocker | None:
    """The Secret of the model's key has a value under the key that is named."""
    return _secret_has(seen, seen.model_key, frozenset({seen.owner.spec.model.api_key_secret_ref.key}), "model.apiKeySecretRef")


def addresses_can_be_read(seen: Observed) -> Blocker | None:
    """Addresses that the object names are of a host and a port that can be."""
    spec = seen.owner.spec
    given = {
        "network.proxy.url": spec.network.proxy and spec.network.proxy.url,
        "model.url": spec.model.url,
        "twilio.apiUrl": spec.twilio.api_url and spec.twilio.api_url.replace("{product}", "api"),
    }
    wrong = [name for name, url in given.items() if url and not is_address(url)]
    if not wrong:
        return None
    return Blocker(Reason.INVALID_SPEC, f"{', '.join(wrong)}: no address; give a host's name or IP address, and a port from 1 to 65535")


def model_host_is_allowed(seen: Observed) -> Blocker | None:
    """The model's key is sent only where the operator allows it."""
    url = seen.owner.spec.model.url
    if url is None or seen.custom_endpoints or allowed.model_host_is_allowed(seen.allowed, url):
        return None
    text = (
        f"model.url leads to {allowed.host_of(url) or 'a host that cannot be told'}, where this operator lets no key be sent; remove it, "
        "or start the operator with --allow-model-host (allow.modelHosts of the chart)"
    )
    return Blocker(Reason.NOT_ALLOWED, text)


def image_is_allowed(seen: Observed) -> Blocker | None:
    """Pods run only images that the operator allows."""
    image = seen.owner.spec.relay.image
    if image is None or allowed.image_is_allowed(seen.allowed, image, seen.owner.default_image):
        return None
    text = (
        f"relay.image is of {allowed.repository(image)}, which this operator does not let run; remove it, or start the operator with "
        "--allow-image (allow.images of the chart)"
    )
    return Blocker(Reason.NOT_ALLOWED, text)


def ingress_annotations_are_allowed(seen: Observed) -> Blocker | None:
    """The ingress controller is told only what the operator allows: some of its annotations are programs."""
    refused = allowed.refused_annotations(seen.allowed, seen.owner.spec.ingress.annotations)
    if not refused or not seen.owner.spec.ingress.enabled:
        return None
    text = (
        f"ingress.annotations {', '.join(refused[:5])}: not allowed by this operator; remove them, or start the operator with "
        "--allow-ingress-annotation (allow.ingressAnnotations of the chart)"
    )
    return Blocker(Reason.NOT_ALLOWED, text)


def model_key_is_a_model_s(seen: Observed) -> Blocker | None:
    """A key of Twilio's is not sent to the model."""
    ref = seen.owner.spec.model.api_key_secret_ref
    if ref.key not in TWILIO_ONLY:
        return None
    return Blocker(Reason.SECRET_NOT_ALLOWED, f"model.apiKeySecretRef names key {ref.key}, which is for Twilio alone; name the model's key")


def _secret_has(
    seen: Observed, secret: SecretFact, needed: frozenset[str], where: str, optional: frozenset[str] = frozenset()
) -> Blocker | None:
    if not secret.found:
        keys = ", ".join(sorted(needed))
        text = f"Secret {secret.name} ({where}) does not exist; create it with {'keys' if len(needed) > 1 else 'key'} {keys}"
        return Blocker(Reason.SECRET_NOT_FOUND, text)
    if not secret.released and not seen.allowed.any_secret:
        text = (
            f"Secret {secret.name} ({where}) does not say that it may be used; if it may: kubectl label secret {secret.name} "
            f"{names.CREDENTIALS_LABEL}=true"
        )
        return Blocker(Reason.SECRET_NOT_ALLOWED, text)
    if missing := sorted(needed - secret.keys):
        text = f"Secret {secret.name} ({where}) lacks {', '.join(missing)}; add what is missing, and nothing needs a restart"
        return Blocker(Reason.SECRET_INCOMPLETE, text)
    if spoilt := [f"{key}: {secret.spoilt[key]}" for key in sorted(needed | optional) if key in secret.spoilt]:
        return Blocker(Reason.SECRET_UNUSABLE, f"Secret {secret.name} ({where}): {'; '.join(spoilt)}; nothing needs a restart")
    return None


def prompt_is_there(seen: Observed) -> Blocker | None:
    """There is a text for the prompt."""
    if seen.prompt.instructions is not None:
        return None
    return Blocker(seen.prompt.reason or Reason.PROMPT_SOURCE_NOT_FOUND, seen.prompt.message)


CHECKS: tuple[Callable[[Observed], Blocker | None], ...] = (
    host_is_free,
    names_are_free,
    custom_endpoints_are_allowed,
    custom_network_is_allowed,
    ca_bundle_is_there,
    addresses_can_be_read,
    model_host_is_allowed,
    image_is_allowed,
    ingress_annotations_are_allowed,
    model_key_is_a_model_s,
    twilio_credentials_are_complete,
    model_key_is_there,
    prompt_is_there,
    sync_service_known,
)


def blockers(seen: Observed) -> list[Blocker]:
    """Returns what keeps the relays from being deployed; empty when nothing does."""
    return [found for check in CHECKS if (found := check(seen)) is not None]
