"""Time as a producer."""
