"""The cluster as the operator uses it: objects as dicts, server-side apply with one field manager, no write without the Lease."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import httpx2
import msgspec
import yaml
from lightkube import AsyncClient, KubeConfig
from lightkube.config.client_adapter import AsyncClient as connect_http
from lightkube.config.client_adapter import ConnectionParams, verify_cluster
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from ..errors import Contended, Forbidden, NotThere, Permanent, Retryable, UnknownKind
from .answers import NO_SUCH_PATH, NOT_FOUND, NOT_FROM_THE_API, ApiTransport
from .kinds import KINDS, MANAGER, SECRET, Kind, Manifest, Ref, kind_of
from .secrets import is_released

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

    def __init__(self, client: AsyncClient, http: httpx2.AsyncClient, may_write: Callable[[], None]) -> None:
        self._client, self._may_write = client, may_write
        self.any_secret = False
        """Whether Secrets are used that do not say that they may be."""
        self.http = http
        """For what the client library has no form for: watches of metadata."""

    @classmethod
    def connect(cls, may_write: Callable[[], None], sent: Callable[[str, str], None] = lambda *_: None) -> Cluster:
        """Connects by the pod's service account, or by $KUBECONFIG. Raises Permanent where there is neither.

        `sent` is told of each request: what it does, and to what.
        """
        timeout = httpx2.Timeout(10.0, read=20.0)
        try:
            # Read here, as the client looks at neither when it is to ignore proxies of the environment.
            config = KubeConfig.from_env().get()
            if config is None or config.user is None:
                raise ConfigError("the context names no user")
            tls = verify_cluster(config.cluster, config.user, config.abs_file, trust_env=False)
            transport: Any = ApiTransport(tls, sent=sent)
            client = AsyncClient(config=config, field_manager=MANAGER, timeout=timeout, trust_env=False, transport=transport)
            watching: Any = ApiTransport(tls, sent=sent)  # of their own: watches hold connections for good
            http = connect_http(config, ConnectionParams(timeout=timeout, trust_env=False, transport=watching))
            return cls(client, http, may_write)
        except (ConfigError, OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
            text = "no cluster: neither a service account nor KUBECONFIG can be used"
            raise Permanent(f"{text}; run in a pod with a service account, or set KUBECONFIG") from None

    async def close(self) -> None:
        """Closes all connections, in the loop that used them."""
        await self._client.close()
        await self.http.aclose()

    async def get(self, kind: Kind, name: str, namespace: str) -> Manifest | None:
        """Returns an object, or None where the API server says that there is none. Raises OperatorError."""
        try:
            with _errors(f"get {kind.name} {name}"):
                return _object(await self._client.get(RESOURCES[kind], name, namespace=namespace))
        except NotThere:
            return None

    async def credentials(self, name: str, namespace: str) -> Manifest | None:
        """Returns a Secret, or None where there is none that may be used. Raises OperatorError."""
        found = await self.get(SECRET, name, namespace)
        return found if found is not None and (self.any_secret or is_released(found)) else None

    async def list(self, kind: Kind, namespace: str, labels: dict[str, str] | None = None) -> list[Manifest]:
        """Returns all objects of a kind with these labels; of all namespaces with "*".

        Raises OperatorError; UnknownKind where the API server does not know the kind.
        """
        with _errors(f"list {kind.name}"):
            found = self._client.list(RESOURCES[kind], namespace=namespace, labels=cast(Any, labels))
            return [_object(item) async for item in found]

    async def find(self, kind: Kind, name: str, namespace: str) -> Manifest | None:
        """Returns an object by its name, or None, with the right to list alone. Raises OperatorError."""
        with _errors(f"list {kind.name}"):
            found = self._client.list(RESOURCES[kind], namespace=namespace, fields=cast(Any, {"metadata.name": name}))
            return next(iter([_object(item) async for item in found]), None)

    async def apply(self, manifest: Manifest) -> Manifest:
        """Applies a manifest server-side: fields that others own and we do not name stay. Returns the object as it is now.

        With `metadata.uid` it is for that object alone. Raises OperatorError, Contended where another one is in its place.
        """
        kind = kind_of(manifest)
        self._may_write()
        with _errors(f"apply {kind.name} {manifest['metadata']['name']}"):
            return _object(await self._client.apply(RESOURCES[kind](manifest), field_manager=MANAGER, force=True))

    async def patch(self, kind: Kind, name: str, namespace: str, body: Manifest, *, sub: str = "", by_key: bool = False) -> Manifest | None:
        """Merge patch; of the status with sub="status". Returns the object as it is now, None where it is gone. Raises OperatorError.

        `by_key`: what a list has besides stays, where the kind says by which key its items are told apart.
        """
        self._may_write()
        resource = RESOURCES[kind].Status if sub == "status" else RESOURCES[kind]
        how = PatchType.STRATEGIC if by_key else PatchType.MERGE
        with contextlib.suppress(NotThere), _errors(f"patch {kind.name} {name}"):
            return _object(
                await self._client.patch(resource, name, cast(Any, body), namespace=namespace, patch_type=how, field_manager=MANAGER)
            )
        return None

    async def delete(self, ref: Ref, namespace: str) -> None:
        """Deletes an object; one that is gone is no error. Raises OperatorError."""
        self._may_write()
        with contextlib.suppress(NotThere), _errors(f"delete {ref.kind.name} {ref.name}"):
            await self._client.delete(RESOURCES[ref.kind], ref.name, namespace=namespace)

    async def create(self, manifest: Manifest) -> Manifest:
        """Creates an object. Raises Retryable where it exists."""
        self._may_write()
        return await self.create_unguarded(manifest)

    async def create_unguarded(self, manifest: Manifest) -> Manifest:
        """Creates an object without holding the Lease: for the Lease itself. Raises OperatorError, Retryable where it exists."""
        wanted = RESOURCES[kind_of(manifest)](manifest)
        with _errors(f"create {manifest['kind']}"):
            return _object(await self._client.create(wanted))

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replaces an object at its resourceVersion, without holding the Lease: for the Lease itself.

        Raises Retryable where somebody was faster.
        """
        wanted = RESOURCES[kind_of(manifest)](manifest)
        with _errors(f"replace {manifest['kind']}"):
            return _object(await self._client.replace(wanted))


def _object(answer: Any) -> Manifest:
    """The object that an answer of 200 has. Raises ValueError where it has none."""
    metadata = answer.get("metadata") if isinstance(answer, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(key), str) for key in ("name", "resourceVersion")):
        raise ValueError("no object")
    return cast(Manifest, answer)


@contextlib.contextmanager
def _errors(what: str) -> Iterator[None]:
    """Whatever the client library raises becomes an OperatorError; `what` was tried."""
    try:
        yield
    except ApiError as error:
        raise _mapped(error, what) from error
    except httpx2.HTTPError as error:
        raise Retryable(f"{what}: {type(error).__name__}", RETRY_SECONDS) from error
    except ConfigError as error:  # the service account's token was away for a moment
        raise Retryable(f"{what}: the service account's token cannot be had", RETRY_SECONDS) from error
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        text = f"{what}: HTTP 200, but no answer of the API server's; what stands before it?"
        raise Retryable(text, RETRY_SECONDS) from error


def _mapped(error: ApiError, what: str) -> Retryable | Permanent:
    code, reason = error.status.code or 0, error.status.reason or ""
    text = f"{what}: {error.status.message or code}"
    if code == 404 and reason in {NOT_FOUND, NO_SUCH_PATH}:
        return NotThere(text, SLOW_SECONDS) if reason == NOT_FOUND else UnknownKind(text, SLOW_SECONDS)
    if reason != NOT_FROM_THE_API and (code == 422 or (code == 403 and "is being terminated" in text)):
        return Permanent(text)
    if code == 409:
        return Contended(text, CONFLICT_SECONDS)
    if code == 403 and reason != NOT_FROM_THE_API:
        return Forbidden(text, SLOW_SECONDS)
    return Retryable(text, RETRY_SECONDS)
