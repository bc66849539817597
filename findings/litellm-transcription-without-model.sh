#!/usr/bin/env bash
# LiteLLM 1.110.2: a Realtime session for transcription, as OpenAI documents it, is taken for a model that the caller never named.
#
# One would expect: wss://…/v1/realtime?intent=transcription has no `model` in its address, as the model is part of the session's settings
#                   (session.audio.input.transcription.model); a gateway would ask for one, or wait for session.update.
# What happens:     the proxy puts the name "gpt-realtime-whisper" in the place of the missing one. Where its model_list has no such name,
#                   the handshake is answered with 101 all the same, then comes an error event with "Invalid model name passed in
#                   model=gpt-realtime-whisper", then the close 1011.
# What it costs:    a client that takes 101 for success dials again and again, and what it reads names a model that stands in nobody's file.
# What to do:       name the model in the address of a transcription session too, where a gateway may stand between; read what comes after
#                   the 101.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${proxy:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# The extra "proxy" asks for packages that not every index has; these are the ones that the proxy imports.
"$folder/venv/bin/pip" -q --disable-pip-version-check install litellm==1.110.2 \
    uvicorn==0.54.0 gunicorn==23.0.0 uvloop==0.23.0 fastapi==0.165.0 starlette==1.10.0 backoff==2.2.1 pyyaml==6.0.4 rq==2.12.0 \
    orjson==3.13.0 apscheduler==3.11.3 fastapi-sso==0.23.0 pyjwt==2.15.1 python-multipart==0.0.34 cryptography==50.0.2 pynacl==1.6.2 \
    websockets==15.0.1 boto3==1.44.8 mcp==2.3.0 rich==13.9.4 inquirerpy==0.3.4 tomlkit==0.15.2 restrictedpython==8.5 semver==3.1.2 \
    soundfile==0.14.0 expression==5.8.0 backports-zstd==1.8.0 litellm-proxy-extras==0.4.110
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$folder/config.yaml" <<'YAML'
model_list:
  - model_name: words
    litellm_params: {model: openai/gpt-transcribe, api_base: "http://127.0.0.1:9/v1", api_key: sk-upstream}
general_settings: {master_key: sk-gateway}
litellm_settings: {telemetry: false}
YAML
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/litellm" --config "$folder/config.yaml" --host 127.0.0.1 --port "$port" \
    > "$folder/log" 2>&1 &
proxy=$!
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import asyncio
import json
import sys
import time
import urllib.request
from importlib.metadata import version

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PORT = sys.argv[1]
until = time.monotonic() + 180
while time.monotonic() < until:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health/liveliness", timeout=2)
        break
    except OSError:
        time.sleep(0.5)


async def session(query):
    headers = {"Authorization": "Bearer sk-gateway"}
    async with connect(f"ws://127.0.0.1:{PORT}/v1/realtime?{query}", additional_headers=headers, proxy=None) as socket:
        said = []
        try:
            async with asyncio.timeout(30):
                async for message in socket:
                    said.append(json.loads(message))
        except (ConnectionClosed, TimeoutError):
            pass
        return [one.get("error", {}).get("message", one.get("type")) for one in said], socket.close_code


without, code = asyncio.run(session("intent=transcription"))
print("litellm", version("litellm"))
print("?intent=transcription:", without[-1][:160] if without else without, "; close", code)
as_told = bool(without) and "gpt-realtime-whisper" in without[-1] and code == 1011
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
