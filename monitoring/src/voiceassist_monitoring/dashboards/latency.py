"""Latency: from the customer's last word to the agent's screen, stage by stage, the vendors' share apart from ours. Pure."""

from __future__ import annotations

from .board import BY, CHOSEN, RANGE, Board, Kind, Panel, Query, Row, Unit, mean, quantile

_STAGE = "voiceassist_relay_stage_duration_seconds"
_TOTAL = "voiceassist_relay_suggestion_latency_seconds"
_FIRST = "voiceassist_relay_first_words_seconds"
_PAINTED = "voiceassist_relay_suggestion_painted_seconds"
_MODEL = 'stage=~"endpointing|request|first_token|generation"'


def _spent(matcher: str) -> str:
    """Seconds a suggestion spends in stages, on average."""
    chosen = f"{{{CHOSEN},{matcher}}}[{RANGE}]"
    suggestions = f"sum {BY} (rate({_TOTAL}_count{{{CHOSEN}}}[{RANGE}]))"
    return f"sum {BY} (rate({_STAGE}_sum{chosen})) / on (namespace, name) {suggestions}"


LATENCY = Board(
    "voiceassist-latency",
    "VoiceAssist / Latency",
    "From the customer's last word to the agent's screen, stage by stage.",
    (
        Row(
            "The whole way",
            (
                Panel(
                    "Suggestion latency",
                    "Half of the suggestions, 95 of 100 and 99 of 100 are faster than this.",
                    Unit.SECONDS,
                    tuple(Query(quantile(share, _TOTAL), f"{{{{name}}}} p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
                    width=12,
                ),
                Panel(
                    "First words",
                    "From the customer's last word until Sync has the first words of the answer.",
                    Unit.SECONDS,
                    tuple(Query(quantile(share, _FIRST), f"{{{{name}}}} p{share * 100:g}") for share in (0.5, 0.95)),
                    width=12,
                ),
                Panel(
                    "Model's share, Sync's share",
                    "Mean seconds of the way that the model takes (noticing the turn's end, accepting, first word, writing), and that "
                    "storing in Sync takes, for each suggestion. Turns without a suggestion use the model too and are counted in.",
                    Unit.SECONDS,
                    (Query(_spent(_MODEL), "{{name}} model"), Query(_spent('stage="publish"'), "{{name}} Sync")),
                    Kind.STACKED,
                    12,
                ),
            ),
        ),
        Row(
            "Stages",
            (
                Panel(
                    "Median by stage",
                    "endpointing: silence until the model says the turn is over. request: until it has begun. first_token: until its "
                    "first word. generation: until its last. publish: until Sync has it. The first four are the model's.",
                    Unit.SECONDS,
                    (Query(quantile(0.5, _STAGE, "stage"), "{{name}} {{stage}}"),),
                    width=12,
                ),
                Panel(
                    "95 of 100 by stage",
                    "The same for slow ones.",
                    Unit.SECONDS,
                    (Query(quantile(0.95, _STAGE, "stage"), "{{name}} {{stage}}"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "On the screen",
            (
                Panel(
                    "Suggestion painted",
                    "From the customer's last word to the paint in the agent's browser, as a sample of browsers reports it. Above the "
                    "latency to Sync by what Sync's way to the browser and the painting take.",
                    Unit.SECONDS,
                    tuple(Query(quantile(share, _PAINTED), f"{{{{name}}}} p{share * 100:g}") for share in (0.5, 0.95)),
                    width=12,
                ),
                Panel(
                    "Sync to paint",
                    "Mean of the paint's latency less the mean of the latency to Sync: what comes after the relay.",
                    Unit.SECONDS,
                    (Query(f"{mean(_PAINTED)} - {mean(_TOTAL)}", "{{name}}"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Ours",
            (
                Panel(
                    "A frame through the relay",
                    "From the caller's socket to the model's: all that we add to the audio's way.",
                    Unit.SECONDS,
                    tuple(
                        Query(quantile(share, "voiceassist_relay_frame_forward_seconds"), f"{{{{name}}}} p{share * 100:g}")
                        for share in (0.5, 0.99)
                    ),
                ),
                Panel(
                    "Event loop delay",
                    "How late a timer fires: everything in a relay is late by as much.",
                    Unit.SECONDS,
                    (Query(quantile(0.99, "voiceassist_relay_event_loop_delay_seconds"), "{{name}} p99"),),
                ),
                Panel(
                    "Writing to Sync",
                    "Mean time of a write with its repeats.",
                    Unit.SECONDS,
                    (Query(mean("voiceassist_relay_sync_publish_seconds")),),
                ),
            ),
        ),
    ),
)
