"""The least that an operator on kopf can do: one applied ConfigMap for each object, nothing looked at, nothing reported."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any

import kopf
from lightkube import AsyncClient, KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

MANAGER = "bare-operator"


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--namespace", required=True)
    asyncio.run(run(options.parse_args().namespace))


async def run(namespace: str) -> None:
    """Until it is ended by a signal."""
    client = AsyncClient(config=KubeConfig.from_env().get(), field_manager=MANAGER, trust_env=False)
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**login: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**login)

    @kopf.on.event("voiceassist.dev", "v1alpha1", "voiceassists", registry=registry)
    async def changed(event: Mapping[str, Any], body: kopf.Body, **_: Any) -> None:
        if event["type"] == "DELETED":
            return
        name = f"{body['metadata']['name']}-relay"
        metadata = ObjectMeta(name=name, namespace=namespace, labels={"bench": "yes"})
        await client.apply(ConfigMap(metadata=metadata, data={"prompt": body["spec"]["prompt"]["instructions"]}), force=True)

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    await kopf.operator(registry=registry, settings=settings, standalone=True, namespaces=[namespace])


if __name__ == "__main__":
    main()
