"""What a VoiceAssist asks of the Flex configuration, and what others ask before it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT = ""
"""Among claimed queues: the account's default."""


@dataclass(frozen=True, slots=True)
class EarlierClaim:
    """An older VoiceAssist of this account that the operator knows, and what it claims."""

    key: str
    queues: frozenset[str]
    """With DEFAULT for one that names none."""


@dataclass(frozen=True, slots=True)
class FlexDesired:
    """What the object asks for."""

    key: str
    """<namespace>/<name>."""
    uid: str
    since: str
    """When the object was created, RFC 3339."""
    configure: bool = True
    queues: tuple[str, ...] = ()
    earlier: tuple[EarlierClaim, ...] = ()
    known: frozenset[str] = field(default=frozenset(), compare=False)
    """Keys of all objects of this account that the operator knows: their claims are in `older`, or do not count."""

    @property
    def claims(self) -> frozenset[str]:
        """What it claims."""
        return frozenset(self.queues) or frozenset({DEFAULT})
