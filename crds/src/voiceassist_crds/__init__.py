"""The contract between VoiceAssist's parts: names, configuration, Sync messages, reasons. No I/O."""

__version__ = "0.1.0"
