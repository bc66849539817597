"""The contract between VoiceAssist's parts: names, configuration, Sync messages, reasons. No I/O."""

from importlib.metadata import version

__version__ = version("voiceassist-crds")
