"""When two memories say the same is in `readmodels.sameness`, which whoever recomputes the view from the log shares."""

from agent_memory.readmodels.sameness import content_hash, latest, project

__all__ = ["content_hash", "latest", "project"]
