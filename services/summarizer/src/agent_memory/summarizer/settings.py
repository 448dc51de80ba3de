"""What only the summarizer can be told, beside the settings that every service shares."""

import msgspec


class SummarizerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are taken from the bus, and how much is done beside."""

    batch: int = 200
    """Most events applied together."""
    connections: int = 6
    """To the log's database."""
    nodes_at_once: int = 32
    """Nodes of the table of contents that are written about together; without a model it takes a moment for each."""
    revising_lanes: int = 3
    """Batches of nodes that are under way at a time: while one is recorded and shown, another is read."""
    claim_after_ms: int = 30_000
    """Events that a replica took and did not acknowledge for this long are taken over by another."""


DEFAULTS = SummarizerSettings()
