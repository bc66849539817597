"""VoiceAssist."""
