"""What the operator says of this relay's public address, as long as it is news. Pure."""

from __future__ import annotations

from voiceassist_crds.endpoint_report import EndpointReport

NEWS_SECONDS = 60.0
"""How long a report stands; the operator asks every 5 s."""


class PublicAddress:
    """The newest report."""

    def __init__(self) -> None:
        self._report: EndpointReport | None = None
        self._at = float("-inf")

    def told(self, report: EndpointReport | None, now: float) -> None:
        """The operator asked; None: it has not dialled yet, or says what this version does not know. `now` in seconds, never going back."""
        self._report, self._at = report, now

    def report(self, now: float) -> EndpointReport | None:
        """The operator's last report; None where there is none, or it is older than a minute."""
        return self._report if now - self._at < NEWS_SECONDS else None
