"""Prompts: revisions side by side, by latency, success and the agents' verdicts. Pure."""

from __future__ import annotations

from .board import CHOSEN, RANGE, Board, Panel, Query, Row, Unit, quantile, rate

_VERDICTS = "voiceassist_relay_feedback"
_LEGEND = "{{name}} {{revision}}"


def _standing(counter: str, *labels: str, extra: str = "") -> str:
    """Events a second that stand: those that were counted, less those that were replaced by others."""
    return f"({rate(counter + '_total', *labels, extra=extra)} - {rate(counter + '_replaced_total', *labels, extra=extra)})"


def _share(counter: str, good: str, among: str = "") -> str:
    by = "sum by (namespace, name, revision)"
    return f"{by} (rate({counter}{{{CHOSEN},{good}}}[{RANGE}])) / {by} (rate({counter}{{{CHOSEN}{among}}}[{RANGE}]))"


PROMPTS = Board(
    "voiceassist-prompts",
    "VoiceAssist / Prompt revisions",
    "Revisions side by side: compare a new prompt with the one before.",
    (
        Row(
            "In use",
            (
                Panel(
                    "Turns by revision",
                    "Turns of customers a second.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_turns_total", "revision"), _LEGEND),),
                ),
                Panel(
                    "Relays by configuration",
                    "How many relays have which configuration in force; two at once only during a roll-out.",
                    Unit.COUNT,
                    (Query(f"count by (namespace, name, revision) (voiceassist_relay_config_info{{{CHOSEN}}} == 1)", _LEGEND),),
                ),
                Panel(
                    "Canaries",
                    "Canaries that began, took a step, ended, or were taken back, a second.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_operator_prompt_rollouts_total", "event"), "{{name}} {{event}}"),),
                ),
                Panel(
                    "Configurations refused",
                    "Configuration files that a relay could not use, a second; the old one stays.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_config_refused_total")),),
                ),
            ),
        ),
        Row(
            "How they do",
            (
                Panel(
                    "Suggestion latency, 95 of 100",
                    "A longer prompt answers later.",
                    Unit.SECONDS,
                    (Query(quantile(0.95, "voiceassist_relay_suggestion_latency_seconds", "revision"), _LEGEND),),
                ),
                Panel(
                    "Turns answered",
                    "Share of turns with an answer, be it that there is nothing to suggest.",
                    Unit.PERCENT,
                    (
                        Query(
                            _share("voiceassist_relay_turns_total", 'outcome=~"suggested|not_relevant"', ',outcome!~"merged|paused"'),
                            _LEGEND,
                        ),
                    ),
                ),
                Panel(
                    "Turns with a suggestion",
                    "Share of answered turns with a suggestion: how talkative a prompt is.",
                    Unit.PERCENT,
                    (Query(_share("voiceassist_relay_turns_total", 'outcome="suggested"', ',outcome=~"suggested|not_relevant"'), _LEGEND),),
                ),
                Panel(
                    "Verdicts: good",
                    "Share of good ones among the agents' verdicts; a changed verdict counts as what it was changed to.",
                    Unit.PERCENT,
                    (Query(_standing(_VERDICTS, "revision", extra=',verdict="up"') + " / " + _standing(_VERDICTS, "revision"), _LEGEND),),
                ),
                Panel(
                    "Verdicts",
                    "Agents' verdicts a second. One that was changed moves: it is below zero where it was taken back.",
                    Unit.PER_SECOND,
                    (Query(_standing(_VERDICTS, "revision", "verdict"), "{{revision}} {{verdict}}"),),
                ),
                Panel(
                    "Why not helpful",
                    "Reasons that agents gave, a second, less those that they replaced.",
                    Unit.PER_SECOND,
                    (Query(_standing(_VERDICTS + "_reasons", "reason"), "{{reason}}"),),
                ),
            ),
        ),
    ),
)
