"""Pods found by their annotations, by a real Prometheus in the cluster; the objectives' series through a roll-out."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import pytest

from cluster.calling import begin
from cluster.lab import Lab
from cluster.lab.places import REPOSITORY
from cluster.scraping import INTERVAL, PAGE, USER, Scraper, account_and_rights, scraping
from cluster.standing import Sandbox, condition, fetch, host_of, put, relay_pods, released, standing, voiceassist, wait_ready
from cluster.waiting import PATIENCE, eventually
from support.load import slowdown
from voiceassist_monitoring.rulefile import plain
from voiceassist_monitoring.rules import groups
from voiceassist_monitoring.slo import Slo, read_slos
from voiceassist_monitoring.windows import HOUR, MINUTE, Scale

SHIPPED = (REPOSITORY / "charts/voiceassist/files/monitoring/rules.yaml").read_text()
SLOS = {slo.id: slo for slo in read_slos((REPOSITORY / "docs/slo.md").read_text())}
BUSY = ("suggestion_latency", "turn_success", "call_acceptance")  # those with events in every window while calls come and go
SCALE = Scale(1 / 20, HOUR)
WINDOW, SHORT = SCALE.seconds(5 * MINUTE), SCALE.duration(5 * MINUTE)
RECORDINGS = ("lost-parcel.wav", "card-charge.wav", "insurance-deductible.wav")
CALL_EVERY_SECONDS = 3.0
FOUND_SECONDS = 20.0  # Prometheus looks at what it has discovered, and then at what it scrapes, every 5 s each


def quick_rules() -> str:
    """The objectives' rules at a twentieth of their times, evaluated with each scrape; each group tells by `evaluated` when it was."""
    chosen = [group for group in groups(tuple(SLOS.values()), SCALE, INTERVAL) if group["name"] != "voiceassist-causes"]
    for group, slo in zip(chosen, SLOS, strict=True):
        group["rules"].append({"record": "evaluated", "expr": "vector(1)", "labels": {"slo": slo}})
    return plain(chosen)


@contextmanager
def calls_going_on(lab: Lab, place: Sandbox) -> Iterator[Callable[[], int]]:
    """A new call every few seconds, and the end of all of them at the end; gives how many have begun."""
    over, begun, trouble = threading.Event(), list[str](), list[BaseException]()

    def go_on() -> None:
        try:
            while not over.wait(CALL_EVERY_SECONDS if begun else 0):
                recording = RECORDINGS[len(begun) % len(RECORDINGS)]
                begun.append(begin(lab, place, host_of(place.namespace), recording, hangUp="recording")["callSid"])
        except BaseException as error:
            trouble.append(error)

    caller = threading.Thread(target=go_on)
    caller.start()
    try:
        yield lambda: len(begun)
    finally:
        over.set()
        caller.join(60)
        for call in begun:
            with suppress(OSError):  # most are over
                fetch(f"{place.twilio}/_sim/calls/{call}/complete", {}, method="POST")
    assert not trouble, trouble


def annotated(lab: Lab) -> set[str]:
    """Pods that ask to be scraped, and can be."""
    pods = [pod for pod in lab.get("pods", "-A")["items"] if pod["status"]["phase"] == "Running"]
    asking = [one["metadata"] for one in pods if one["metadata"].get("annotations", {}).get("prometheus.io/scrape") == "true"]
    return {f"{one['namespace']}/{one['name']}" for one in asking}


def all_are_up(lab: Lab, prometheus: Scraper, seconds: float) -> set[str]:
    """Every pod that asks for it is scraped, and no other; each answers."""

    def look() -> set[str]:
        pods, targets = annotated(lab), prometheus.targets()
        up = {f"{labels['namespace']}/{labels['pod']}": value for labels, value in prometheus.query("up")}
        assert pods, "no pod asks to be scraped"
        return pods if targets == dict.fromkeys(pods, "up") and up == dict.fromkeys(pods, 1.0) else set()

    return eventually("all pods scraped, and no other", look, seconds)


def refused(lab: Lab) -> list[dict[str, Any]]:
    """What the API server has refused to Prometheus."""
    return [event for event in lab.audit_events(USER) if event.get("responseStatus", {}).get("code", 200) >= 400]


def names(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def gaps(prometheus: Scraper, slo: Slo, whose: str, begin: float, end: float) -> tuple[int, list[float]]:
    """How often an objective's rules were evaluated, and at which of these times (seconds after `begin`) an object had no sample.

    Of the kept samples, as a query would fill a gap of up to five minutes. A sample must be a number where there are always events.
    """
    back = time.time() - begin + 2 * INTERVAL
    times = [at for at in prometheus.samples(f'evaluated{{slo="{slo.id}"}}', back) if begin <= at <= end]
    kept = prometheus.samples(f"{slo.recorded(SHORT)}{{{whose}}}", back)
    known = {at for at, value in kept.items() if slo.id not in BUSY or not math.isnan(value)}
    return len(times), [round(at - begin, 1) for at in times if at not in known]


def scraped(prometheus: Scraper, pod: str) -> list[float]:
    """When a pod answered."""
    return [at for at, value in prometheus.samples(f'up{{pod="{pod}"}}', 300).items() if value == 1]


def ready_since(pod: Mapping[str, Any]) -> float:
    """When a pod became ready, in seconds since the epoch."""
    [ready] = [one for one in pod["status"]["conditions"] if one["type"] == "Ready"]
    assert ready["status"] == "True"
    return datetime.fromisoformat(ready["lastTransitionTime"]).timestamp()


@pytest.mark.timeout(900, func_only=True)
def test_pods_are_found_by_their_annotations_and_a_roll_out_leaves_no_gap(lab: Lab, namespace: str) -> None:
    _, rights = account_and_rights()
    with (
        lab.namespace("observed-system") as home,
        released(lab, home, watch__allNamespaces=True),
        scraping(lab, {"shipped.yaml": SHIPPED, "quick.yaml": quick_rules()}) as prometheus,
    ):
        # Without the page's rights nothing is found.
        eventually("a refusal", lambda: refused(lab))
        assert prometheus.targets() == {}
        assert f"Prometheus {prometheus.ask('status/buildinfo')['version']}," in PAGE.read_text()
        lab.apply(*rights)
        place = standing(lab, namespace, replicas=2)
        eventually("two relays", lambda: condition(lab, namespace, "Progressing").get("status") == "False")
        with calls_going_on(lab, place) as begun:
            found = all_are_up(lab, prometheus, 60)
            old = names(relay_pods(lab, namespace))
            assert len(old) == 2
            assert {one.partition("/")[2] for one in found if one.startswith(f"{namespace}/")} == old
            assert sum(one.startswith(f"{home}/") for one in found) == 1, "the operator"

            # Whose they are: the relays' own word, and the operator's of an object in another namespace than its own.
            ours = f'namespace="{namespace}",name="support"'
            assert {labels["pod"] for labels, _ in prometheus.query(f"voiceassist_relay_max_calls{{{ours}}}")} == old
            nobody_s = f'{{__name__=~"voiceassist_relay_.+",namespace="{namespace}",name!="support"}}'
            assert prometheus.query(nobody_s) == [], "every series of a relay tells whose it is"
            ready = f'voiceassist_operator_condition{{{ours},type="Ready",status="True"}} == 1'
            eventually("the operator's word of the object, which its next scrape brings", lambda: prometheus.query(ready))
            assert prometheus.query('{__name__=~"voiceassist_.+",exported_namespace!=""}') == []

            recorded = [f"{SLOS[slo].recorded(SHORT)}{{{ours}}}" for slo in BUSY]
            eventually("a number for each objective", lambda: all(prometheus.query(f"{one} >= 0") for one in recorded))
            began = time.time()
            put(lab, voiceassist(place, replicas=2, podAnnotations={"example.test/rolled": "once"}))
            leaving: dict[str, float] = {}

            def gone() -> bool:
                pods = lab.get("pods", "-n", namespace, "-l", "app.kubernetes.io/name=voiceassist-relay")["items"]
                for name in names([pod for pod in pods if "deletionTimestamp" in pod["metadata"]]):
                    leaving.setdefault(name, time.time())
                return len(pods) == 2 and not names(pods) & old

            eventually("the old pods gone", gone, every=0.5)
            rolled = time.time()
            wait_ready(lab, namespace)
            new = relay_pods(lab, namespace)
            later = f"timestamp(evaluated) > {rolled + WINDOW}"
            eventually("no old sample in a window", lambda: len(prometheus.query(later)) == len(SLOS), WINDOW + PATIENCE)
            counted = {slo.id: gaps(prometheus, slo, ours, began, rolled + WINDOW) for slo in SLOS.values()}
            assert {slo: missing for slo, (_, missing) in counted.items() if missing} == {}, f"rolled out after {rolled - began:.0f} s"
            assert all(times > 0.5 * (rolled + WINDOW - began) / INTERVAL for times, _ in counted.values()), counted
            assert set(leaving) == old

        # The new pods were found in time; the old ones were scraped while they drained, and are no series any more.
        took = [min(scraped(prometheus, pod["metadata"]["name"])) - ready_since(pod) for pod in new]
        assert max(took) < FOUND_SECONDS * slowdown()
        for name, since in leaving.items():
            assert max(scraped(prometheus, name)) > since
        assert names(new) <= {one.partition("/")[2] for one in all_are_up(lab, prometheus, FOUND_SECONDS)}
        times = min(number for number, _ in counted.values())
        print(f"\n{begun()} calls; rolled out in {rolled - began:.0f} s; no gap at {times} evaluations; new pods scraped ", end="")
        print(f"{max(took):.0f} s after they were ready, old ones for {min(max(scraped(prometheus, n)) - leaving[n] for n in old):.0f} s")

        # The shipped rules, at their own times; and no right was without use.
        shipped = [f"{SLOS[slo].recorded('5m')}{{{ours}}} >= 0" for slo in BUSY]
        eventually("the shipped rules", lambda: all(prometheus.query(one) for one in shipped))
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
        asked = {(event["verb"], event["objectRef"]["resource"]) for event in lab.audit_events(USER) if "objectRef" in event}
        [role] = [one for one in rights if one["kind"] == "ClusterRole"]
        assert asked == {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
