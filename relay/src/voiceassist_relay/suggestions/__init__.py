"""From the model's words to Sync."""
