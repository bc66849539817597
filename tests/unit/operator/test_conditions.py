"""Conditions as a table: one row for each cause; and how they merge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from unit.operator.making import ACCOUNT, LATER, NOW, SYNC, TWILIO, owner, pods, well
from voiceassist_crds.reasons import ConditionType, Reason
from voiceassist_crds.status import MonthSpend, PeerReason, PeerStatus, Spend
from voiceassist_operator.kubernetes.kinds import HTTP_ROUTE
from voiceassist_operator.policy.allowed import Allowed
from voiceassist_operator.policy.canary.progress import Progress
from voiceassist_operator.policy.condition import Condition, merge
from voiceassist_operator.policy.conditions import conditions
from voiceassist_operator.policy.observed import DeploymentFact, Endpoint, EndpointFact, Observed, PromptFact, SecretFact
from voiceassist_operator.policy.ownership import Taken
from voiceassist_operator.policy.plan import make_plan
from voiceassist_operator.policy.resources.network import http_route_problem
from voiceassist_operator.policy.spending import is_limited


def bad(reason: PeerReason) -> PeerStatus:
    return PeerStatus(ok=False, reason=reason, message="it said so", since=2.0)


def everywhere(**change: Any) -> Observed:
    return pods(well(), dict(change), dict(change))


def custom() -> Observed:
    twilio = {
        "accountSid": ACCOUNT,
        "credentialsSecretRef": {"name": "twilio"},
        "sync": {"serviceSid": SYNC},
        "apiUrl": "http://x/{product}",
    }
    return replace(well(), owner=owner(twilio=twilio))


def without_sync() -> Observed:
    return replace(well(), owner=owner(twilio={"accountSid": ACCOUNT, "credentialsSecretRef": {"name": "twilio"}}))


DAY = NOW[:10]


def limited(*spent: float | None, action: str = "Stop", calls: int = 3, untold: int = 0, **budget: float | None) -> Observed:
    """Two relays that share a budget of 10 and seven calls, and say that they spent so much; None: it does not say."""
    prices = [{"model": "m", "textInput": 1, "audioInput": 1, "textOutput": 1}]
    seen = well(limits={"maxCalls": 7, "budget": {"perDay": 10, "action": action, "prices": prices, **budget}})
    told = [
        {
            "active_calls": calls,
            "spend": None
            if cost is None
            else Spend(process=f"p{number}", day=NOW[:10], tokens=1, cost=cost, untold=untold, month=MonthSpend(tokens=9, cost=4 * cost)),
        }
        for number, cost in enumerate(spent)
    ]
    return pods(seen, *({"told": one} for one in told))


def gone_silent(calls: int, *, late: bool = False) -> Observed:
    """The second relay had no call, and does not answer any more; `late`: for so short a time that its answer stands."""
    seen = pods(limited(4, 1, calls=calls), {}, {"told": {"active_calls": 0}, "begun": True, "late": late})
    first, second = seen.pods
    assert first.status is not None
    if late:
        return replace(seen, pods=(first, replace(second, status=first.status.model_copy(update={"active_calls": 0}))))
    return replace(seen, pods=(first, replace(second, status=None)))


def known_endpoint() -> Observed:
    entry = {"type": "EndpointReachable", "status": "True", "reason": "EndpointOK", "message": "", "lastTransitionTime": NOW}
    return replace(well(), endpoint=None, status={"conditions": [entry]})


def not_taken() -> Observed:
    problem = http_route_problem({"metadata": {"name": "support-relay"}})
    return replace(well(), endpoint=EndpointFact(Endpoint.PATH, "it answers 404"), route_problem=problem)


def cut_off(*addresses: str) -> Observed:
    """The first relay gets no answer from these; without any from the second relay."""
    return pods(well(), {"told": {"unreached_relays": list(addresses or ("10.0.0.2:9090",))}})


def cut_off_from_an_ending_one() -> Observed:
    return pods(cut_off(), {}, {"terminating": True})


def cut_off_by_ipv6() -> Observed:
    return pods(cut_off("[fd00:10:244::7]:9090"), {"ip": "fd00:10:244::6"}, {"ip": "fd00:10:244::7"})


def elsewhere(url: str) -> Observed:
    return well(model={"provider": "Compatible", "url": url, "apiKeySecretRef": {"name": "model"}})


def by_hand() -> Observed:
    return well(twilio={**TWILIO, "flex": {"configure": False}})


def spoilt() -> Observed:
    keys = frozenset({"authToken", "apiKeySid", "apiKeySecret", "authTokenSecondary", "ca.crt"})
    why = {"authTokenSecondary": "character 4 is white space", "ca.crt": "no affair of ours"}
    return replace(well(), credentials=SecretFact("twilio", True, keys, "11", why))


ROUTE = {"parentRefs": [{"name": "public"}]}

ROWS: list[tuple[str, Callable[[], Observed], str, str, str, str]] = [
    # name, what is seen, condition, status, reason, words of the message
    ("well", well, "Ready", "True", "Ready", "agents are being helped"),
    ("well", well, "Progressing", "False", "Reconciled", ""),
    ("well", well, "Degraded", "False", "Reconciled", ""),
    ("no Gateway API", lambda: well(httpRoute=ROUTE), "Ready", "False", "KindNotInstalled", "httpRoute needs the kind HTTPRoute"),
    ("a Gateway API", lambda: replace(well(httpRoute=ROUTE), optional_kinds=frozenset([HTTP_ROUTE])), "Ready", "True", "Ready", ""),
    ("a route not taken", not_taken, "EndpointReachable", "False", "PathNotRouted", "404; no Gateway has taken HTTPRoute support-relay"),
    ("not at Google", lambda: well(ingress={"flavour": "GKE"}), "Ready", "False", "KindNotInstalled", "kind BackendConfig"),
    ("well", well, "PromptRolledOut", "True", "RolledOut", "at all 2 relays"),
    (
        "no secret",
        lambda: replace(well(), credentials=SecretFact("twilio")),
        "Ready",
        "False",
        "SecretNotFound",
        "apiKeySecret, apiKeySid, authToken",
    ),
    ("empty key", lambda: replace(well(), model_key=SecretFact("model", True)), "Ready", "False", "SecretIncomplete", "lacks apiKey"),
    ("spoilt key", spoilt, "Ready", "False", "SecretUnusable", "authTokenSecondary: character 4 is white space"),
    (
        "conflicting",
        lambda: replace(well(), conflicting="a/b"),
        "Ready",
        "False",
        "HostConflict",
        "VoiceAssist a/b has host assist.example.com",
    ),
    (
        "unlabelled secret",
        lambda: replace(well(), credentials=replace(well().credentials, released=False)),
        "Ready",
        "False",
        "SecretNotAllowed",
        "kubectl label secret twilio voiceassist.dev/credentials=true",
    ),
    (
        "unlabelled secret, allowed",
        lambda: replace(well(), credentials=replace(well().credentials, released=False), allowed=Allowed(any_secret=True)),
        "Ready",
        "True",
        "Ready",
        "",
    ),
    (
        "Twilio's key for the model",
        lambda: well(model={"apiKeySecretRef": {"name": "twilio", "key": "authToken"}}),
        "Ready",
        "False",
        "SecretNotAllowed",
        "authToken, which is for Twilio alone",
    ),
    ("model elsewhere", lambda: elsewhere("wss://evil.example/v1"), "Ready", "False", "NotAllowed", "model.url leads to evil.example"),
    (
        "model elsewhere, allowed",
        lambda: replace(elsewhere("wss://evil.example/v1"), allowed=Allowed(model_hosts=("*.example",))),
        "Ready",
        "True",
        "Ready",
        "",
    ),
    (
        "model elsewhere, sandbox",
        lambda: replace(elsewhere("ws://sandbox-openai/v1"), custom_endpoints=True),
        "Ready",
        "True",
        "Ready",
        "",
    ),
    ("another image", lambda: well(relay={"image": "evil.example/relay:1"}), "Ready", "False", "NotAllowed", "evil.example/relay"),
    ("another tag", lambda: well(relay={"image": "registry.example/relay:2"}), "Ready", "True", "Ready", ""),
    (
        "a snippet",
        lambda: well(ingress={"annotations": {"nginx.ingress.kubernetes.io/server-snippet": "return 200;"}}),
        "Ready",
        "False",
        "NotAllowed",
        "nginx.ingress.kubernetes.io/server-snippet",
    ),
    (
        "name taken",
        lambda: replace(well(), taken=(Taken("Service", "support-relay", "Deployment shop"),)),
        "Ready",
        "False",
        "NameTaken",
        "Service support-relay (of Deployment shop)",
    ),
    ("custom", custom, "Ready", "False", "CustomEndpointsNotAllowed", "--allow-custom-endpoints"),
    ("custom, allowed", lambda: replace(custom(), custom_endpoints=True), "Ready", "True", "Ready", ""),
    ("no sync", without_sync, "Ready", "False", "TwilioPending", "Sync service"),
    ("no sync", without_sync, "SyncConfigured", "False", "TwilioPending", ""),
    (
        "no prompt",
        lambda: replace(well(), prompt=PromptFact(None, Reason.PROMPT_SOURCE_NOT_FOUND, "ConfigMap p")),
        "Ready",
        "False",
        "PromptSourceNotFound",
        "ConfigMap p",
    ),
    (
        "long prompt",
        lambda: replace(well(), prompt=PromptFact(None, Reason.PROMPT_TOO_LONG, "40000")),
        "PromptRolledOut",
        "False",
        "NotReady",
        "no valid configuration",
    ),
    ("no valid configuration", lambda: replace(well(), prompt=PromptFact("")), "Ready", "False", "InvalidSpec", "instructions"),
    ("refused by the cluster", lambda: replace(well(), apply_error="quota"), "Ready", "False", "ApplyFailed", "quota"),
    ("paused", lambda: replace(well(), owner=owner(paused=True)), "Progressing", "False", "Paused", "spec.paused"),
    ("starting", lambda: everywhere(ready=False), "RelayAvailable", "False", "RelaysStarting", "no relay pod is ready"),
    ("scaled to none", lambda: replace(well(relay={"replicas": 0}), pods=()), "RelayAvailable", "False", "NoRelays", "scale it up"),
    ("scaled to none", lambda: replace(well(relay={"replicas": 0}), pods=()), "PromptRolledOut", "False", "NoRelays", ""),
    ("image", lambda: everywhere(ready=False, waiting_reason="ImagePullBackOff"), "Ready", "False", "ImagePullFailed", "relay.image"),
    (
        "crash",
        lambda: everywhere(ready=False, waiting_reason="CrashLoopBackOff", restarts=4),
        "Ready",
        "False",
        "RelaysCrashing",
        "4 restarts",
    ),
    ("no node", lambda: everywhere(ready=False, unschedulable="0/2 nodes"), "Ready", "False", "Unschedulable", "0/2 nodes"),
    (
        "quota of pods",
        lambda: replace(well(), pods=(), deployment=DeploymentFact(2, 0, 0, 0, True, "exceeded quota")),
        "RelayAvailable",
        "False",
        "ApplyFailed",
        "exceeded quota",
    ),
    ("one of two", lambda: pods(well(), {"ready": False}), "Ready", "True", "Ready", "1 of 2"),
    ("one of two", lambda: pods(well(), {"ready": False}), "Degraded", "True", "RelaysStarting", "1 of 2"),
    ("draining one", lambda: pods(well(), {"terminating": True, "ready": False}), "PromptRolledOut", "True", "RolledOut", "all 1"),
    ("model refused", lambda: everywhere(told={"model": bad(PeerReason.REFUSED)}), "Ready", "False", "ModelRefused", "2 of 2 relays"),
    ("quota", lambda: everywhere(told={"model": bad(PeerReason.QUOTA)}), "ModelReachable", "False", "ModelQuota", "it said so"),
    ("model name", lambda: everywhere(told={"model": bad(PeerReason.MISCONFIGURED)}), "ModelReachable", "False", "ModelMisconfigured", ""),
    (
        "model tried",
        lambda: pods(well(), {"told": {"model_family": "GPTRealtime2", "model_trial": "PCMU: answers with a tool call"}}),
        "ModelReachable",
        "True",
        "ModelOK",
        "family GPTRealtime2; PCMU: answers with a tool call",
    ),
    (
        "audio format",
        lambda: everywhere(told={"model": bad(PeerReason.AUDIO_FORMAT)}),
        "ModelReachable",
        "False",
        "AudioFormat",
        "it said so",
    ),
    (
        "agents are not heard",
        lambda: pods(well(), {"told": {"agent_track": bad(PeerReason.MISCONFIGURED)}}),
        "Degraded",
        "True",
        "AgentTrackLost",
        "pod-1: it said so",
    ),
    ("agents are not heard", lambda: pods(well(), {"told": {"agent_track": bad(PeerReason.MISCONFIGURED)}}), "Ready", "True", "Ready", ""),
    (
        "a model ends soon",
        lambda: pods(well(), {"told": {"retiring": ["gpt-realtime ends in 51 days (2027-01-20); choose another", "whisper-1 ends"]}}),
        "Degraded",
        "True",
        "ModelRetiring",
        "gpt-realtime ends in 51 days (2027-01-20); choose another; whisper-1 ends",
    ),
    ("model down", lambda: everywhere(told={"model": bad(PeerReason.SERVER_ERROR)}), "ModelReachable", "False", "ModelUnreachable", ""),
    ("model unknown", lambda: everywhere(told={"model": bad(PeerReason.UNKNOWN)}), "ModelReachable", "Unknown", "Unknown", "no relay"),
    ("model unknown", lambda: everywhere(told={"model": bad(PeerReason.UNKNOWN)}), "Ready", "False", "NotReady", ""),
    ("sync key", lambda: everywhere(told={"sync": bad(PeerReason.REFUSED)}), "SyncConfigured", "False", "SyncRefused", ""),
    ("sync service", lambda: everywhere(told={"sync": bad(PeerReason.MISCONFIGURED)}), "SyncConfigured", "False", "SyncNotFound", ""),
    ("sync down", lambda: everywhere(told={"sync": bad(PeerReason.UNREACHABLE)}), "SyncConfigured", "False", "SyncUnreachable", ""),
    ("unreadable", lambda: everywhere(status=None, unreadable=True), "PromptRolledOut", "False", "StatusUnreadable", "/status"),
    ("silent", lambda: everywhere(status=None), "PromptRolledOut", "False", "PodsNotReporting", "2 of 2"),
    ("silent", lambda: everywhere(status=None), "ModelReachable", "Unknown", "Unknown", ""),
    ("behind", lambda: pods(well(), {"told": {"config_revision": "old"}}), "PromptRolledOut", "False", "RollingOut", "1 of 2"),
    ("behind", lambda: pods(well(), {"told": {"config_revision": "old"}}), "Progressing", "True", "Reconciling", "pod-1"),
    ("refused there", lambda: pods(well(), {"told": {"config_error": "bad"}}), "PromptRolledOut", "False", "ConfigRefused", "pod-1"),
    (
        "pods replaced",
        lambda: replace(well(), deployment=DeploymentFact(2, 2, 1, 3, True)),
        "Progressing",
        "True",
        "Reconciling",
        "replaced",
    ),
    ("dns", lambda: replace(well(), endpoint=EndpointFact(Endpoint.DNS, "x")), "Ready", "False", "DNSFailed", "x"),
    ("certificate", lambda: replace(well(), endpoint=EndpointFact(Endpoint.CERTIFICATE, "x")), "Ready", "False", "CertificateInvalid", "x"),
    ("connection", lambda: replace(well(), endpoint=EndpointFact(Endpoint.CONNECTION, "x")), "Ready", "False", "ConnectionFailed", "x"),
    ("upgrade", lambda: replace(well(), endpoint=EndpointFact(Endpoint.UPGRADE, "x")), "Ready", "False", "UpgradeNotPassed", "x"),
    ("altered", lambda: replace(well(), endpoint=EndpointFact(Endpoint.ALTERED, "x")), "Ready", "False", "RequestAltered", "x"),
    ("path", lambda: replace(well(), endpoint=EndpointFact(Endpoint.PATH, "x")), "Ready", "False", "PathNotRouted", "x"),
    (
        "cannot be dialled",
        lambda: replace(well(), endpoint=EndpointFact(Endpoint.UNTRIED, "x")),
        "EndpointReachable",
        "Unknown",
        "Unknown",
        "x",
    ),
    ("not dialled", lambda: replace(well(), endpoint=None), "EndpointReachable", "Unknown", "Unknown", "not tried"),
    ("dialled by a forerunner", known_endpoint, "Ready", "True", "Ready", ""),
    ("connected", well, "RelaysConnected", "True", "RelaysConnected", ""),
    ("cut off", cut_off, "RelaysConnected", "False", "RelaysCutOff", "1 of 2 relays get no answer from others on port 9090 (pod-1: pod-2)"),
    ("cut off", cut_off, "RelaysConnected", "False", "RelaysCutOff", "kubectl -n team get networkpolicy"),
    ("cut off", cut_off, "Degraded", "True", "RelaysCutOff", "TCP port 9090"),
    ("cut off", cut_off, "Ready", "True", "Ready", "TCP port 9090"),
    ("cut off from a pod that is gone", lambda: cut_off("10.0.0.9:9090"), "RelaysConnected", "True", "RelaysConnected", ""),
    ("cut off from a pod that ends", cut_off_from_an_ending_one, "RelaysConnected", "True", "RelaysConnected", ""),
    ("cut off by IPv6", cut_off_by_ipv6, "RelaysConnected", "False", "RelaysCutOff", "pod-1: pod-2"),
    ("within the limits", lambda: limited(4, 5.9), "WithinLimits", "True", "WithinLimits", ""),
    ("within the limits", lambda: limited(4, 5.9), "Ready", "True", "Ready", ""),
    (
        "spent",
        lambda: limited(4, 6),
        "WithinLimits",
        "False",
        "BudgetSpent",
        "10 by limits.budget.prices, is spent: action Stop",
    ),
    ("spent", lambda: limited(4, 6), "Ready", "False", "BudgetSpent", "raise limits.budget.perDay"),
    ("spent", lambda: limited(4, 6), "Degraded", "True", "BudgetSpent", ""),
    ("spent, drafts off", lambda: limited(4, 6, action="DraftsOff"), "Degraded", "True", "BudgetSpent", "finished suggestions only"),
    ("spent, drafts off", lambda: limited(4, 6, action="DraftsOff"), "Ready", "True", "Ready", ""),
    ("spent, warned", lambda: limited(4, 6, action="Warn"), "WithinLimits", "False", "BudgetSpent", "action Warn"),
    ("spent, warned", lambda: limited(4, 6, action="Warn"), "Degraded", "False", "Reconciled", ""),
    (
        "a relay does not say",
        lambda: limited(4, None),
        "WithinLimits",
        "Unknown",
        "Unknown",
        "do not say what they spend (pod-2)",
    ),
    (
        "spent in the month",
        lambda: limited(2, 2, perMonth=16),
        "WithinLimits",
        "False",
        "BudgetSpent",
        "the budget of 2026-01 (UTC), 16 by limits.budget.prices, is spent: action Stop, so that the model is asked for nothing, and calls "
        "go on without suggestions; raise limits.budget.perMonth, or wait until the next month begins",
    ),
    ("spent in the month", lambda: limited(2, 2, perDay=None, perMonth=16), "Ready", "False", "BudgetSpent", "perMonth"),
    ("within the month's budget", lambda: limited(2, 2, perDay=None, perMonth=17), "WithinLimits", "True", "WithinLimits", ""),
    ("spent in both", lambda: limited(5, 5, perMonth=16), "WithinLimits", "False", "BudgetSpent", "raise limits.budget.perMonth"),
    ("a server does not tell", lambda: limited(4, 5, untold=2), "WithinLimits", "Unknown", "Unknown", "did not tell what 4 responses took"),
    ("spent by one, the other does not say", lambda: limited(10, None), "WithinLimits", "False", "BudgetSpent", ""),
    ("as many calls as may be", lambda: limited(1, 1, calls=4), "WithinLimits", "False", "CallLimitReached", "7 calls"),
    ("as many calls as may be", lambda: limited(1, 1, calls=4), "Ready", "True", "Ready", ""),
    ("silent", lambda: gone_silent(calls=3), "WithinLimits", "Unknown", "Unknown", "1 of 2 relays do not say how many calls they have"),
    ("silent, the other is full", lambda: gone_silent(calls=7), "WithinLimits", "False", "CallLimitReached", ""),
    ("silent for a moment", lambda: gone_silent(calls=3, late=True), "WithinLimits", "True", "WithinLimits", ""),
    ("by hand", by_hand, "FlexConfigured", "False", "NotConfigured", "status.endpoints.functionsUrl"),
    ("new", well, "FlexConfigured", "Unknown", "TwilioPending", "not looked at yet"),
    ("functions", well, "FunctionsConfigured", "True", "Configured", ""),
]


@pytest.mark.parametrize(("name", "seen", "kind", "status", "reason", "words"), ROWS, ids=[f"{row[0]}: {row[2]}" for row in ROWS])
def test_conditions(name: str, seen: Callable[[], Observed], kind: str, status: str, reason: str, words: str) -> None:
    found_here = seen()
    written = make_plan(found_here, NOW).status["conditions"]
    said = set(ConditionType) - (set() if is_limited(found_here) else {ConditionType.WITHIN_LIMITS})
    assert sorted(entry["type"] for entry in written) == sorted(said)
    found = next(entry for entry in written if entry["type"] == kind)
    assert (found["status"], found["reason"]) == (status, reason), found
    assert words in found["message"]
    assert found["observedGeneration"] == 3


def test_conditions_all_that_is_missing_is_said_at_once() -> None:
    seen = replace(well(), credentials=SecretFact("twilio"), model_key=SecretFact("model"))
    message = make_plan(seen, NOW).status["conditions"][0]["message"]
    assert "Secret twilio" in message
    assert "Secret model" in message


def condition(status: bool | None, reason: Reason, message: str = "") -> Condition:
    return Condition(ConditionType.READY, status, reason, message)


def test_conditions_a_transition_is_a_change_of_status() -> None:
    first = merge([], [condition(False, Reason.RELAYS_STARTING)], 1, NOW)
    assert first[0]["lastTransitionTime"] == NOW
    same = merge(first, [condition(False, Reason.DNS_FAILED)], 2, LATER)
    assert (same[0]["lastTransitionTime"], same[0]["observedGeneration"]) == (NOW, 2)
    other = merge(same, [condition(True, Reason.READY)], 2, LATER)
    assert other[0]["lastTransitionTime"] == LATER


def test_conditions_a_canarys_figures_are_in_one_condition_alone() -> None:
    """Where they were in another one too, each turn of the canary would be a write of the status."""
    seen, waits = well(), [f"{n} more turns" for n in (9, 8)]
    config = make_plan(seen, LATER).config
    made = [conditions(seen, config, Progress("old", canary="new", weight=5, steps=3, waits_for=wait), ()) for wait in waits]
    first, later = ({one.type: one.message for one in found} for found in made)
    assert {kind for kind in first if first[kind] != later[kind]} == {ConditionType.PROMPT_ROLLED_OUT}
