"""The database of a Redis agent memory server, read and turned into events. The layout of its keys is known here alone."""
