"""The real Flex UI on this machine: its npm packages, its page, and a Chromium that finds Twilio's hosts on loopback."""
