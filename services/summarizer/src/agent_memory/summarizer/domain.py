"""Where a session is cut is in `readmodels.cutting`, which whoever recomputes the view from the log shares."""

from agent_memory.readmodels.cutting import GAP_MS, MAX_TOKENS, TOOL_BYTES, evolve, evolve_all, follows, tokens

__all__ = ["GAP_MS", "MAX_TOKENS", "TOOL_BYTES", "evolve", "evolve_all", "follows", "tokens"]
