"""The configuration and the secrets: read, watched, and swapped as one snapshot."""
