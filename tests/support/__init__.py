"""What tests of every tier share: waiting for something to become true, event loops by name."""
