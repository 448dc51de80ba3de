"""Command line: agent-memory, memory-daemon, memory-ingest."""
