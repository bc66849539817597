#!/usr/bin/env bash
# openai (Python) 3.54.0: a Realtime connection gives each event of the server as an object of the class that its `type` names.
#
# One would expect: an event whose type this version does not know raises an error, or is an object of some neutral class.
# What happens:     it is an object of the first class of the list, ConversationCreatedEvent, with the `type` it came with and None in
#                   fields that this class declares to be there. `isinstance(event, ConversationCreatedEvent)` and `match` on classes
#                   take it for the beginning of a conversation, and type checkers agree that `event.conversation.id` is safe.
# What it costs:    the server may send new types at any time; a program that goes by classes acts on the wrong event, or ends in an
#                   AttributeError far from the cause.
# What to do:       go by `event.type` alone, and pass over what is not known.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install 'openai[realtime]==3.54.0' websockets==15.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import importlib.metadata
import json

from openai import AsyncOpenAI
from openai.types.realtime import ConversationCreatedEvent
from websockets.asyncio.server import serve

PLACE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
SENT = [
    {"type": "response.output_text.delta", "event_id": "event_1", **PLACE, "delta": "Hello"},
    {"type": "response.new_in_some_later_version", "event_id": "event_2", "response_id": "resp_1", "confidence": 0.5},
]


async def talk(connection):
    for event in SENT:
        await connection.send(json.dumps(event))
    await connection.wait_closed()


async def main():
    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = AsyncOpenAI(api_key="none", websocket_base_url=f"ws://127.0.0.1:{port}/v1")
        async with client.realtime.connect(model="any") as connection:
            return [await connection.recv() for _ in SENT]


print("openai", importlib.metadata.version("openai"))
known, unknown = asyncio.run(asyncio.wait_for(main(), 30))
for event in (known, unknown):
    print(f"{event.type}: {type(event).__name__}")
print("its field `conversation`:", getattr(unknown, "conversation", "none"))
as_told = isinstance(unknown, ConversationCreatedEvent) and unknown.type == SENT[1]["type"] and unknown.conversation is None
as_told = as_told and type(known).__name__ == "ResponseTextDeltaEvent"
print("as told" if as_told else "NOT AS TOLD: the behaviour has changed")
raise SystemExit(0 if as_told else 1)
PYTHON
