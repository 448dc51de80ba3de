"""What only the scheduler can be told, beside the settings that every service shares."""

import msgspec


class SchedulerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are taken from the bus, and ticks put on it."""

    batch: int = 200
    """Most events applied together."""
    claim_after_ms: int = 30_000
    """Events that a replica took and did not acknowledge for this long are taken over by another."""
    look_every_seconds: float = 0.5
    """How often the clock is compared with the schedules: a tick is at most this late."""
    send_again_seconds: float = 60.0
    """A tick that the log does not show after this long is sent again; its id keeps it from counting twice."""


DEFAULTS = SchedulerSettings()
