"""The command line: what may be typed, and what it does."""
