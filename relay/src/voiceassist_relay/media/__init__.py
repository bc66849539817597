"""Twilio Media Streams: messages, protocol and connection."""
