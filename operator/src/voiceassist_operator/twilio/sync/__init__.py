"""An object's Sync service."""
