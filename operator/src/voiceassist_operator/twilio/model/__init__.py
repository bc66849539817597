"""What is wanted of Twilio, what is known of it, and what an answer means. Pure."""
