"""Twilio as desired state: Sync, function URLs and Functions, Flex configuration."""
