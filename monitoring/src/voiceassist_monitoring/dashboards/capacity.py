"""Capacity: how full the relays are, what a call and a frame cost them, and what they drop or refuse. Pure."""

from __future__ import annotations

from .board import BY, CHOSEN, RANGE, Board, Kind, Panel, Query, Row, Unit, gauge, quantile, rate

_FORWARDED = rate("voiceassist_relay_frames_total", extra=',outcome="forwarded"')

_OF_RELAYS = "and on (instance) voiceassist_relay_max_calls"


def _by(counter: str, label: str, extra: str = "") -> tuple[Query, ...]:
    """All events of a counter, and apart by a label with many values those that happen: a line of zeros for each would hide them."""
    return (
        Query(rate(counter, extra=extra), "{{name}} all"),
        Query(f"{rate(counter, label, extra=extra)} > 0", f"{{{{name}}}} {{{{{label}}}}}"),
    )


CAPACITY = Board(
    "voiceassist-capacity",
    "VoiceAssist / Relay capacity",
    "How full the relays are, what calls cost them, and what they drop.",
    (
        Row(
            "Calls",
            (
                Panel(
                    "Share of places taken",
                    "Above 85 % for 10 minutes somebody is told.",
                    Unit.PERCENT,
                    (Query(f"{gauge('voiceassist_relay_active_calls')} / {gauge('voiceassist_relay_max_calls')}"),),
                    steps=((0.0, "green"), (0.7, "orange"), (0.85, "red")),
                ),
                Panel(
                    "Share of limits used",
                    "Of what spec.limits allows: calls at once, the day's budget, the month's. At 80 % of a budget, and where one is spent "
                    "or no more calls are started, somebody is told. No line for calls while a relay does not say how many it has.",
                    Unit.PERCENT,
                    (Query(gauge("voiceassist_operator_limit_used_ratio", "limit"), "{{name}} {{limit}}"),),
                    steps=((0.0, "green"), (0.8, "orange"), (1.0, "red")),
                ),
                Panel(
                    "Calls by relay",
                    "Calls on each relay.",
                    Unit.COUNT,
                    (Query(f"voiceassist_relay_active_calls{{{CHOSEN}}}", "{{name}} {{instance}}"),),
                ),
                Panel(
                    "Draining relays",
                    "Relays that take no new calls and hand over those that they have; calls that are being moved "
                    "now; and relays whose calls no other one has a place for.",
                    Unit.COUNT,
                    (
                        Query(gauge("voiceassist_relay_draining")),
                        Query(gauge("voiceassist_relay_moving_calls"), "{{name}} calls that move"),
                        Query(gauge("voiceassist_relay_nowhere_to_move"), "{{name}} relays with nowhere to move"),
                    ),
                ),
            ),
        ),
        Row(
            "What it costs",
            (
                Panel(
                    "CPU for each frame",
                    "Seconds of CPU for every audio frame sent on, all else that a relay does included.",
                    Unit.SECONDS,
                    (Query(f"sum {BY} (rate(process_cpu_seconds_total{{{CHOSEN}}}[{RANGE}]) {_OF_RELAYS})\n/ {_FORWARDED}"),),
                ),
                Panel(
                    "Memory for each call",
                    "Resident memory of the relays, divided by their calls; high with few calls, as a relay without any has some too.",
                    Unit.BYTES,
                    (
                        Query(
                            f"sum {BY} (process_resident_memory_bytes{{{CHOSEN}}} {_OF_RELAYS})\n"
                            f"/ {gauge('voiceassist_relay_active_calls')}"
                        ),
                    ),
                ),
                Panel(
                    "Event loop delay",
                    "How late a timer fires in 99 of 100 cases: over 50 ms the relay has too much to do. Paused: how much of each second "
                    "relays let frames gather on purpose, which is no delay. Where calls moved, how long it took, and how much of the "
                    "customer's audio nobody heard.",
                    Unit.SECONDS,
                    (
                        Query(quantile(0.99, "voiceassist_relay_event_loop_delay_seconds", "instance"), "{{name}} {{instance}}"),
                        Query(rate("voiceassist_relay_event_loop_paused_seconds_total", "instance"), "{{name}} {{instance}} paused"),
                        Query(quantile(0.95, "voiceassist_relay_move_seconds"), "{{name}} move p95"),
                        Query(quantile(0.95, "voiceassist_relay_move_gap_seconds"), "{{name}} gap p95"),
                        Query(quantile(0.95, "voiceassist_relay_restart_gap_seconds"), "{{name}} lost with a relay p95"),
                    ),
                ),
            ),
        ),
        Row(
            "What goes wrong",
            (
                Panel(
                    "Frames by outcome",
                    "Audio frames a second: forwarded is right; filled is silence of ours; replayed was sent again after a break.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_frames_total", "outcome"), "{{name}} {{outcome}}"),),
                    Kind.STACKED,
                ),
                Panel(
                    "Drops by queue",
                    "Entries dropped from full queues a second; none is right.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_queue_drops_total", "queue"), "{{name}} {{queue}}"),),
                ),
                Panel(
                    "Refused",
                    "Upgrades and streams refused a second, by reason; and starts beyond limits.maxCalls.",
                    Unit.PER_SECOND,
                    (
                        *_by("voiceassist_relay_upgrades_total", "outcome", ',outcome!~"accepted|probe"'),
                        Query(rate("voiceassist_relay_starts_over_limit_total"), "{{name}} starts over the limit"),
                    ),
                ),
                Panel(
                    "Gaps in streams",
                    "Messages that Twilio sent and we did not get, and holes in their times, a second.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_media_gaps_total", "kind"), "{{name}} {{kind}}"),),
                ),
                Panel(
                    "Reconnects to the model",
                    "Model sessions replaced a second, by reason; expiring is planned.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_realtime_reconnects_total", "reason"), "{{name}} {{reason}}"),),
                ),
                Panel(
                    "Turned away by the server's bounds",
                    "Connections and requests a second that were too many, too big or too slow.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_http_refused_total", "reason"), "{{name}} {{reason}}"),),
                ),
                Panel(
                    "The model's errors",
                    "Errors that the model's server reported, a second.",
                    Unit.PER_SECOND,
                    _by("voiceassist_relay_realtime_errors_total", "code"),
                ),
                Panel(
                    "Requests to the functions",
                    "Requests to /stream, /token and the callbacks a second, by class of the status.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_http_requests_total", "path", "status"), "{{name}} {{path}} {{status}}"),),
                ),
                Panel(
                    "Streams started again",
                    "Streams that died, and calls that a relay which ends was to hand over, by what became of them, a second.",
                    Unit.PER_SECOND,
                    (
                        Query(rate("voiceassist_relay_stream_restarts_total", "outcome"), "{{name}} {{outcome}}"),
                        Query(rate("voiceassist_relay_moves_total", "outcome"), "{{name}} moves {{outcome}}"),
                    ),
                ),
                Panel(
                    "Unknown messages",
                    "Messages of Twilio's or the model's that we do not know, a second: a sign that a vendor has changed something.",
                    Unit.PER_SECOND,
                    (
                        Query(rate("voiceassist_relay_unknown_messages_total", "peer"), "{{name}} {{peer}}"),
                        Query(rate("voiceassist_relay_other_version_total", "what"), "{{name}} {{what}}"),
                    ),
                ),
                Panel(
                    "Tasks",
                    "Tasks of the relays' event loops: they go with the calls. And relays that do not answer another one: none.",
                    Unit.COUNT,
                    (
                        Query(gauge("voiceassist_relay_tasks")),
                        Query(gauge("voiceassist_relay_unreached_relays"), "{{name}} relays not reached"),
                    ),
                ),
                Panel(
                    "Requests to Twilio",
                    "Requests of the relays to Twilio a second, by product and outcome; and objects that somebody else had made there.",
                    Unit.PER_SECOND,
                    (
                        Query(rate("voiceassist_relay_twilio_requests_total", "product", "outcome"), "{{name}} {{product}} {{outcome}}"),
                        Query(rate("voiceassist_relay_foreign_objects_total", "kind"), "{{name}} foreign {{kind}}"),
                    ),
                ),
            ),
        ),
    ),
)
