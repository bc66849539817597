"""Rules that answer a customer's sentence (pure): words that speak of a matter, and what an agent can say to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is to tell the agent."""

    relevant: bool
    question: str = ""
    answer: str = ""


_RULES: Final[tuple[tuple[str, str, str], ...]] = (
    (r"twice|double", "Was it charged twice?", "I see why that worries you. I look up both charges and dispute the second one."),
    (r"refund|money back", "When does the money come back?", "A refund takes five to seven business days. I start it now."),
    (r"block|stolen", "Should the card be blocked?", "I can block the card at once and order a new one. Shall I do that?"),
    (r"card|charged?|hotel", "What about the card's charge?", "Which charge do you mean? Please tell me the amount and the day."),
    (r"deductible|insur\w*|claim", "What does the policy pay?", "I look up your policy. May I have its number?"),
    (r"lost|damaged|broken", "What is paid for a loss?", "I am sorry. I open a claim for you and send you the form."),
    (r"parcel|package|deliver\w*|order|arrived?", "Where is the delivery?", "I look for it. May I have the tracking number?"),
    (r"bill|invoice", "What about the bill?", "I look at your last bill. Which item do you ask about?"),
    (r"cancel\w*", "How can it be cancelled?", "I can cancel that for you. May I ask for the reason?"),
    (r"password|log ?in|account", "How to get into the account?", "I send you a link to set a new password."),
    (r"price|costs?|how much", "What does it cost?", "I look up the price that holds for you."),
    (r"open|opening|hours", "When are you open?", "We are here from eight to eight on weekdays."),
    (
        r"manager|supervisor|complain\w*",
        "Who takes a complaint?",
        "I am sorry. I write down your complaint and my supervisor calls you back.",
    ),
    (r"(?:\w*\d\W{0,2}){4,}", "Which number is it?", "Thank you. I look that number up."),
)
_GREETING: Final = re.compile(r"\bhow are you\b", re.IGNORECASE)
_QUESTION: Final = re.compile(r"\?|^(?:what|when|where|who|why|how|can|could|do|does|is|are|will|should)\b", re.IGNORECASE)


def answer_to(heard: str) -> Answer:
    """The first rule that fits decides; a question that none fits is to be looked up; anything else needs no suggestion."""
    said = " ".join(heard.split())
    for words, question, answer in _RULES:
        if re.search(rf"(?<!\w)(?:{words})(?!\w)", said, re.IGNORECASE):
            return Answer(True, question, answer)
    if _QUESTION.search(said) and not _GREETING.search(said):
        return Answer(True, said[:200], "Let me look that up for you.")
    return Answer(False)
