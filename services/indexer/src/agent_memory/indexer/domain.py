"""When an index has to be built anew. What an event means for a document is in `readmodels.indexing`, which a rebuild shares."""

from agent_memory.readmodels.generations import Generation


def needs_rebuild(live: Generation, model: str, dimensions: int, algorithm: str) -> bool:
    """Whether the live index cannot hold what the settings ask for: other vectors, or another way to search them."""
    return not live.serves(model, dimensions) or live.algorithm.upper() != algorithm.upper()
