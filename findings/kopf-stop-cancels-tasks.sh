#!/usr/bin/env bash
# kopf 1.45.2: what becomes of a program's own asyncio tasks when the operator that is embedded in its loop is stopped.
#
# One would expect: kopf.operator() ends the tasks that it has made, as any coroutine that others await beside their own work.
# What happens:     at its end, an ordinary one by stop_flag too, it cancels every task of the loop that was made after it began: whatever
#                   is not its own and was not there before counts as left hanging. Tasks that were made before go on.
# What it costs:    the last work of a program (a Lease that is given back, logs and metrics that are sent, a server that still answers
#                   probes) is cancelled if it was begun while the operator ran; an operator that is begun anew in the same process, after
#                   a failure, takes away what the program had begun meanwhile.
# What to do:       make one's own tasks before kopf.operator() begins, or give it a loop and a thread of its own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install kopf==1.45.2
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import importlib.metadata
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kopf

DISCOVERY = {
    "/version": {"major": "1", "minor": "35"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {"kind": "APIGroupList", "groups": []},
}
logging.disable(logging.CRITICAL)


class EmptyCluster(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(DISCOVERY.get(self.path.partition("?")[0], {})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def main(address):
    registry, stop = kopf.OperatorRegistry(), asyncio.Event()

    @kopf.on.login(registry=registry)
    def login(**_):
        return kopf.ConnectionInfo(server=address)

    before = asyncio.create_task(asyncio.sleep(600))
    running = asyncio.create_task(kopf.operator(registry=registry, standalone=True, clusterwide=True, stop_flag=stop))
    await asyncio.sleep(1)
    during = asyncio.create_task(asyncio.sleep(600))
    await asyncio.sleep(1)
    stop.set()
    await running
    await asyncio.sleep(0.1)
    return {"made before kopf.operator() began": before.cancelled(), "made while it ran": during.cancelled()}


server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyCluster)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("kopf", importlib.metadata.version("kopf"), "- an operator that watches nothing, stopped by its stop_flag without an error")
found = asyncio.run(main(f"http://127.0.0.1:{server.server_port}"))
for what, cancelled in found.items():
    print(f"our task {what:34} {'cancelled by kopf' if cancelled else 'goes on'}")
as_told = list(found.values()) == [False, True]
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
