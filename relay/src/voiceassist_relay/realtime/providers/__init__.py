"""Where a session is dialled, for each provider."""
