#!/usr/bin/env bash
# lightkube 1.0.1: a watch breaks off at an object that holds the character U+0085, which other clients read.
#
# One would expect: a watch is one JSON document a line, and a line ends with "\n"; whatever stands inside a JSON string is that string's.
# What happens:     the answer is cut with httpx's iter_lines, which goes by Python's str.splitlines: it ends a line at U+0085 (and U+000B,
#                   U+000C, U+001C to U+001E, which JSON escapes) too. Go's encoder, and so the API server, escapes U+2028 and U+2029 in
#                   strings but writes U+0085 ("next line", in texts that came from a mainframe or a word processor) as it is. Half an
#                   object reaches the decoder: DecodeError out of the watch, at each attempt, as the object is still there.
# What it costs:    one annotation, ConfigMap or custom resource with such a text, and whatever watches its kind sees nothing any more.
# What to do:       read the answer's bytes and split them at b"\n", as is done below for comparison; or list in place of watching.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install lightkube==1.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from lightkube import Client, KubeConfig
from lightkube.resources.core_v1 import ConfigMap


def event(name, text):
    return {
        "type": "ADDED",
        "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "resourceVersion": "1"}, "data": {"text": text}},
    }


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        names = ("plain", "with-u0085")
        lines = [json.dumps(event(name, text), ensure_ascii=False) for name, text in zip(names, ("one two", "one\u0085two"), strict=True)]
        body = "".join(line + "\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

config = KubeConfig.from_dict(
    {
        "clusters": [{"name": "a", "cluster": {"server": url}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
)
client = Client(config=config.get(), namespace="default", trust_env=False)
seen, ended = [], "no error"
try:
    for _, found in client.watch(ConfigMap, namespace="default", server_timeout=1):
        seen.append(found.metadata.name)
        if len(seen) == 2:
            break
except Exception as error:
    ended = f"{type(error).__module__}.{type(error).__name__}: {error}"
with urllib.request.urlopen(f"{url}/api/v1/namespaces/default/configmaps?watch=true") as answer:
    split_at_newline = [json.loads(line)["object"]["metadata"]["name"] for line in answer.read().split(b"\n") if line]

print("lightkube", version("lightkube"))
print("its watch gave:        ", seen, "and then", ended)
print("split at newlines only:", split_at_newline)
as_told = seen == ["plain"] and ended == "msgspec.DecodeError: Input data was truncated" and split_at_newline == ["plain", "with-u0085"]
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
