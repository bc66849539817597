"""An object's /stream, /token and /feedback as Twilio Functions."""
