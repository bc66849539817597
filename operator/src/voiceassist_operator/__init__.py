"""The VoiceAssist operator: keeps relay pods, their address and their configuration as a VoiceAssist describes them."""
