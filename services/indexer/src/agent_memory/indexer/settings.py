"""What only the indexer can be told, beside the settings that every service shares."""

import msgspec


class IndexerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`batch`: most events that are taken at once and acknowledged together. `claim_after_ms`: how long events may lie with a
    replica that does not acknowledge them before another takes them; longer than a slow provider needs for a batch.
    `linger_seconds`: how long events may gather before they are looked at; a memory is never kept waiting. `gather_seconds`: the
    same for what was said, which is embedded faster together. `timeline_rest`: pause after a batch of what was said, as a share
    of the time it took.
    """

    batch: int = 400
    claim_after_ms: int = 60_000
    linger_seconds: float = 0.01
    gather_seconds: float = 0.05
    timeline_rest: float = 1.0
    connections: int = 3
