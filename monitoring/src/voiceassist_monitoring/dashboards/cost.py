"""Cost: tokens, how many of them the model had cached, and money by the chart's price table. Pure."""

from __future__ import annotations

from .board import BY, CHOSEN, RANGE, Board, Kind, Panel, Query, Row, Unit, gauge, rate

_TOKENS = "voiceassist_relay_tokens_total"
_SPENT = (
    f"sum {BY} (sum by (namespace, name, model, modality, direction, cached) (rate({_TOKENS}{{{CHOSEN}}}[{RANGE}]))\n"
    "* on (model, modality, direction, cached) group_left () voiceassist:token_price_usd)"
)

_INPUT = rate(_TOKENS, extra=',direction="input"')
_CACHED = rate(_TOKENS, extra=',direction="input",cached="true"')

COST = Board(
    "voiceassist-cost",
    "VoiceAssist / Cost",
    "Tokens and money. Money needs the chart's `prices`; tokens without a price are not in it.",
    (
        Row(
            "Money",
            (
                Panel("An hour at this rate", "US dollars for an hour like now.", Unit.DOLLARS, (Query(f"{_SPENT} * 3600"),)),
                Panel(
                    "A call's hour",
                    "US dollars for an hour of one call.",
                    Unit.DOLLARS,
                    (Query(f"{_SPENT} * 3600 / {gauge('voiceassist_relay_active_calls')}"),),
                ),
                Panel(
                    "Tokens without a price",
                    "Tokens a second of models and kinds that the price table lacks: 0 if it is whole.",
                    Unit.PER_SECOND,
                    (
                        Query(
                            f"sum by (model, modality, direction, cached) (rate({_TOKENS}{{{CHOSEN}}}[{RANGE}]))\n"
                            "unless on (model, modality, direction, cached) voiceassist:token_price_usd",
                            "{{model}} {{modality}} {{direction}} cached={{cached}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Tokens",
            (
                Panel(
                    "Tokens",
                    "Tokens a second, by kind and direction.",
                    Unit.PER_SECOND,
                    (Query(rate(_TOKENS, "modality", "direction", "cached"), "{{name}} {{modality}} {{direction}} cached={{cached}}"),),
                    Kind.STACKED,
                    12,
                ),
                Panel(
                    "Input from the cache",
                    "Share of the input tokens that the model had cached: those are cheaper.",
                    Unit.PERCENT,
                    (Query(f"{_CACHED} / {_INPUT}"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Ahead of the turn's end",
            (
                Panel(
                    "Asked ahead",
                    "Responses a second that were asked for before the customer's turn was over, by what became of them: used as the "
                    "answer, wasted because the customer went on, refused by the model or failed.",
                    Unit.PER_SECOND,
                    (Query(rate("voiceassist_relay_early_responses_total", "outcome"), "{{name}} {{outcome}}"),),
                    width=12,
                ),
                Panel(
                    "Tokens for nothing",
                    "Share of all tokens that went to responses asked ahead which the customer made useless. A call stops asking ahead "
                    "at 30 %.",
                    Unit.PERCENT,
                    (Query(f"{rate('voiceassist_relay_early_wasted_tokens_total')} / {rate(_TOKENS)}"),),
                    width=12,
                ),
            ),
        ),
    ),
)
