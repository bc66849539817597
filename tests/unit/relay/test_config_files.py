"""Reading and swapping the configuration and secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voiceassist_relay.config.files import read_snapshot
from voiceassist_relay.config.snapshot import Snapshot
from voiceassist_relay.config.watch import ConfigWatch
from voiceassist_relay.errors import ConfigRefused
from voiceassist_relay.metrics.relay_metrics import RelayMetrics

SECRETS = {
    "twilio-auth-token": "token-one",
    "twilio-api-key-sid": "SK1",
    "twilio-api-key-secret": "s",
    "model-api-key": "sk-1",
}


class Files:
    def __init__(self, folder: Path) -> None:
        self.config = folder / "relay.json"
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.write()
        for name, value in SECRETS.items():
            (self.secrets / name).write_text(value + "\n")

    def write(self, **changes: Any) -> None:
        document = {
            "host": "assist.example.com",
            "twilio": {"accountSid": "AC" + "0" * 32, "syncServiceSid": "IS" + "0" * 32},
            "prompts": [{"instructions": "One."}],
            **changes,
        }
        new = self.config.with_suffix(".new")
        new.write_text(json.dumps(document))
        new.rename(self.config)

    def watch(self, guard: Any = lambda _: None) -> ConfigWatch:
        self.metrics = RelayMetrics()
        return ConfigWatch(self.config, self.secrets, self.metrics, guard)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_config_files_reads_both_and_strips(files: Files) -> None:
    snapshot = read_snapshot(files.config, files.secrets)
    assert snapshot.secrets.auth_token == "token-one"
    assert snapshot.secrets.auth_tokens == ("token-one",)
    assert "token-one" not in repr(snapshot)
    assert "sk-1" not in repr(snapshot)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model-api-key", None, "model-api-key missing"),
        ("twilio-auth-token", "", "twilio-auth-token missing"),
        ("twilio-api-key-secret", None, "twilio-api-key-secret missing"),
        ("twilio-api-key-sid", None, "twilio-api-key-sid missing"),
        ("model-api-key", "two words", "white space"),
        ("model-api-key", "x" * 5000, "larger than"),
    ],
)
def test_config_files_secrets_refused_by_name_without_their_value(files: Files, name: str, value: str | None, words: str) -> None:
    path = files.secrets / name
    path.unlink() if value is None else path.write_text(value)
    with pytest.raises(ConfigRefused, match=words) as caught:
        read_snapshot(files.config, files.secrets)
    assert value is None or len(value) < 2 or value not in str(caught.value)


def test_config_files_checks_off_needs_no_twilio_secrets(files: Files) -> None:
    files.write(checks="Off")
    for name in SECRETS:
        if name != "model-api-key":
            (files.secrets / name).unlink()
    assert read_snapshot(files.config, files.secrets).secrets.auth_tokens == ()


def test_config_files_absent_config_names_the_file(files: Files) -> None:
    files.config.unlink()
    with pytest.raises(ConfigRefused, match=r"relay\.json: cannot be read"):
        read_snapshot(files.config, files.secrets)


def test_config_files_swap_and_refusal(files: Files) -> None:
    watch = files.watch()
    changes: list[tuple[Snapshot, Snapshot]] = []
    watch.on_change(lambda old, new: changes.append((old, new)))
    watch.look()
    assert changes == []

    files.write(prompts=[{"instructions": "Two."}])
    watch.look()
    assert watch.current().config.prompts[0].instructions == "Two."
    assert len(changes) == 1

    files.config.write_text("{ half")
    watch.look()
    assert watch.current().config.prompts[0].instructions == "Two."
    assert "not JSON" in watch.error
    assert files.metrics.registry.get_sample_value("voiceassist_relay_config_refused_total") == 1

    files.write(prompts=[{"instructions": "Three."}])
    watch.look()
    assert (watch.error, watch.current().config.prompts[0].instructions) == ("", "Three.")
    revision = watch.current().config.config_revision
    assert files.metrics.registry.get_sample_value("voiceassist_relay_config_info", {"revision": revision}) == 1
    infos = [s for m in files.metrics.registry.collect() if m.name == "voiceassist_relay_config_info" for s in m.samples]
    assert len(infos) == 1


def test_config_files_a_listener_that_fails_keeps_no_other_from_the_news(files: Files) -> None:
    watch = files.watch()
    heard: list[str] = []

    def broken(_: Snapshot, __: Snapshot) -> None:
        raise RuntimeError("bug")

    watch.on_change(broken)
    watch.on_change(lambda _, new: heard.append(new.config.prompts[0].instructions))
    for text in ("Two.", "Three."):
        files.write(prompts=[{"instructions": text}])
        watch.look()
    assert heard == ["Two.", "Three."]


def test_config_files_secret_rotation_and_a_secret_that_vanishes(files: Files) -> None:
    watch = files.watch()
    version = watch.current().secrets_version
    (files.secrets / "model-api-key").write_text("sk-2")
    watch.look()
    assert watch.current().secrets.model_key == "sk-2"
    assert watch.current().secrets_version != version
    (files.secrets / "model-api-key").unlink()
    watch.look()
    assert watch.current().secrets.model_key == "sk-2"
    assert "model-api-key" in watch.error


def test_config_files_a_bad_configuration_does_not_keep_a_new_secret_back(files: Files) -> None:
    watch = files.watch()
    files.config.write_text("{ half")
    (files.secrets / "model-api-key").write_text("sk-2")
    watch.look()
    assert watch.current().secrets.model_key == "sk-2"
    assert watch.current().config.prompts[0].instructions == "One."
    assert "not JSON" in watch.error
    (files.secrets / "model-api-key").write_text("two words")
    files.write(prompts=[{"instructions": "Two."}])
    watch.look()
    assert watch.current().config.prompts[0].instructions == "Two."
    assert watch.current().secrets.model_key == "sk-2"
    assert "model-api-key" in watch.error


def test_config_files_guard_applies_to_swaps_too(files: Files) -> None:
    def guard(snapshot: Snapshot) -> None:
        if snapshot.config.checks == "Off":
            raise ConfigRefused("checks: Off, but listening publicly")

    watch = files.watch(guard)
    files.write(checks="Off")
    watch.look()
    assert watch.current().config.checks == "All"
    assert "checks" in watch.error


def test_config_files_a_mounted_volume_is_swapped_by_a_link(tmp_path: Path) -> None:
    """The way the kubelet does it: data directories, and one symbolic link that is renamed over the old one."""
    first = Files(tmp_path)
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    first.config.rename(tmp_path / "v1/relay.json")
    text = (tmp_path / "v1/relay.json").read_text()
    (tmp_path / "v2/relay.json").write_text(text.replace("One.", "Two."))
    (tmp_path / "data").symlink_to("v1")
    first.config.symlink_to("data/relay.json")
    watch = first.watch()
    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").rename(tmp_path / "data")
    watch.look()
    assert watch.current().config.prompts[0].instructions == "Two."
