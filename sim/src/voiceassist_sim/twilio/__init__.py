"""A strict stand-in for the parts of Twilio that VoiceAssist uses: REST on one side, Media Streams on the other."""

from .access_tokens import ApiKey
from .account import CreatedCall
from .app import Exchange, TwilioServer
from .errors import TwilioError
from .faults import FaultKind, FaultRule
from .limits import Rate
from .serverless_model import BuildPlan, Outcome
from .settings import Lenient, ServerlessLimits, Settings, SyncLimits
from .sync_model import Change, Kind

__all__ = [
    "ApiKey",
    "BuildPlan",
    "Change",
    "CreatedCall",
    "Exchange",
    "FaultKind",
    "FaultRule",
    "Kind",
    "Lenient",
    "Outcome",
    "Rate",
    "ServerlessLimits",
    "Settings",
    "SyncLimits",
    "TwilioError",
    "TwilioServer",
]
