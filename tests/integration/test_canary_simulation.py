"""What the judgement of canaries promises, by simulated roll-outs with seeds.

1,500 of them here; the figures of docs/canaries.md are of 10,000: VOICEASSIST_ROLLOUTS=10000 in the test's environment.
"""

from __future__ import annotations

import os
import random
import statistics
from math import log

from voiceassist_crds.resource import AnalysisCheck, AnalysisMetric, CanaryAnalysis
from voiceassist_crds.status import PromptCounts
from voiceassist_operator.policy.canary.analysis import judge

STEPS = ((0.05, 200), (0.25, 200), (0.5, 200))
"""Share of turns, and turns of the canary, of each step of a simulated roll-out."""
CHECKS = CanaryAnalysis().checks
TOKENS = AnalysisCheck(metric=AnalysisMetric.TOKENS_PER_TURN, max_increase=0.25)
NOT_RELEVANT, LATE, RATED, AGAINST, REPAIRED = 0.03, 0.02, 0.03, 0.1, 0.02
"""The same for both prompts: turns that need no answer, late answers, turns with a verdict of an agent, verdicts against, outputs that
are repaired."""


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
    outputs = turns - failed
    new |= {"outputs": outputs, "repaired": hits(chance, outputs, REPAIRED)}
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
            else:
                ours["outputs"] += 1
                mended = chance.random() < REPAIRED
                ours["repaired"] += mended
                ours["calls_with_repairs"] += mended
            if canary <= drawn < canary + NOT_RELEVANT:
                ours["not_relevant"] += 1
                ours["calls_with_not_relevant"] += 1
            elif drawn >= canary:
                ours["answers"] += 1
                late = chance.random() < LATE
                ours["late"] += late
                ours["calls_with_late"] += late
                bad = late or mended
                if chance.random() < RATED:
                    ours["verdicts"] += 1
                    against = chance.random() < AGAINST
                    ours["negative"] += against
                    ours["calls_with_negative"] += against
                    bad |= against
            if bad:
                theirs, owed = more_of_stable(chance, theirs, int(owed), stable), owed % 1
                if judge(PromptCounts.model_construct(**ours), theirs, CHECKS, 20).finding is not None:
                    return ours["turns"]
    return None


def test_canary_simulation_a_canary_as_good_as_the_stable_prompt_is_rejected_in_under_one_of_a_hundred_lives() -> None:
    lives = int(os.environ.get("VOICEASSIST_ROLLOUTS", "1500"))
    chance = random.Random(20_261_130)
    wrongly = sum(rejected_after(chance, 0.01, 0.01) is not None for _ in range(lives))
    print(f"{wrongly} of {lives} roll-outs were rejected although both prompts fail 1 % of turns")
    assert wrongly < lives / 100


def stuck_calls_reject(chance: random.Random) -> bool:
    """Whether a canary is rejected in its first 100 calls of six turns, where in 3 % of either prompt's calls every output is repaired."""
    ours, theirs = dict.fromkeys(PromptCounts.model_fields, 0), dict.fromkeys(PromptCounts.model_fields, 0)
    for _ in range(100):
        for counts in (theirs, theirs, theirs, ours):
            stuck = chance.random() < 0.03
            more = {"calls": 1, "turns": 6, "outputs": 6, "repaired": 6 * stuck, "calls_with_repairs": int(stuck)}
            for name, value in more.items():
                counts[name] += value
        if judge(PromptCounts.model_construct(**ours), PromptCounts.model_construct(**theirs), CHECKS, 20).finding is not None:
            return True
    return False


def test_canary_simulation_turns_of_one_call_are_not_independent_and_a_few_stuck_calls_are_no_verdict() -> None:
    """Without FEWEST_CALLS they are four."""
    chance = random.Random(20_261_130)
    wrongly = sum(stuck_calls_reject(chance) for _ in range(150))
    print(f"{wrongly} of 150 roll-outs were rejected for calls that are stuck with both prompts")
    assert wrongly <= 1


def tokens_rejected_after(chance: random.Random, times: float) -> int | None:
    """Calls of the canary, at half of all, until TokensPerTurn alone rejected it; None where 200 calls were not enough.

    A call has a few turns, mostly; the tokens of its turns are alike, and calls are far apart: one in fifty takes five times what most
    take.
    """
    ours, theirs = [0] * 6, [0] * 6
    for _ in range(200):
        for sums, more in ((theirs, 1.0), (ours, times)):
            turns, usual = 1 + int(chance.expovariate(1 / 6)), chance.lognormvariate(6.5, 0.8)
            tokens = sum(int(more * (usual + 150 * chance.random())) for _ in range(turns))
            for place, value in enumerate((1, turns, tokens, turns**2, tokens**2, turns * tokens)):
                sums[place] += value
        if judge(spent(ours), spent(theirs), [TOKENS], 20).finding is not None:
            return ours[0]
    return None


def spent(sums: list[int]) -> PromptCounts:
    names = ("measured_calls", "measured_turns", "tokens", "turns_squared", "tokens_squared", "tokens_by_turns")
    return PromptCounts.model_construct(turns=sums[1], **dict(zip(names, sums, strict=True)))


def test_canary_simulation_tokens_by_turn_are_no_false_alarm() -> None:
    """Only for many calls is the bound of this check exact; what it comes to is seen here, also where all that is allowed is taken."""
    lives = int(os.environ.get("VOICEASSIST_ROLLOUTS", "1500")) // 10
    chance = random.Random(20_261_130)
    alike, at_the_bound = (sum(tokens_rejected_after(chance, times) is not None for _ in range(lives)) for times in (1.0, 1.25))
    print(f"of {lives} each: {alike} with as many tokens as the stable prompt's, {at_the_bound} with the 25 % more that are allowed")
    assert alike < lives / 100
    assert at_the_bound <= lives / 40


def test_canary_simulation_twice_the_tokens_are_found_within_a_median_of_a_hundred_calls() -> None:
    chance = random.Random(20_261_130)
    calls = [tokens_rejected_after(chance, 2.0) or 1_000 for _ in range(40)]
    print(f"median {statistics.median(calls)} calls")
    assert statistics.median(calls) <= 100


def test_canary_simulation_one_that_fails_every_fifth_turn_is_gone_after_a_median_of_thirty_of_its_turns() -> None:
    chance = random.Random(20_261_130)
    turns = [rejected_after(chance, 0.2, 0.01) for _ in range(1_000)]
    found = [one for one in turns if one is not None]
    print(f"median {statistics.median(found)} turns, nine of ten within {sorted(found)[900]}, the last after {max(found)}")
    assert len(found) == len(turns)
    assert statistics.median(found) <= 30
