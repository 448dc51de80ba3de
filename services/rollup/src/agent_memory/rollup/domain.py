"""What the table of contents counts is in `readmodels.tallies`, which whoever recomputes the view from the log shares."""

from agent_memory.readmodels.tallies import Recorded, tally

__all__ = ["Recorded", "tally"]
