"""Time as a producer."""

from agent_memory.runtime.stopping import guard_imports

guard_imports()
