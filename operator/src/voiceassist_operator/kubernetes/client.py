"""The cluster as the operator uses it: objects as dicts, server-side apply with one field manager, no write without the Lease."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx2
from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from ..errors import Permanent, Retryable
from .kinds import KINDS, MANAGER, Kind, Manifest, Ref, kind_of

RESOURCES: dict[Kind, Any] = {
    kind: create_namespaced_resource(kind.group, kind.version, kind.name, kind.plural, verbs=None) for kind in KINDS
}
"""The kinds as the client library has them."""
RETRY_SECONDS = 5.0
CONFLICT_SECONDS = 0.2
SLOW_SECONDS = 30.0
"""After what a person has to repair: a right that is missing, a kind that the cluster does not know."""


class Cluster:
    """`may_write` raises NotLeading when no write may begin; it is asked before each."""

    def __init__(self, client: AsyncClient, may_write: Callable[[], None]) -> None:
        self._client, self._may_write = client, may_write

    @classmethod
    def connect(cls, may_write: Callable[[], None]) -> Cluster:
        """Connects by the pod's service account, or by $KUBECONFIG. Raises Permanent where there is neither."""
        timeout = httpx2.Timeout(10.0, read=20.0)
        try:
            # Read here, as the client looks at neither when it is to ignore proxies of the environment.
            config = KubeConfig.from_env().get()
            return cls(AsyncClient(config=config, field_manager=MANAGER, timeout=timeout, trust_env=False), may_write)
        except ConfigError as error:
            raise Permanent(f"no cluster: {error}; run in a pod with a service account, or set KUBECONFIG") from error

    async def get(self, kind: Kind, name: str, namespace: str) -> Manifest | None:
        """Returns an object, or None where there is none. Raises OperatorError."""
        try:
            return cast(Manifest, await self._client.get(RESOURCES[kind], name, namespace=namespace))
        except ApiError as error:
            if error.status.code == 404:
                return None
            raise _mapped(error, f"get {kind.name} {name}") from error
        except httpx2.HTTPError as error:
            raise Retryable(f"get {kind.name} {name}: {type(error).__name__}", RETRY_SECONDS) from error

    async def list(self, kind: Kind, namespace: str, labels: dict[str, str] | None = None) -> list[Manifest]:
        """Returns all objects of a kind with these labels; of all namespaces with "*". Raises OperatorError."""
        return [item async for item in self._items(kind, namespace, labels)]

    async def _items(self, kind: Kind, namespace: str, labels: dict[str, str] | None) -> AsyncIterator[Manifest]:
        try:
            async for item in self._client.list(RESOURCES[kind], namespace=namespace, labels=cast(Any, labels)):
                yield cast(Manifest, item)
        except ApiError as error:
            raise _mapped(error, f"list {kind.name}") from error
        except httpx2.HTTPError as error:
            raise Retryable(f"list {kind.name}: {type(error).__name__}", RETRY_SECONDS) from error

    async def apply(self, manifest: Manifest) -> Manifest:
        """Applies a manifest server-side: fields that others own and we do not name stay. Returns the object as it is now.

        Raises OperatorError.
        """
        kind = kind_of(manifest)
        what = f"apply {kind.name} {manifest['metadata']['name']}"
        self._may_write()
        try:
            made = await self._client.apply(RESOURCES[kind](manifest), field_manager=MANAGER, force=True)
        except ApiError as error:
            raise _mapped(error, what) from error
        except httpx2.HTTPError as error:
            raise Retryable(f"{what}: {type(error).__name__}", RETRY_SECONDS) from error
        return cast(Manifest, made)

    async def patch(self, kind: Kind, name: str, namespace: str, body: Manifest, *, sub: str = "") -> None:
        """Merge patch; of the status with sub="status". An object that is gone is no error. Raises OperatorError."""
        self._may_write()
        resource = RESOURCES[kind].Status if sub == "status" else RESOURCES[kind]
        try:
            await self._client.patch(
                resource, name, cast(Any, body), namespace=namespace, patch_type=PatchType.MERGE, field_manager=MANAGER
            )
        except ApiError as error:
            if error.status.code != 404:
                raise _mapped(error, f"patch {kind.name} {name}") from error
        except httpx2.HTTPError as error:
            raise Retryable(f"patch {kind.name} {name}: {type(error).__name__}", RETRY_SECONDS) from error

    async def delete(self, ref: Ref, namespace: str) -> None:
        """Deletes an object; one that is gone is no error. Raises OperatorError."""
        self._may_write()
        try:
            await self._client.delete(RESOURCES[ref.kind], ref.name, namespace=namespace)
        except ApiError as error:
            if error.status.code != 404:
                raise _mapped(error, f"delete {ref.kind.name} {ref.name}") from error
        except httpx2.HTTPError as error:
            raise Retryable(f"delete {ref.kind.name} {ref.name}: {type(error).__name__}", RETRY_SECONDS) from error

    async def create(self, manifest: Manifest) -> Manifest:
        """Creates an object. Raises Retryable where it exists."""
        self._may_write()
        return await self.create_unguarded(manifest)

    async def create_unguarded(self, manifest: Manifest) -> Manifest:
        """Creates an object without holding the Lease: for the Lease itself. Raises OperatorError, Retryable where it exists."""
        try:
            return cast(Manifest, await self._client.create(RESOURCES[kind_of(manifest)](manifest)))
        except ApiError as error:
            raise _mapped(error, f"create {manifest['kind']}") from error
        except httpx2.HTTPError as error:
            raise Retryable(f"create {manifest['kind']}: {type(error).__name__}", RETRY_SECONDS) from error

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replaces an object at its resourceVersion, without holding the Lease: for the Lease itself.

        Raises Retryable where somebody was faster.
        """
        try:
            return cast(Manifest, await self._client.replace(RESOURCES[kind_of(manifest)](manifest)))
        except ApiError as error:
            raise _mapped(error, f"replace {manifest['kind']}") from error
        except httpx2.HTTPError as error:
            raise Retryable(f"replace {manifest['kind']}: {type(error).__name__}", RETRY_SECONDS) from error


def _mapped(error: ApiError, what: str) -> Retryable | Permanent:
    code = error.status.code or 0
    text = f"{what}: {error.status.message or code}"
    if code == 422 or (code == 403 and "is being terminated" in text):
        return Permanent(text)
    if code == 409:
        return Retryable(text, CONFLICT_SECONDS)
    return Retryable(text, SLOW_SECONDS if code in {403, 404} else RETRY_SECONDS)
