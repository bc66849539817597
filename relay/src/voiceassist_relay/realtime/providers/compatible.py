"""A server that speaks the same protocol (pure): any address, also one without encryption inside the cluster."""

from __future__ import annotations

from .base import Provider


class Compatible(Provider):
    """Nothing is known of it but its address."""

    plain_allowed = True
    known = False
