"""A strict stand-in for the OpenAI Realtime API (GA only), as a library and as ``voiceassist-sim openai``.

It listens to the audio that really arrives, finds turns by its energy, recognises the sample calls from it, and answers as the vendor does,
refusing what the vendor refuses. :class:`RealtimeServer` runs it; ``server.sessions`` is the ledger of what it heard and said, the same as
JSON under ``/_sim/sessions``; :class:`Behaviour` and :class:`Faults` change it while it runs.
"""

from .behaviour import AnswerStyle, Behaviour, BehaviourError, Refusal
from .connection import Session
from .faults import Fault, FaultError, Faults, Kind, When
from .phrasebook import CallsError, SampleCall, Utterance, default_calls, load_sample_call, load_sample_calls
from .server import RealtimeServer

__all__ = [
    "AnswerStyle",
    "Behaviour",
    "BehaviourError",
    "CallsError",
    "Fault",
    "FaultError",
    "Faults",
    "Kind",
    "RealtimeServer",
    "Refusal",
    "SampleCall",
    "Session",
    "Utterance",
    "When",
    "default_calls",
    "load_sample_call",
    "load_sample_calls",
]
