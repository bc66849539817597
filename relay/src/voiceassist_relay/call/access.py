"""Who may start, stop and read (pure): the rules, as decisions on what Twilio said of a worker."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from voiceassist_crds.messages import CallDocument

from ..errors import RequestRefused
from ..sync.document_rules import is_running
from ..twilio.person import Person, Standing

LOCAL: Final = "local"
"""Identity and worker of everybody where checks are off."""


LOCAL_PERSON: Final = Person(LOCAL, LOCAL, frozenset({"agent"}))


class Access(Enum):
    """What a start may do."""

    START = auto()
    WATCH = auto()


def access_for_start(person: Person, standing: Standing) -> Access:
    """What a start by this person does. Raises RequestRefused for an agent without the call."""
    if standing is Standing.HOLDS:
        return Access.START
    if person.may_watch:
        return Access.WATCH
    if standing is Standing.NOT_YET:
        raise RequestRefused(
            503,
            "not_joined",
            "callSid: the task is this worker's, and Twilio shows no conference of it yet: the call may be about to join.",
            "Try again in a moment. If it never works, calls are in no conference of their task: see twilio.callProof.",
            retry_after=1.0,
        )
    raise RequestRefused(
        403,
        "not_your_call",
        "taskSid: this worker has not accepted a task whose conference the call is in.",
        "Start assist from the agent's desktop after the task is accepted, with callSid and taskSid of that task.",
    )


def held_by_another() -> RequestRefused:
    """A start by a worker who has joined a call that another one holds, and who does not assist it."""
    return RequestRefused(
        403,
        "not_in_the_call",
        "callSid: another worker holds this call still and has not started assist, or stopped it; nothing was changed.",
        "Start it when the other worker has left the call.",
    )


def watched(document: CallDocument | None) -> CallDocument:
    """The running call that somebody watches. Raises RequestRefused where there is nothing to watch."""
    if document is None or not is_running(document):
        raise RequestRefused(
            403,
            "not_running",
            "callSid: no assist runs on this call, and only the agent who holds its task may start one.",
            "Ask the agent to start assist; then watch the call again.",
        )
    return document


def not_in_the_call(action: str) -> RequestRefused:
    """A pause or resume by somebody else than the worker now in the call."""
    return RequestRefused(
        403,
        "not_in_the_call",
        f"Token: only the worker who is in the call now may {action} it; nothing was changed.",
        "After a transfer the new agent is in charge of the call's assist.",
    )


def nothing_to(action: str) -> RequestRefused:
    """A pause or resume of a call without a running stream."""
    return RequestRefused(
        409,
        "not_running",
        f"callSid: no assist runs on this call, so there is nothing to {action}.",
        "No audio is sent. Start assist first.",
    )


_STILL = {
    "start": ("Assist was not started here.", "Try again in some seconds: during a roll-out the next try may reach a newer relay."),
    "stop": (
        "The stream was not stopped, and the call's audio may STILL be sent.",
        "Ask for the stop again in some seconds. Do not let the caller say what must not be heard.",
    ),
    "pause": (
        "The call was not paused: the audio may STILL be sent to the model.",
        "Do not let the caller say what must not be heard. Try again in some seconds, or hang up.",
    ),
    "resume": ("The call may still be paused.", "Try again in some seconds."),
    "feedback": ("The verdict was not counted.", "Try again in some seconds."),
}


def left_alone(action: str, state: str) -> RequestRefused:
    """A request about a call that a newer relay has brought into a state which this version does not know: nothing was done."""
    what, hint = _STILL[action]
    message = f"callSid: a newer relay is about something with this call (state {state!r}), and this one leaves it alone. {what}"
    return RequestRefused(503, "newer_version", message, hint, retry_after=2.0)
