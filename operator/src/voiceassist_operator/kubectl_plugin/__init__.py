"""`kubectl voiceassist`: what a roll-out of the prompt is at, and what people ask of it. It speaks to the cluster through kubectl alone."""
