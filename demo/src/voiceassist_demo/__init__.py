"""The whole line on one machine, to see and to measure: both stand-ins, a relay, calls, and a page."""
