"""How ingest works through the bus."""

import msgspec


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`batch`: most commands in one transaction. `claim_after_ms`: how long a command may lie with a replica that does not
    acknowledge it before another takes it. `connections`: to Postgres.
    """

    batch: int = 200
    claim_after_ms: int = 3000
    connections: int = 3


DEFAULTS = IngestSettings()
