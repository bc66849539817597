"""The relay Deployment: its pods, how they are replaced, and how long they may finish their calls."""

from __future__ import annotations

from typing import Any

from voiceassist_crds import names

from ...kubernetes.kinds import DEPLOYMENT, Manifest
from ..relay_config import DRAIN_GRACE_SECONDS
from .config_map import CA_FILE, CONFIG_FILE
from .metadata import Owner, manifest

USER_ID = 10001
"""As in the image."""
CONFIG_DIR = "/etc/voiceassist/config"
SECRETS_DIR = "/etc/voiceassist/secrets"
CLOSE_SECONDS = 45
"""Beyond grace and drain: what closing in order and flushing suggestions may take."""
_OUR_ENV = frozenset({"POD_NAME", "POD_IP"})
HUNG_SECONDS = 30
"""A relay that answers no probe any more has no calls to finish: without a time of its own it would be waited for as long as for them."""
DEFAULT_RESOURCES = {
    "requests": {"cpu": "250m", "memory": "192Mi", "ephemeral-storage": "64Mi"},
    "limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"},
}


def grace_seconds(owner: Owner) -> int:
    """Returns the pods' grace period: calls may finish, then everything is flushed."""
    return owner.spec.relay.drain_timeout_seconds + DRAIN_GRACE_SECONDS + CLOSE_SECONDS


def _secret_volume(owner: Owner) -> Manifest:
    credentials = owner.spec.twilio.credentials_secret_ref.name
    model = owner.spec.model.api_key_secret_ref
    return {
        "name": "secrets",
        "projected": {
            "defaultMode": 0o440,
            "sources": [
                {
                    "secret": {
                        "name": credentials,
                        "items": [
                            {"key": "authToken", "path": names.SECRET_AUTH_TOKEN},
                            {"key": "apiKeySid", "path": names.SECRET_API_KEY_SID},
                            {"key": "apiKeySecret", "path": names.SECRET_API_KEY_SECRET},
                        ],
                    }
                },
                {
                    "secret": {
                        "name": credentials,
                        "items": [{"key": "authTokenSecondary", "path": names.SECRET_AUTH_TOKEN_SECONDARY}],
                        "optional": True,
                    }
                },
                {"secret": {"name": model.name, "items": [{"key": model.key, "path": names.SECRET_MODEL_KEY}]}},
                *(
                    {
                        "secret": {
                            "name": header.value_from.secret_key_ref.name,
                            "items": [{"key": header.value_from.secret_key_ref.key, "path": names.model_header_file(header.name)}],
                            "optional": True,  # the relay says which is missing
                        }
                    }
                    for header in owner.spec.model.headers
                    if header.value_from is not None
                ),
            ],
        },
    }


def _container(owner: Owner) -> Manifest:
    relay = owner.spec.relay

    def probe(path: str, **more: int) -> Manifest:
        return {"httpGet": {"path": path, "port": "private"}, **more}

    return {
        "name": "relay",
        "image": relay.image or owner.default_image,
        "imagePullPolicy": relay.image_pull_policy,
        "args": [
            *("--config", f"{CONFIG_DIR}/{CONFIG_FILE}", "--secrets", SECRETS_DIR),
            *("--ca-bundle", f"{CONFIG_DIR}/{CA_FILE}", "--log-format", "json"),
        ],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            *(one for one in relay.env or [] if one.get("name") not in _OUR_ENV),
        ],
        "ports": [
            {"name": "public", "containerPort": names.PUBLIC_PORT, "protocol": "TCP"},
            {"name": "private", "containerPort": names.PRIVATE_PORT, "protocol": "TCP"},
        ],
        "startupProbe": probe("/healthz", periodSeconds=1, failureThreshold=60, timeoutSeconds=2),
        "readinessProbe": probe("/readyz", periodSeconds=2, failureThreshold=1, timeoutSeconds=2),
        "livenessProbe": probe(
            "/healthz", periodSeconds=10, failureThreshold=6, timeoutSeconds=5, terminationGracePeriodSeconds=HUNG_SECONDS
        ),
        "resources": relay.resources if relay.resources is not None else DEFAULT_RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
            {"name": "secrets", "mountPath": SECRETS_DIR, "readOnly": True},
        ],
    }


def _placed(owner: Owner) -> dict[str, Any]:
    relay = owner.spec.relay
    chosen: dict[str, Any] = {
        "nodeSelector": relay.node_selector,
        "affinity": relay.affinity,
        "tolerations": relay.tolerations,
        "topologySpreadConstraints": relay.topology_spread_constraints,
        "priorityClassName": relay.priority_class_name,
        "hostAliases": relay.host_aliases,
    }
    if relay.topology_spread_constraints is None and relay.affinity is None:
        # Twice, as each weighs about as much with the scheduler as a node that has the image already: one alone may lose.
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": owner.selector}}
        chosen["topologySpreadConstraints"] = [{"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **term}]
        preferred = [{"weight": 100, "podAffinityTerm": term}]
        chosen["affinity"] = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    return {key: value for key, value in chosen.items() if value is not None}


def relay_deployment(owner: Owner, replicas: int | None = None) -> Manifest:
    """Returns the Deployment, of as many `replicas` as calls need, or else as the object says.

    A new configuration or prompt does not change it: pods are not replaced for a prompt; nor for what they are scraped by, which is put on
    the pods (`policy/rollout.py`).
    """
    relay = owner.spec.relay
    name = owner.relay
    annotations = {"kubectl.kubernetes.io/default-container": "relay", **relay.pod_annotations}
    pod: Manifest = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(owner),
        "securityContext": {
            "runAsNonRoot": True,
            **({} if owner.any_user_id else {"runAsUser": USER_ID, "runAsGroup": USER_ID, "fsGroup": USER_ID}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(owner)],
        "volumes": [{"name": "config", "configMap": {"name": name, "defaultMode": 0o440}}, _secret_volume(owner)],
        **_placed(owner),
    }
    if relay.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": ref.name} for ref in relay.image_pull_secrets]
    body: Manifest = {
        "spec": {
            "replicas": relay.replicas if replicas is None else replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "selector": {"matchLabels": owner.selector},
            "template": {"metadata": {"labels": {**relay.pod_labels, **owner.labels}, "annotations": annotations}, "spec": pod},
        }
    }
    return manifest(DEPLOYMENT, owner, name, body)
