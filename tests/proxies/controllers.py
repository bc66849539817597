"""What ingress controllers make of an Ingress of ours: the configuration of the proxy that each writes, from its annotations.

Facts of the controllers' documents and templates, in our own words; times are scaled, so that a minute of silence passes in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from unit.operator.making import owner
from voiceassist_operator.policy.resources.network import relay_ingress, relay_service

SCALE = 60
"""So many seconds in the world are one here."""
PING_SECONDS = 20 / SCALE
Configuration = Callable[[int], str]

HEAD = """
worker_processes 1;
pid nginx.pid;
user root;
worker_shutdown_timeout {shutdown};
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream relay {{ server 127.0.0.1:{relay}; keepalive 16; keepalive_timeout 60s; }}
  server {{
    listen 127.0.0.1:{port}{tls};
"""


def scaled(seconds: float) -> str:
    """A time of the world as nginx and HAProxy have it here, in milliseconds."""
    return f"{round(seconds * 1000 / SCALE)}ms"


def ours(**changes: object) -> dict[str, str]:
    """The annotations of our Ingress."""
    made = relay_ingress(owner(pathPrefix="/voice", **changes))
    assert made is not None
    return dict(made["metadata"]["annotations"])


def service() -> str:
    """The name of our Service."""
    return str(relay_service(owner())["metadata"]["name"])


def nginx(relay: int, *lines: str, location: str = "/", to: str = "http://relay", shutdown: str = "4s", tls: str = "") -> Configuration:
    """nginx with one location. `tls`: what listens with TLS."""

    def text(port: int) -> str:
        head = HEAD.format(relay=relay, port=port, shutdown=shutdown, tls=" ssl;\n    " + tls.rstrip(";") if tls else "")
        return head + f"    location {location} {{\n      " + "\n      ".join((*lines, f"proxy_pass {to};")) + "\n    }\n  }\n}\n"

    return text


UPGRADED = ("proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $connection_upgrade;")


def ingress_nginx(relay: int, annotations: Mapping[str, str]) -> Configuration:
    """The community's controller: it passes upgrades on by itself."""
    told = {name.removeprefix("nginx.ingress.kubernetes.io/"): value for name, value in annotations.items()}
    times = [f"proxy_{kind}_timeout {scaled(float(told.get(f'proxy-{kind}-timeout', '60')))};" for kind in ("read", "send")]
    return nginx(relay, *UPGRADED, *times, f"proxy_buffering {told.get('proxy-buffering', 'off')};", shutdown=scaled(240))


def nginx_of_f5(relay: int, annotations: Mapping[str, str]) -> Configuration:
    """F5's controller: it passes upgrades on to the Services that an annotation names."""
    told = {name.removeprefix("nginx.org/"): value for name, value in annotations.items()}
    times = [f"proxy_{kind}_timeout {scaled(float(told.get(f'proxy-{kind}-timeout', '60s').rstrip('s')))};" for kind in ("read", "send")]
    named = service() in told.get("websocket-services", "").split(",")
    plain = ("proxy_http_version 1.1;", 'proxy_set_header Connection "";')
    return nginx(relay, *(UPGRADED if named else plain), *times)


def haproxy(relay: int, *lines: str, server: str = "", stop: str = "30m", times: Mapping[str, float] | None = None) -> Configuration:
    """HAProxy with one backend. `times`: seconds of the world."""
    given = {"connect": 5.0 * SCALE, "client": 50.0, "server": 50.0, **(times or {})}

    def text(port: int) -> str:
        return "\n".join(
            [
                *("global", f"  hard-stop-after {stop}", "defaults", "  mode http"),
                *(f"  timeout {name} {scaled(seconds)}" for name, seconds in given.items()),
                *("frontend public", f"  bind 127.0.0.1:{port}", "  default_backend relay", "backend relay"),
                *(f"  {line}" for line in lines),
                f"  server relay 127.0.0.1:{relay} {server}",
                "",
            ]
        )

    return text


def haproxy_ingress(relay: int, annotations: Mapping[str, str]) -> Configuration:
    """The community's controller of that name."""
    tunnel = annotations.get("haproxy-ingress.github.io/timeout-tunnel", "3600s")
    return haproxy(relay, times={"tunnel": float(tunnel.rstrip("s"))}, stop=scaled(600))


def haproxytech(relay: int, annotations: Mapping[str, str]) -> Configuration:
    """HAProxy Technologies' controller: the time-out of tunnels is in its ConfigMap alone, an hour by default."""
    return haproxy(relay, times={"tunnel": 3600.0}, stop=scaled(1800))
