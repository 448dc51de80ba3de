"""The doors: each translates its own protocol into the same commands and queries."""
