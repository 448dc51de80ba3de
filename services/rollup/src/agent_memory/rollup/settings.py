"""What only the rollup can be told, beside the settings that every service shares."""

import msgspec


class RollupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are taken from the bus."""

    batch: int = 500
    """Most events applied together."""
    eager_seconds: float = 0.03
    """Pause after a batch: what was written about a node waits for it before the nodes above are."""
    claim_after_ms: int = 30_000
    """Events that a replica took and did not acknowledge for this long are taken over by another."""


DEFAULTS = RollupSettings()
