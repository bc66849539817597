"""A strict stand-in for the parts of Twilio that VoiceAssist uses: REST on one side, Media Streams on the other."""
