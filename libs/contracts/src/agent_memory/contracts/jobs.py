"""What is known of scheduled jobs: where one stands, a run that ended, and how a run is asked of the service that does it.

Times are UTC milliseconds.
"""

from typing import Literal

import msgspec

JobResult = Literal["success", "failed", "skipped"]
PAUSED, OVERLAP = "paused", "overlap"
"""Why a run was passed over."""
CLOCKS_DIFFER_MS = 60_000
"""How far clocks may differ. A due time further ahead is of a clock that was wrong, and nothing waits until it comes."""


class DueRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that is to be started. `manual`: somebody asked for it."""

    due_ms: int
    manual: bool = False


class RunningJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that was started by `runner`. It waits for `jitter_ms` before it begins; `timeout_ms` counts from there."""

    due_ms: int
    started_ms: int
    runner: str
    jitter_ms: int = 0
    timeout_ms: int = 0
    manual: bool = False

    @property
    def deadline_ms(self) -> int:
        """When it has failed if it has not ended."""
        return self.started_ms + self.jitter_ms + self.timeout_ms

    @property
    def overdue(self) -> str:
        """What is said of a run that did not end in time."""
        return f"Job timed out after {self.timeout_ms / 1000:g} seconds"


class JobRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run that ended. Of one that was passed over, `error` is the reason. `metadata`: what its body has to tell."""

    due_ms: int
    started_ms: int
    finished_ms: int
    result: JobResult
    error: str | None = None
    metadata: dict[str, str] = {}
    manual: bool = False


class JobState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a job stands after an event: each event of its stream carries it, so that the newest one tells everything.

    `due_ms`: the newest due time that was heard of; `last`: the run that ended last; `told`: that runs are passed over while it
    is paused was recorded.
    """

    due_ms: int = 0
    waiting: DueRun | None = None
    running: RunningJob | None = None
    paused: bool = False
    told: bool = False
    run_count: int = 0
    """Runs that succeeded."""
    error_count: int = 0
    """Runs that failed."""
    last: JobRun | None = None


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is shown. `last_…` are of the run that ended last, passed over or not: when it began, how long it took, and how
    it ended (None: there was none); 0 where there is nothing. `next_run_ms` is due also while the job is paused.
    """

    job_name: str
    cron_expr: str
    last_run_ms: int = 0
    last_duration_ms: int = 0
    last_result: JobResult | None = None
    last_error: str | None = None
    next_run_ms: int = 0
    run_count: int = 0
    error_count: int = 0
    is_running: bool = False
    is_paused: bool = False
    last_run_metadata: dict[str, str] = {}
    time_zone: str = "UTC"
    meaning: str = ""
    service: str = ""


class SchedulerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs, always in the same order. `scheduler_running`: a scheduler was heard of in the last seconds."""

    scheduler_running: bool
    jobs: list[JobStatus]


class RunJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Do a job now and answer under `streams.job_answer_key(id)`. After the deadline nobody listens."""

    id: str
    job: str
    due_ms: int
    deadline_ms: int
    traceparent: str = ""


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it went. `error`: why it failed; None when it did not."""

    error: str | None = None
    metadata: dict[str, str] = {}
