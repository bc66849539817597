"""LiteLLM's proxy, in whose process api.openai.com is this machine, as with a line in /etc/hosts: it treats that name unlike any other."""

import socket

import uvicorn.config

_asked = socket.getaddrinfo


def _here(host, *rest, **more):
    return _asked("127.0.0.1" if host == "api.openai.com" else host, *rest, **more)


socket.getaddrinfo = _here
uvicorn.config.LOOP_FACTORIES["uvloop"] = uvicorn.config.LOOP_FACTORIES["asyncio"]  # uvloop asks the system itself

if __name__ == "__main__":
    from litellm import run_server

    run_server()
