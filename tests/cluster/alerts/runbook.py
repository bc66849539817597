"""Runbooks followed while their alert fires: each query is asked as the page has it, and has to show something."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from support.eventually import eventually
from voiceassist_demo.prometheus import Prometheus
from voiceassist_monitoring.windows import Scale

FOLDER = Path(__file__).parents[3] / "docs/runbooks"
QUERY = re.compile(r"^([^\n]+)\n\n```promql\n(.*?)\n```", re.MULTILINE | re.DOTALL)
UNITS = {"m": 60, "h": 3600}
SIDES = ("relay", "operator")


class Follower:
    """Follows runbooks for one object after another, at the scale of the rules."""

    def __init__(self, prometheus: Prometheus, scale: Scale) -> None:
        self._prometheus, self._scale = prometheus, scale

    async def follow(self, alert: str, name: str) -> None:
        """Asks every query of an alert's page for the object with this name (empty: the operator's own).

        Fails where one shows nothing, or zeros alone, unless its sentence tells what nothing or 0 means. Queries of the relay's series
        are not asked for an object that has no relays here, nor those of the operator's for one that no operator keeps.
        """
        whom = await self._labels(alert, name)
        sides = await eventually(lambda: self._sides(name, whom), f"{alert}: something is known of {whom}: a scrape may have come too late")
        asked = 0
        for sentence, query in QUERY.findall((FOLDER / f"VoiceAssist{alert}.md").read_text()):
            if not any(f"voiceassist_{side}_" in query for side in sides) and not query.startswith("up{"):
                print(f"{alert}: {sentence} not asked: {name} has no such series here", flush=True)
                continue
            asked += 1
            scaled = self._scaled(query.replace('namespace="shop",name="support"', _chosen(whom)))
            what = f"{alert}: {sentence}\n{query}\nshows something for {whom or 'the operator'}"
            told = await eventually(partial(self._told, scaled, sentence), what)
            print(f"{alert}: {sentence} {told}", flush=True)
        assert asked, f"{alert}: none of its queries was asked"

    async def _sides(self, name: str, whom: dict[str, str]) -> list[str]:
        """Who has series of it."""
        return [side for side in SIDES if not name or await self._ask(f'{{__name__=~"voiceassist_{side}_.+",{_chosen(whom)}}}')]

    async def _told(self, query: str, sentence: str) -> str:
        """What a query shows; empty where it shows nothing, or zeros alone, which its sentence does not speak of."""
        found = await self._ask(query)
        told = any(float(one["value"][1]) for one in found) or re.search(r"\bnothing\b|\b0\b", sentence.lower())
        return _shown(found) if told else ""

    async def _labels(self, alert: str, name: str) -> dict[str, str]:
        """Namespace and name, out of the labels of the alert that fires (or did just now): where the page says they are."""
        matchers = f'alertname="VoiceAssist{alert}",name="{name}",alertstate="firing"'
        found = await self._prometheus.query(f"last_over_time(ALERTS{{{matchers}}}[1m])")
        assert found, f"{alert} does not fire for {name or 'the operator'}"
        return {key: found[0]["metric"][key] for key in ("namespace", "name")} if name else {}

    async def _ask(self, query: str) -> list[dict[str, Any]]:
        return [one for one in await self._prometheus.query(query) if one["value"][1] != "NaN"]

    def _scaled(self, query: str) -> str:
        return re.sub(r"\[(\d+)([mh])\]", lambda found: f"[{self._scale.duration(int(found[1]) * UNITS[found[2]])}]", query)


def _chosen(labels: dict[str, str]) -> str:
    return ",".join(f'{key}="{value}"' for key, value in labels.items())


def _shown(found: list[dict[str, Any]]) -> str:
    """A result in a line: what tells its series apart, and their values."""
    hidden = {"__name__", "namespace", "name", "job"}
    told = []
    for one in sorted(found, key=lambda one: not float(one["value"][1]))[:8]:
        labels = ",".join(value for key, value in sorted(one["metric"].items()) if key not in hidden)
        told.append(f"{labels}={float(one['value'][1]):.3g}" if labels else f"{float(one['value'][1]):.3g}")
    return "; ".join(told) or "(nothing)"
