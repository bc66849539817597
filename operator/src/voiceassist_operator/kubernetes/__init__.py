"""The cluster: its client, the kinds, and the Lease."""
