"""What only the compactor can be told, beside the settings that every service shares."""

import msgspec


class CompactorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are taken from the bus, and how memories are compared."""

    batch: int = 200
    """Most events applied together."""
    claim_after_ms: int = 30_000
    """Events that a replica took and did not acknowledge for this long are taken over by another."""
    requests: int = 4
    """Most requests that somebody waits for, done at the same time."""
    request_claim_after_ms: int = 600_000
    farthest: float = 0.2
    """Greatest cosine distance between memories that may say the same; DEDUPLICATION_DISTANCE_THRESHOLD says it."""
    neighbours: int = 20
    """How many near memories one is compared with at once."""
    together: int = 100
    """Memories that are looked at in one step: their texts, vectors and neighbours are fetched together."""
    settle_seconds: float = 120.0
    """Longest wait of a request for the views to hold what was written before it."""


DEFAULTS = CompactorSettings()
