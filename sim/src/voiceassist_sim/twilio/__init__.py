"""A strict stand-in for the parts of Twilio that VoiceAssist uses: REST on one side, Media Streams on the other."""

from .access_tokens import ApiKey
from .account import CreatedCall
from .app import Exchange, TwilioServer
from .errors import TwilioError
from .faults import FaultKind, FaultRule
from .flex_writers import OtherWriter, When
from .journal import Count
from .limits import Rate
from .serverless_model import BuildPlan, Outcome
from .settings import Lenient, ServerlessLimits, Settings, SyncLimits
from .sync_model import Change, Kind

__all__ = [
    "ApiKey",
    "BuildPlan",
    "Change",
    "Count",
    "CreatedCall",
    "Exchange",
    "FaultKind",
    "FaultRule",
    "Kind",
    "Lenient",
    "OtherWriter",
    "Outcome",
    "Rate",
    "ServerlessLimits",
    "Settings",
    "SyncLimits",
    "TwilioError",
    "TwilioServer",
    "When",
]
