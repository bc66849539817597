"""What users see of the relay stays as it is: the command's help, byte for byte, and what Prometheus reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from voiceassist_relay.cli import parser
from voiceassist_relay.metrics.relay_metrics import RelayMetrics

GOLDENS = Path(__file__).parent / "goldens"


def test_goldens_the_commands_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert parser().format_help() == (GOLDENS / "help.txt").read_text()


def test_goldens_the_series_from_the_start() -> None:
    """Names, types, labels and their order; the texts of help are those of docs/metrics.md."""
    lines = generate_latest(RelayMetrics().registry).decode().splitlines()
    shown = [line for line in lines if line.startswith("# TYPE voiceassist") or line.startswith("voiceassist")]
    series = [line if line.startswith("#") else line.rsplit(" ", 1)[0] for line in shown]
    assert series == (GOLDENS / "series.txt").read_text().splitlines()
