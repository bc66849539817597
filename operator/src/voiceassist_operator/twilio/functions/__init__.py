"""An object's /stream and /token as Twilio Functions."""
