"""Overview: calls, and whether agents are helped in time, for everyone. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..slo import Slo
from ..windows import DAY, HOUR, MINUTE, Scale
from .board import CHOSEN, Board, Kind, Panel, Query, Row, Unit, gauge, quantile, rate

_GOOD_BAD = ((0.0, "green"), (0.5, "orange"), (1.0, "red"))


def _budget(slo: Slo, scale: Scale) -> Panel:
    window = scale.duration(3 * DAY if scale.longest >= 3 * DAY else HOUR)
    return Panel(
        f"{slo.title}: budget burned",
        f"1 is as fast as the objective of {slo.objective:.4g} over {slo.window} allows; above 1 it will be missed.",
        Unit.COUNT,
        (Query(f"{_chosen(slo.recorded(window))} / {slo.budget:g}"),),
        Kind.NUMBER,
        6,
        _GOOD_BAD,
    )


def _chosen(record: str) -> str:
    return f"{record}{{{CHOSEN}}}"


def overview(slos: Sequence[Slo], scale: Scale) -> Board:
    """The board; the windows of its objectives are those of the rules at the same scale."""
    paging = [slo for slo in slos if slo.page]
    short, long = scale.duration(5 * MINUTE), scale.duration(HOUR)
    return Board(
        "voiceassist-overview",
        "VoiceAssist / Overview",
        "Calls, and whether agents are helped in time.",
        (
            Row("Objectives", tuple(_budget(slo, scale) for slo in slos if slo.page or scale.longest >= 3 * DAY)),
            Row(
                "Errors by objective",
                tuple(
                    Panel(
                        slo.title,
                        f"Share of bad events over {short} and over {long}; {slo.budget:.4g} is allowed on average.",
                        Unit.PERCENT,
                        (
                            Query(_chosen(slo.recorded(short)), f"{{{{namespace}}}}/{{{{name}}}} {short}"),
                            Query(_chosen(slo.recorded(long)), f"{{{{namespace}}}}/{{{{name}}}} {long}"),
                        ),
                    )
                    for slo in paging
                ),
            ),
            Row(
                "Calls",
                (
                    Panel("Calls now", "Calls that relays listen to.", Unit.COUNT, (Query(gauge("voiceassist_relay_active_calls")),)),
                    Panel(
                        "Calls begun",
                        "Streams accepted a second; what was refused, by reason, is on the capacity board.",
                        Unit.PER_SECOND,
                        (Query(rate("voiceassist_relay_upgrades_total", extra=',outcome="accepted"')),),
                    ),
                    Panel(
                        "Turns",
                        "Turns of customers a second, by what became of them.",
                        Unit.PER_SECOND,
                        (Query(rate("voiceassist_relay_turns_total", "outcome"), "{{name}} {{outcome}}"),),
                        Kind.STACKED,
                    ),
                    Panel(
                        "Suggestion latency",
                        "From the customer's last word until Sync has the suggestion: half of them, and 95 of 100, are faster than this.",
                        Unit.SECONDS,
                        (
                            Query(quantile(0.5, "voiceassist_relay_suggestion_latency_seconds"), "{{namespace}}/{{name}} p50"),
                            Query(quantile(0.95, "voiceassist_relay_suggestion_latency_seconds"), "{{namespace}}/{{name}} p95"),
                        ),
                    ),
                    Panel(
                        "Model and Sync",
                        "1 while every relay reaches them.",
                        Unit.COUNT,
                        (Query(f"min by (namespace, name, peer) (voiceassist_relay_peer_up{{{CHOSEN}}})", "{{name}} {{peer}}"),),
                    ),
                    Panel(
                        "Streams lost",
                        "Streams that ended other than by the call's end, a second, by reason.",
                        Unit.PER_SECOND,
                        (Query(rate("voiceassist_relay_streams_lost_total", "reason"), "{{name}} {{reason}}"),),
                        Kind.STACKED,
                    ),
                ),
            ),
            Row(
                "Conditions",
                (
                    Panel(
                        "Not as it should be",
                        "Conditions that are not as wished, with their reason; kubectl describe tells the way out.",
                        Unit.COUNT,
                        (
                            Query(
                                f"max by (namespace, name, type, reason) (voiceassist_operator_condition_reason{{{CHOSEN}}})\n"
                                "and on (namespace, name, type)\n"
                                "max by (namespace, name, type) "
                                f'(voiceassist_operator_condition{{{CHOSEN},type!~"Progressing|Degraded",status!="True"}}) == 1',
                                "{{name}} {{type}}: {{reason}}",
                            ),
                        ),
                        Kind.TABLE,
                        24,
                    ),
                ),
            ),
        ),
    )
