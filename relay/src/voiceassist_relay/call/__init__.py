"""One call, from its start to its end: the bridge between Twilio, the model and Sync, and what is asked of a call."""
