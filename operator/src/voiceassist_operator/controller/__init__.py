"""Acts: what wakes a VoiceAssist, the one line from observing to reporting, and the Lease."""
