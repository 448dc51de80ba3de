"""The only writer of the log."""

from agent_memory.runtime.stopping import guard_imports

guard_imports()
