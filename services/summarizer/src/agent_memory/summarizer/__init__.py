"""Where models are called."""

from agent_memory.runtime.stopping import guard_imports

guard_imports()
