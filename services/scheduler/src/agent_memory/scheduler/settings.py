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
    runs_every_seconds: float = 1.0
    """How often it is looked for runs that wait; one that this replica hears of from the log is begun at once."""
    lease_ms: int = 10_000
    """How long a job stays with a scheduler that does not live any more."""
    ask_again_seconds: float = 2.0
    """How often a request is put where it may have been flushed away, and its service is looked for."""
    most_missed: int = 5
    """Looks in turn without a live replica of a job's service, after which the run has failed: a restart takes less."""


DEFAULTS = SchedulerSettings()
