"""What the Flex plugin and Twilio call over HTTP."""
