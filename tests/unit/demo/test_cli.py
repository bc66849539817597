"""The demo's command line: what its options make of the relay's configuration."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from voiceassist_crds.config import RelayConfig
from voiceassist_demo.cli import _config, main, parser

TWILIO = {"accountSid": "AC" + "a" * 32, "syncServiceSid": "IS" + "0" * 32}


def test_cli_has_the_model_asked_ahead_of_a_turns_end_if_wanted(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt"
    prompt.write_text("Help.")
    ahead, own = {"model": {"turnDetection": {"eager": {}}}}, {"prompts": [{"instructions": "Help."}]}
    for arguments, config in (([], {}), (["--eager"], ahead), (["--eager", "--prompt", str(prompt)], ahead | own)):
        assert _config(parser().parse_args(arguments)) == config
    assert RelayConfig.parse(json.dumps({"host": "a.example.com", "twilio": TWILIO, **ahead, **own})).model.turn_detection.eager is not None


def test_cli_asks_no_model_ahead_that_cannot_be(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["voiceassist-demo", "--eager", "--local"])
    with pytest.raises(SystemExit):
        main()
    assert "--eager is not for --local" in capsys.readouterr().err
