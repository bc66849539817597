"""The objects that `make cluster` applies besides the chart: the stand-ins with our images, and a VoiceAssist that uses them."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import yaml

from cluster.lab.addresses import INGRESS_DOMAIN
from cluster.lab.images import image_name
from cluster.lab.lab import Lab

ACCOUNT = "AC00000000000000000000000000005a4d"
AUTHORITY_SECRET = "endpoint-ca"
HOST = f"sandbox.{INGRESS_DOMAIN}"
SERVICE_SECONDS = 180.0
"""From a ready pod until its Service leads to it, at most."""


def with_our_images(text: str) -> list[dict[str, Any]]:
    """The objects of a manifest, with the images' public names replaced by those that the cluster has."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replaced(item) for item in value]
        if isinstance(value, str) and value.startswith("voiceassist-") and ":" in value:
            return image_name(value.partition(":")[0].removeprefix("voiceassist-"))
        return value

    return [replaced(document) for document in yaml.safe_load_all(text) if document]


def authority_secret(lab: Lab) -> dict[str, Any]:
    """The Secret by which the operator trusts the ingress controller's certificate."""
    data = {"ca.crt": lab.authority.read_text()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": AUTHORITY_SECRET}, "stringData": data}


def sync_service(lab: Lab, namespace: str) -> str:
    """The SID of a new Sync service at the Twilio stand-in. Raises OSError if it refuses.

    A Service leads nowhere for a moment after its first pod is ready: connections that break are tried again.
    """
    secret = lab.get("secret", "sandbox-twilio", "-n", namespace)["data"]
    user, password = (base64.b64decode(secret[key]) for key in ("apiKeySid", "apiKeySecret"))
    address = lab.get("service", "sandbox-twilio", "-n", namespace)["spec"]["clusterIP"]
    form = urllib.parse.urlencode({"FriendlyName": "sandbox", "AclEnabled": "true"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{lab.forward(address, 80)}/sync/v1/Services", data=form)
    request.add_header("Authorization", f"Basic {base64.b64encode(user + b':' + password).decode()}")
    deadline = time.monotonic() + SERVICE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return str(json.load(answer)["sid"])
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def sandbox_voiceassist() -> dict[str, Any]:
    """A VoiceAssist whose clouds are the stand-ins."""
    twilio = {
        "accountSid": ACCOUNT,
        "credentialsSecretRef": {"name": "sandbox-twilio"},
        "apiUrl": "http://sandbox-twilio/{product}",
    }
    model = {"provider": "Compatible", "url": "ws://sandbox-openai/v1/realtime", "apiKeySecretRef": {"name": "sandbox-openai"}}
    spec = {
        "host": HOST,
        "ingress": {"className": "traefik"},
        "twilio": twilio,
        "model": model,
        "prompt": {"instructions": "Write what the agent can say next, in one or two sentences."},
        "relay": {"replicas": 2, "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}},
    }
    return {"apiVersion": "voiceassist.dev/v1alpha1", "kind": "VoiceAssist", "metadata": {"name": "sandbox"}, "spec": spec}
