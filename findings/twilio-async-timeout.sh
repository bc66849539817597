#!/usr/bin/env bash
# twilio (Python) 9.13.0: the asynchronous client has a parameter `timeout`, "Timeout for the requests (seconds)".
#
# One would expect: a request that takes longer fails after that time, as with the synchronous client of the same package.
# What happens:     the value is kept and never handed to aiohttp; a request lasts as long as the server takes, up to aiohttp's own
#                   five minutes. The synchronous client does as it says, so a service that was moved to the asynchronous one lost it.
# What it costs:    a slow answer holds up whoever waits for it, in a program that believes to be protected.
# What to do:       asyncio.timeout() around each call, or the `timeout` argument of each request.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install twilio==9.13.0 aiohttp==3.14.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import importlib.metadata
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.http_client import TwilioHttpClient

LIMIT, ANSWER = 1.0, 4.0


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(ANSWER)
        try:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"


async def asynchronous():
    async with AsyncTwilioHttpClient(timeout=LIMIT) as client:
        return await client.request("GET", url)


def took(work):
    begin = time.monotonic()
    try:
        outcome = f"answer {work().status_code}"
    except Exception as error:  # which one differs by the library beneath
        outcome = type(error).__name__
    return outcome, time.monotonic() - begin


print("twilio", importlib.metadata.version("twilio"), "- a server that answers after", ANSWER, "s, timeout =", LIMIT)
plain, plain_seconds = took(lambda: TwilioHttpClient(timeout=LIMIT).request("GET", url))
late, late_seconds = took(lambda: asyncio.run(asynchronous()))
print(f"TwilioHttpClient:      {plain} after {plain_seconds:.1f} s")
print(f"AsyncTwilioHttpClient: {late} after {late_seconds:.1f} s")
as_told = "answer" not in plain and plain_seconds < ANSWER and late == "answer 200" and late_seconds >= ANSWER
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
