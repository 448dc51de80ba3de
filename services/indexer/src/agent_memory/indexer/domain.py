"""When an index has to be built anew. What an event means for a document is in `readmodels.indexing`, which a rebuild shares."""

from agent_memory.readmodels.generations import Generation
from agent_memory.readmodels.schemas import LAYOUT


def needs_rebuild(live: Generation, model: str, dimensions: int, algorithm: str) -> bool:
    """Whether the live index is not as it would be made now: other vectors, another way to search them, other fields."""
    return not live.serves(model, dimensions) or live.algorithm.upper() != algorithm.upper() or live.layout != LAYOUT
