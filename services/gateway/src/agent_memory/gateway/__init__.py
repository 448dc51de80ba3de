"""HTTP and gRPC edge: requests to commands, reads from views."""

from agent_memory.runtime.stopping import guard_imports

guard_imports()
