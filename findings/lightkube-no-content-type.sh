#!/usr/bin/env bash
# lightkube 1.0.1: what a program sees when something between it and the API server answers with an error.
#
# One would expect: lightkube's ApiError, or the HTTP library's HTTPStatusError, both of which name the status: one `except` for each.
# What happens:     an error answer without a Content-Type (RFC 9110 makes the header optional, and load balancers leave it out) is a
#                   KeyError: 'Content-Type'. The status, a 503 that wants to be tried again, is gone from what the program catches.
# What it costs:    a controller that retries what it knows and gives up on what it does not takes a passing fault for a bug.
# What to do:       catch KeyError around calls as a fault that passes, or give the client a transport that adds the header.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install lightkube==1.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lightkube import Client, KubeConfig
from lightkube.resources.core_v1 import ConfigMap

STATUS = b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"try again","reason":"ServiceUnavailable","code":503}'
answers = {}


class Gateway(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, body = answers["next"]
        self.send_response(503)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
config = {
    "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
    "users": [{"name": "me", "user": {"token": "any"}}],
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    "current-context": "here",
}
client = Client(KubeConfig.from_dict(config))


def seen(kind, body):
    answers["next"] = (kind, body)
    try:
        client.get(ConfigMap, "settings", namespace="default")
    except Exception as error:
        return type(error).__name__, str(error).splitlines()[0]
    return "nothing", ""


print("lightkube", importlib.metadata.version("lightkube"), "- a 503")
found = {
    "the API server's own, application/json": seen("application/json", STATUS),
    "a proxy's page, text/html": seen("text/html", b"<h1>busy</h1>"),
    "a balancer's, no Content-Type": seen("", b"busy"),
}
for what, (name, text) in found.items():
    print(f"{what:40} {name}: {text}")
as_told = [name for name, _ in found.values()] == ["ApiError", "HTTPStatusError", "KeyError"]
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
