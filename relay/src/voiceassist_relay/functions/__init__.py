"""What browsers and Twilio call over HTTP: /stream, /token, /callbacks/stream, /feedback; and what relays ask each other."""
