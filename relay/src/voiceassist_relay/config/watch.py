"""Watches the configuration and the secrets, and swaps the snapshot; a file that does not fit is refused, and the old one stays.

Files are looked at every 250 ms by their status alone (a mounted ConfigMap is swapped by a symbolic link, which inotify on the
file itself would miss) and read when something changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from ..errors import ConfigRefused
from ..logs import blotter
from ..metrics.relay_metrics import RelayMetrics
from .files import read_authorities, read_config, read_secrets, read_snapshot, secrets_version, stamp
from .snapshot import Snapshot

INTERVAL = 0.25
_SHOWN = 20

Guard = Callable[[Snapshot], None]
"""Raises ConfigRefused for a snapshot that this process cannot take (for example: checks off, but listening publicly)."""

log = structlog.get_logger("voiceassist.config")


class ConfigWatch:
    """Holds the snapshot in force; `current` is what everyone asks."""

    def __init__(self, config: Path, secrets: Path, metrics: RelayMetrics, guard: Guard, ca_bundle: Path | None = None) -> None:
        """Reads the first snapshot. Raises ConfigRefused."""
        self._config, self._secrets, self._metrics, self._guard = config, secrets, metrics, guard
        self._ca_bundle = ca_bundle
        self._seen = stamp(config, secrets, ca_bundle)
        snapshot = read_snapshot(config, secrets, ca_bundle)
        guard(snapshot)
        self._snapshot = snapshot
        self._listeners: list[Callable[[Snapshot, Snapshot], None]] = []
        self.error = ""
        metrics.belongs_to(snapshot.config.namespace, snapshot.config.name)
        metrics.config_in_force(snapshot.config.config_revision)
        self._take(snapshot)

    def current(self) -> Snapshot:
        """The snapshot in force."""
        return self._snapshot

    def on_change(self, listener: Callable[[Snapshot, Snapshot], None]) -> None:
        """Calls `listener(old, new)` after every swap."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Watches until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            self.look()

    def look(self) -> None:
        """Looks once, and swaps if something changed."""
        seen = stamp(self._config, self._secrets, self._ca_bundle)
        if seen == self._seen:
            return
        self._seen = seen  # a writer that was halfway changes the files' status again when it is done
        new, problems = self._read()
        self._refused("; ".join(problems))
        if new == self._snapshot:
            return
        old, self._snapshot = self._snapshot, new
        self._take(new)
        if old.config != new.config:
            self._metrics.config_in_force(new.config.config_revision)
            log.info("configuration in force", revision=new.config.config_revision, prompts=[p.revision for p in new.config.prompts])
        if old.secrets != new.secrets:
            log.info("secrets in force")
        for listener in self._listeners:
            try:
                listener(old, new)
            except Exception:  # the watch goes on, and so do the others
                log.exception("a part of the relay did not take the new configuration")

    def _take(self, snapshot: Snapshot) -> None:
        """What is to be known of a snapshot before anything is done with it."""
        blotter.hide(snapshot.secrets.values)
        if snapshot.passed_over:
            self._metrics.other_version("config_field", len(snapshot.passed_over))
            log.warning("fields of another version are passed over", fields=list(snapshot.passed_over[:_SHOWN]))

    def _read(self) -> tuple[Snapshot, list[str]]:
        """What can be used of the files, and why the rest cannot: a bad configuration does not keep a new secret back, nor the reverse."""
        problems, new = [], self._snapshot
        try:
            config, passed_over = read_config(self._config)
            changed = replace(new, config=config, passed_over=passed_over, authorities=read_authorities(self._ca_bundle))
            self._guard(changed)
            new = changed
        except ConfigRefused as error:
            problems.append(str(error))
        try:
            secrets = read_secrets(self._secrets, new.config.checks)
            new = replace(new, secrets=secrets, secrets_version=secrets_version(self._config, self._secrets))
        except ConfigRefused as error:
            problems.append(str(error))
        return new, problems

    def _refused(self, problem: str) -> None:
        if problem and problem != self.error:
            self._metrics.config_refused()
            log.error("configuration refused, the old one stays", problem=problem)
        self.error = problem
