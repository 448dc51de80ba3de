"""The only writer of the log."""
