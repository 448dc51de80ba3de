"""Segments to table of contents."""

from agent_memory.runtime.stopping import guard_imports

guard_imports()
