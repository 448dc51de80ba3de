"""Duplicates and age to merge and forget."""

from agent_memory.runtime.stopping import guard_imports

guard_imports()
