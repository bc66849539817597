#!/usr/bin/env bash
# Writes requirements/*.lock from what the workspace's pyproject.toml files declare: packages, versions and hashes, no registry's address
# (which is why uv.lock is not kept: it names one for each file). What an image gets has the versions that the tests ran with.
set -euo pipefail
cd "$(dirname "$0")/.."
options=(--quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header)
for own in */pyproject.toml; do options+=(--no-emit-package "voiceassist-${own%/pyproject.toml}"); done
.venv/bin/uv pip compile "${options[@]}" "$@" --group dev -o requirements/dev.lock ./*/pyproject.toml
for group in checkov local; do .venv/bin/uv pip compile "${options[@]}" "$@" --group "$group" -o "requirements/$group.lock"; done
for one in relay operator sim; do
  .venv/bin/uv pip compile "${options[@]}" "$@" -c requirements/dev.lock -o "requirements/$one.lock" "$one/pyproject.toml"
done
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@" \
  -o tests/servers/litellm/requirements.lock tests/servers/litellm/requirements.in
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@" \
  --override tests/servers/speech_to_speech/left_out.in \
  -o tests/servers/speech_to_speech/requirements.lock tests/servers/speech_to_speech/requirements.in
