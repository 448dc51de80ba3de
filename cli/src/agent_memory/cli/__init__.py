"""Command line: agent-memory, memory-daemon."""
