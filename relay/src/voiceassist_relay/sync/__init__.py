"""A call in Twilio Sync: its Document, its Map of suggestions and its Stream."""
