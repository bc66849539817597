"""VoiceAssist: recording rules, alerts and dashboards as code."""
