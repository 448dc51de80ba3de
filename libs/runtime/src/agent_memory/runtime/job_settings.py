"""The scheduled jobs as the settings have them."""

from agent_memory.contracts.job_catalogue import Job, jobs
from agent_memory.runtime.settings import Settings


def jobs_of(settings: Settings) -> tuple[Job, ...]:
    """All jobs, in the order in which they are shown. `settings` have been checked when they were loaded."""
    return jobs(
        compaction_minutes=settings.compaction_every_minutes,
        forgetting_minutes=settings.forgetting_every_minutes if settings.forgetting_enabled else None,
        refresh_minutes=settings.summary_view_refresh_every_minutes,
        schedules=settings.job_schedules,
    )
