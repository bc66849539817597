"""Reads a snapshot from files: the configuration's JSON and the secrets directory, one file per secret."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from voiceassist_crds import names
from voiceassist_crds.config import Checks, ModelConfig, RelayConfig
from voiceassist_crds.errors import ContractError
from voiceassist_crds.secret_text import secret_text

from ..errors import ConfigRefused
from .snapshot import Secrets, Snapshot

MAX_CONFIG_BYTES = 1 << 20
MAX_SECRET_BYTES = 4096
MAX_CA_BUNDLE_BYTES = 1 << 20

SECRET_FILES = {
    "auth_token": names.SECRET_AUTH_TOKEN,
    "auth_token_secondary": names.SECRET_AUTH_TOKEN_SECONDARY,
    "api_key_sid": names.SECRET_API_KEY_SID,
    "api_key_secret": names.SECRET_API_KEY_SECRET,
    "model_key": names.SECRET_MODEL_KEY,
}
assert set(SECRET_FILES) == {field.name for field in fields(Secrets)} - {"model_headers"}  # noqa: S101 - a mistake here is a programmer's

Stamp = tuple[tuple[str, int, int, int], ...]


def stamp(config: Path, secrets: Path, ca_bundle: Path | None = None) -> Stamp:
    """What tells that a file changed without reading it: path, inode, time of change (ns), size. Absent files are left out."""
    seen = []
    for path in (
        config,
        *((ca_bundle,) if ca_bundle else ()),
        *(secrets / name for name in SECRET_FILES.values()),
        *_header_files(secrets),
    ):
        try:
            info = path.stat()
        except OSError:
            continue
        seen.append((str(path), info.st_ino, info.st_mtime_ns, info.st_size))
    return tuple(seen)


def _header_files(secrets: Path) -> list[Path]:
    try:
        return sorted(secrets.glob(f"{names.MODEL_HEADER_FILES}*"))
    except OSError:
        return []


def read_config(path: Path) -> tuple[RelayConfig, tuple[str, ...]]:
    """Reads the configuration, and the paths of the fields that this version does not know and passes over. Raises ConfigRefused that
    names each field that does not fit."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigRefused(f"{path}: larger than {MAX_CONFIG_BYTES} bytes")
        text = path.read_bytes()
    except OSError as error:
        raise ConfigRefused(f"{path}: cannot be read ({error.strerror}); --config must name the relay's JSON file") from None
    try:
        return RelayConfig.read(text)
    except ContractError as error:
        raise ConfigRefused(f"{path}: " + "; ".join(error.problems)) from None


def _read_secret(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_SECRET_BYTES:
            raise ConfigRefused(f"{path}: larger than {MAX_SECRET_BYTES} bytes; it must hold one value")
        raw = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigRefused(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return secret_text(raw)
    except ValueError as error:
        raise ConfigRefused(f"{path}: {error}") from None


def read_authorities(path: Path | None) -> str:
    """Reads the CA bundle; empty where there is no such file. Raises ConfigRefused."""
    if path is None:
        return ""
    try:
        if path.stat().st_size > MAX_CA_BUNDLE_BYTES:
            raise ConfigRefused(f"{path}: larger than {MAX_CA_BUNDLE_BYTES} bytes")
        return path.read_text("ascii", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigRefused(f"{path}: cannot be read ({error.strerror})") from None


def read_snapshot(config_path: Path, secrets_path: Path, ca_bundle: Path | None = None) -> Snapshot:
    """Reads and checks all of it. Raises ConfigRefused that names the file or field and what to do; no value is repeated."""
    config, passed_over = read_config(config_path)
    secrets, version = read_secrets(secrets_path, config.checks, config.model), secrets_version(config_path, secrets_path)
    return Snapshot(config, secrets, version, passed_over, read_authorities(ca_bundle))


def secrets_version(config_path: Path, secrets_path: Path) -> str:
    """Changes with the secret files: the time of the newest."""
    return str(max((entry[2] for entry in stamp(config_path, secrets_path) if entry[0] != str(config_path)), default=0))


def read_secrets(secrets_path: Path, checks: Checks, model: ModelConfig | None = None) -> Secrets:
    """Reads the secrets directory. Raises ConfigRefused that names what is missing; no value is repeated."""
    kept = [header.name for header in model.headers if header.value is None] if model is not None else []
    headers = tuple((name, _read_secret(secrets_path / names.model_header_file(name))) for name in kept)
    secrets = Secrets(**{name: _read_secret(secrets_path / file) for name, file in SECRET_FILES.items()}, model_headers=headers)
    required = ["model_key"] if checks is Checks.OFF else ["auth_token", "model_key"]
    missing = [SECRET_FILES[name] for name in required if not getattr(secrets, name)]
    if bool(secrets.api_key_sid) != bool(secrets.api_key_secret):
        missing.append(SECRET_FILES["api_key_secret" if secrets.api_key_sid else "api_key_sid"])
    missing += [names.model_header_file(name) for name, value in headers if not value]
    if missing:
        raise ConfigRefused(f"{secrets_path}: {', '.join(missing)} missing or empty; put each value into a file of that name")
    return secrets
