"""What the operator costs, beside a bare one and an earlier commit: a real API server; pods, relays and Twilio are played."""
