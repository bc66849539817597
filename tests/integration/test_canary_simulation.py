"""What the judgement of canaries promises, by simulated roll-outs with seeds.

2,500 of them here; the figures of docs/canaries.md are of 10,000: VOICEASSIST_ROLLOUTS=10000 in the test's environment.
"""

from __future__ import annotations

import os
import random
import statistics
from math import log

from voiceassist_crds.resource import CanaryAnalysis
from voiceassist_crds.status import PromptCounts
from voiceassist_operator.policy.canary.analysis import judge

STEPS = ((0.05, 200), (0.25, 200), (0.5, 200))
"""Share of turns, and turns of the canary, of each step of a simulated roll-out."""
CHECKS = CanaryAnalysis().checks
NOT_RELEVANT, LATE, RATED, AGAINST = 0.03, 0.02, 0.03, 0.1
"""The same for both prompts: turns that need no answer, late answers, turns with a verdict of an agent, and verdicts against."""


def hits(chance: random.Random, trials: int, share: float) -> int:
    """How many of so many trials have what has this probability."""
    if trials * share > 40:
        return round(chance.gauss(trials * share, (trials * share * (1 - share)) ** 0.5))
    found, at = 0, gap(chance, share)
    while at <= trials:
        found, at = found + 1, at + gap(chance, share)
    return found


def gap(chance: random.Random, share: float) -> int:
    """The trials until the next one that has it."""
    return 1 + int(log(1 - chance.random()) / log(1 - share))


def more_of_stable(chance: random.Random, before: PromptCounts, turns: int, failing: float) -> PromptCounts:
    failed, held_back = hits(chance, turns, failing), hits(chance, turns, NOT_RELEVANT)
    answers, rated = turns - failed - held_back, hits(chance, turns, RATED)
    new = {"failed": failed, "not_relevant": held_back, "answers": answers, "late": hits(chance, answers, LATE)}
    new |= {"turns": turns, "calls_with_failures": failed, "verdicts": rated, "negative": hits(chance, rated, AGAINST)}
    return before.model_copy(update={key: getattr(before, key) + value for key, value in new.items()})


def rejected_after(chance: random.Random, canary: float, stable: float) -> int | None:
    """Turns of the canary until it was rejected, looked at after each turn of it that was not plainly good; None where it never was.

    Each prompt's probability that a turn fails is given. The canary's calls have one turn each.
    """
    ours, theirs, owed = dict.fromkeys(PromptCounts.model_fields, 0), PromptCounts(), 0.0
    for share, turns in STEPS:
        for _ in range(turns):
            owed += (1 - share) / share
            ours["turns"] += 1
            drawn, bad = chance.random(), True
            if drawn < canary:
                ours["failed"] += 1
                ours["calls_with_failures"] += 1
            elif drawn < canary + NOT_RELEVANT:
                ours["not_relevant"] += 1
            else:
                ours["answers"] += 1
                bad = chance.random() < LATE
                ours["late"] += bad
                if chance.random() < RATED:
                    ours["verdicts"] += 1
                    against = chance.random() < AGAINST
                    ours["negative"] += against
                    bad |= against
            if bad:
                theirs, owed = more_of_stable(chance, theirs, int(owed), stable), owed % 1
                if judge(PromptCounts.model_construct(**ours), theirs, CHECKS, 20).finding is not None:
                    return ours["turns"]
    return None


def test_canary_simulation_a_canary_as_good_as_the_stable_prompt_is_rejected_in_under_one_of_a_hundred_lives() -> None:
    lives = int(os.environ.get("VOICEASSIST_ROLLOUTS", "2500"))
    chance = random.Random(20_261_130)
    wrongly = sum(rejected_after(chance, 0.01, 0.01) is not None for _ in range(lives))
    print(f"{wrongly} of {lives} roll-outs were rejected although both prompts fail 1 % of turns")
    assert wrongly < lives / 100


def test_canary_simulation_one_that_fails_every_fifth_turn_is_gone_after_a_median_of_thirty_of_its_turns() -> None:
    chance = random.Random(20_261_130)
    turns = [rejected_after(chance, 0.2, 0.01) for _ in range(1_000)]
    found = [one for one in turns if one is not None]
    print(f"median {statistics.median(found)} turns, nine of ten within {sorted(found)[900]}, the last after {max(found)}")
    assert len(found) == len(turns)
    assert statistics.median(found) <= 30
