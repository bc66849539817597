"""Decisions of a session with the model (pure): events and the clock in, commands and events out."""
