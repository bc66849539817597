"""The OpenAI Realtime API: events, sessions and connections."""
