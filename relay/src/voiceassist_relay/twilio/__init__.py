"""Twilio's REST API, tokens and signatures."""
