"""Operator: whether it keeps what is described, how long that takes, and what it asks of Twilio. Pure."""

from __future__ import annotations

from .board import CHOSEN, RANGE, Board, Kind, Panel, Query, Row, Unit, quantile

_RECONCILE = "voiceassist_operator_reconcile_duration_seconds"

OPERATOR = Board(
    "voiceassist-operator",
    "VoiceAssist / Operator",
    "Reconciles, conditions and requests to Twilio. What is not about one object is for the whole operator.",
    (
        Row(
            "At work",
            (
                Panel("Leading", "1 for the replica that leads.", Unit.COUNT, (Query("voiceassist_operator_leading", "{{instance}}"),)),
                Panel(
                    "Reconciles",
                    "Reconciles a second by outcome; retry and error want a look at the log.",
                    Unit.PER_SECOND,
                    (Query(f"sum by (outcome) (rate({_RECONCILE}_count[{RANGE}]))", "{{outcome}}"),),
                    Kind.STACKED,
                ),
                Panel(
                    "Time of a reconcile",
                    "Half of them, and 99 of 100, are faster than this.",
                    Unit.SECONDS,
                    tuple(
                        Query(f"histogram_quantile({share:g}, sum by (le) (rate({_RECONCILE}_bucket[{RANGE}])))", f"p{share * 100:g}")
                        for share in (0.5, 0.99)
                    ),
                ),
                Panel(
                    "Writes to the cluster",
                    "Writes a second by kind, none when nothing changes; and all requests to the API server, by what they do.",
                    Unit.PER_SECOND,
                    (
                        Query(f"sum by (kind) (rate(voiceassist_operator_writes_total[{RANGE}]))", "{{kind}}"),
                        Query(f"sum by (verb) (rate(voiceassist_operator_api_requests_total[{RANGE}]))", "{{verb}} (request)"),
                    ),
                ),
                Panel(
                    "Requests to Twilio",
                    "Requests of the operator to Twilio a second, by product and outcome; under ten an hour for an object at rest.",
                    Unit.PER_SECOND,
                    (
                        Query(
                            f"sum by (product, outcome) (rate(voiceassist_operator_twilio_requests_total[{RANGE}]))",
                            "{{product}} {{outcome}}",
                        ),
                    ),
                ),
                Panel(
                    "Roll-out of a prompt",
                    "From a new configuration until every relay reports it, 99 of 100.",
                    Unit.SECONDS,
                    (Query(quantile(0.99, "voiceassist_operator_rollout_seconds")),),
                ),
                Panel(
                    "Other versions",
                    "What relays report or objects have and this operator does not know, a second; and log lines that nobody read.",
                    Unit.PER_SECOND,
                    (
                        Query(f"sum by (what) (rate(voiceassist_operator_other_version_total[{RANGE}]))", "{{what}}"),
                        Query(f"sum(rate(voiceassist_operator_log_lines_dropped_total[{RANGE}]))", "log lines dropped"),
                    ),
                ),
            ),
        ),
        Row(
            "Objects",
            (
                Panel(
                    "Conditions",
                    "Each condition's reason.",
                    Unit.COUNT,
                    (
                        Query(
                            f"max by (namespace, name, type, reason) (voiceassist_operator_condition_reason{{{CHOSEN}}})",
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
