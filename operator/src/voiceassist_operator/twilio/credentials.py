"""Opens a VoiceAssist's account: reads the Secret when it is needed, and keeps nothing of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import OperatorError
from ..kubernetes.client import Cluster
from ..kubernetes.secrets import secret_value
from .client import Login, TwilioClient, TwilioPool
from .model.desired import Credentials

_KEYS = ("authToken", "apiKeySid", "apiKeySecret")


class NoCredentials(OperatorError):
    """The Secret is gone, lacks a key, or has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Access:
    """An account, opened: by the API key, and by the account itself (which is what Twilio documents for the Flex configuration)."""

    key: TwilioClient
    account: TwilioClient
    version: str
    """The Secret's resourceVersion."""


async def open_account(cluster: Cluster, pool: TwilioPool, namespace: str, credentials: Credentials) -> Access:
    """Reads the Secret, and returns the account opened by it. Raises NoCredentials."""
    secret = await cluster.credentials(credentials.secret, namespace)
    if secret is None:
        raise NoCredentials(f"Secret {credentials.secret} is not there, or may not be used")
    try:
        values = {key: secret_value(secret, key) for key in _KEYS}
    except ValueError as error:
        raise NoCredentials(f"Secret {credentials.secret} has a value that cannot be used: {error}") from None
    if missing := [key for key, value in values.items() if not value]:
        raise NoCredentials(f"Secret {credentials.secret} lacks {', '.join(missing)}")
    sid, address = credentials.account_sid, credentials.address
    return Access(
        TwilioClient(pool, address, Login(sid, values["apiKeySid"], values["apiKeySecret"])),
        TwilioClient(pool, address, Login(sid, sid, values["authToken"])),
        secret["metadata"]["resourceVersion"],
    )
