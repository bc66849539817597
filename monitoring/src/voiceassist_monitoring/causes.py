"""Causes worth waking for: alerts on a fault itself, where the objectives would tell too late or not at all. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .slo import BY
from .windows import MINUTE, Scale, Severity

_WHOM = "{{ $labels.namespace }}/{{ $labels.name }}"
_CONDITION = "voiceassist_operator_condition"
_REASON = "voiceassist_operator_condition_reason"
_USED = "voiceassist_operator_limit_used_ratio"


@dataclass(frozen=True, slots=True)
class Cause:
    """One alert. `promql` may hold `{w}`: a window of `window` seconds, scaled. `lasting` is seconds until it fires."""

    alert: str
    severity: Severity
    promql: str
    lasting: int
    summary: str
    description: str
    window: int = 5 * MINUTE

    def expression(self, scale: Scale) -> str:
        """The expression at a scale."""
        return self.promql.replace("{w}", scale.duration(self.window))


CAUSES = (
    Cause(
        "VoiceAssistNoRelayReady",
        Severity.CRITICAL,
        f'max {BY} ({_CONDITION}{{type="RelayAvailable",status="False"}}) == 1\n'
        f'unless on (namespace, name) max {BY} ({_REASON}{{type="RelayAvailable",reason="NoRelays"}}) == 1',
        2 * MINUTE,
        f"No relay of {_WHOM} is ready: no agent gets suggestions",
        "The operator sees no ready relay pod, though nobody wants none. New calls are refused, calls on pods that went away are lost.",
    ),
    Cause(
        "VoiceAssistModelRefusing",
        Severity.CRITICAL,
        f'min {BY} (voiceassist_relay_peer_up{{peer="model"}}) == 0',
        2 * MINUTE,
        f"The model refuses or cannot be reached from a relay of {_WHOM}",
        "At least one relay cannot open sessions with the model: its key, its quota, its settings, or the way there.",
    ),
    Cause(
        "VoiceAssistSyncFailing",
        Severity.CRITICAL,
        f'min {BY} (voiceassist_relay_peer_up{{peer="sync"}}) == 0',
        2 * MINUTE,
        f"Twilio Sync fails for a relay of {_WHOM}: suggestions do not reach agents",
        "At least one relay cannot write to Sync. Finished suggestions are kept up to a bound and written when it is back.",
    ),
    Cause(
        "VoiceAssistCredentialsRefused",
        Severity.CRITICAL,
        f'max {BY} ({_REASON}{{reason=~"TwilioRefused|TwilioSuspended|ModelRefused|SyncRefused"}}) == 1',
        1 * MINUTE,
        f"Credentials of {_WHOM} are refused",
        "Twilio or the model refuses what is in a Secret. Nothing is tried again until the Secret changes.",
    ),
    Cause(
        "VoiceAssistPromptStuck",
        Severity.WARNING,
        f'max {BY} ({_CONDITION}{{type="PromptRolledOut",status="False"}}) == 1\n'
        f'and on (namespace, name) max {BY} ({_CONDITION}{{type="RelayAvailable",status="True"}}) == 1\n'
        f'unless on (namespace, name) max {BY} ({_REASON}{{type="PromptRolledOut",reason=~"CanaryProgressing|CanaryRejected"}}) == 1',
        3 * MINUTE,
        f"A prompt of {_WHOM} does not reach all relays",
        "Relays are ready, but some do not report the configuration in force: agents are helped with an older prompt.",
    ),
    Cause(
        "VoiceAssistPromptRejected",
        Severity.WARNING,
        f'max {BY} ({_REASON}{{type="PromptRolledOut",reason="CanaryRejected"}}) == 1',
        1 * MINUTE,
        f"A changed prompt of {_WHOM} was taken back",
        "It did worse than the prompt in force, or somebody took it back. Calls have the prompt in force, not the one that the object has.",
    ),
    Cause(
        "VoiceAssistRelaysCutOff",
        Severity.WARNING,
        f'max {BY} ({_CONDITION}{{type="RelaysConnected",status="False"}}) == 1',
        5 * MINUTE,
        f"Relays of {_WHOM} do not reach each other",
        "A relay gets no answer from another one on port 9090: agents' pause, resume and take-over fail for calls that are there.",
    ),
    Cause(
        "VoiceAssistForeignObjects",
        Severity.WARNING,
        f"sum {BY} (increase(voiceassist_relay_foreign_objects_total[{{w}}])) > 0",
        0,
        f"Somebody else makes objects of {_WHOM}'s calls in Twilio Sync",
        "A relay found an object under the name of a call's own that it had not made, and replaced it: a browser tried to get into a call.",
        15 * MINUTE,
    ),
    Cause(
        "VoiceAssistOperatorNotReconciling",
        Severity.WARNING,
        "(absent(voiceassist_operator_leading == 1) == 1)\n"
        "or (sum(increase(voiceassist_operator_reconcile_duration_seconds_count[{w}])) == 0)",
        5 * MINUTE,
        "No operator keeps the VoiceAssists",
        "No replica of the operator leads, or the one that does has not reconciled anything. Calls go on; changes and repairs wait.",
        5 * MINUTE,
    ),
    Cause(
        "VoiceAssistNearCapacity",
        Severity.WARNING,
        f"sum {BY} (voiceassist_relay_active_calls) / sum {BY} (voiceassist_relay_max_calls) > 0.85",
        10 * MINUTE,
        f"The relays of {_WHOM} are nearly full",
        "{{ $value | humanizePercentage }} of the calls that its relays take at once are up. Beyond that, calls are refused.",
    ),
    Cause(
        "VoiceAssistCallLimitReached",
        Severity.WARNING,
        f'max {BY} ({_USED}{{limit="calls"}}) >= 1\nor sum {BY} (increase(voiceassist_relay_starts_over_limit_total[{{w}}])) > 0',
        1 * MINUTE,
        f"{_WHOM} has as many calls as spec.limits.maxCalls allows",
        "Further starts are refused, at every relay: these agents are told so, and get no suggestions. Calls that run go on.",
    ),
    Cause(
        "VoiceAssistBudgetNearlySpent",
        Severity.WARNING,
        f'max {BY} ({_USED}{{limit=~"budget_day|budget_month"}}) >= 0.8\n'
        f'unless on (namespace, name) max {BY} ({_REASON}{{type="WithinLimits",reason="BudgetSpent"}}) == 1',
        5 * MINUTE,
        f"The budget of {_WHOM} is nearly spent",
        "{{ $value | humanizePercentage }} of what spec.limits.budget allows the day or the month is spent. The object's action says what "
        "happens at the end of it.",
    ),
    Cause(
        "VoiceAssistBudgetSpent",
        Severity.WARNING,
        f'max {BY} ({_REASON}{{type="WithinLimits",reason="BudgetSpent"}}) == 1',
        1 * MINUTE,
        f"The budget of {_WHOM} is spent",
        "What spec.limits.budget allows the day or the month is spent. With action Stop agents get no suggestions for the rest of it, with "
        "DraftsOff finished ones only, with Warn all goes on.",
    ),
    Cause(
        "VoiceAssistStreamsLost",
        Severity.WARNING,
        f'sum {BY} (rate(voiceassist_relay_streams_lost_total{{reason=~"socket|idle|error|protocol|relay"}}[{{w}}]))\n'
        f'/ sum {BY} (rate(voiceassist_relay_upgrades_total{{outcome="accepted"}}[{{w}}])) > 0.05\n'
        f'and sum {BY} (increase(voiceassist_relay_streams_lost_total{{reason=~"socket|idle|error|protocol|relay"}}[{{w}}])) >= 3',
        2 * MINUTE,
        f"Streams of {_WHOM} break off",
        "{{ $value | humanizePercentage }} of the streams ended other than by the call's end: their agents lost their assistant.",
        15 * MINUTE,
    ),
    Cause(
        "VoiceAssistMovesFailing",
        Severity.WARNING,
        f'sum {BY} (increase(voiceassist_relay_moves_total{{outcome=~"never_came|refused|failed"}}[{{w}}])) >= 3\n'
        f'and sum {BY} (increase(voiceassist_relay_moves_total{{outcome=~"never_came|refused|failed"}}[{{w}}]))\n'
        f"> 0.5 * sum {BY} (increase(voiceassist_relay_moves_total[{{w}}]))",
        0,
        f"Calls of {_WHOM} cannot be moved",
        "{{ $value | humanize }} attempts to hand a call over to another relay failed: the relays that end wait for these calls.",
        15 * MINUTE,
    ),
)
