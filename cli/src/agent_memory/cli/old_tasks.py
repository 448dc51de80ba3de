"""What the background tasks of the Redis agent memory server are here. Pure."""

from typing import Literal

import msgspec

from agent_memory.contracts.job_catalogue import JOBS
from agent_memory.contracts.streams import COMPACTION, FORGETTING, SUMMARY_VIEWS

OLD_PACKAGE = "agent_memory_server"


class OldTask(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` job: `job` does it; view: a run of the summary view that `view_id` names; automatic: services do it by themselves,
    as soon as there is something to do; elsewhere: `instead` is what to type.

    `arguments` have a meaning; `idle` ones may be given, and have none: why not. `wider` ones are refused,
    for without them more would be done than was asked for: why, and what to do instead.
    """

    kind: Literal["job", "view", "automatic", "elsewhere"]
    job: str = ""
    arguments: tuple[str, ...] = ()
    idle: dict[str, str] = {}
    wider: dict[str, tuple[str, str]] = {}
    instead: str = ""


_ALL = "every memory is compared once, from where the last run ended"
_AUTOMATIC = OldTask(kind="automatic")
OLD_TASKS: dict[str, OldTask] = {
    "compact_long_term_memories": OldTask(
        kind="job",
        job=COMPACTION,
        arguments=("namespace", "user_id"),
        idle={
            "limit": _ALL,
            "perpetual": "the scheduler has it run every COMPACTION_EVERY_MINUTES",
            "compact_hash_duplicates": "equal memories are refused when they are stored",
            "compact_semantic_duplicates": "the server's COMPACT_SEMANTIC_DUPLICATES decides",
            "vector_distance_threshold": "the server's DEDUPLICATION_DISTANCE_THRESHOLD decides",
        },
        wider={
            "session_id": (
                "memories of one session are not compacted alone: what says the same is looked for among all of a user",
                "-a user_id=USER, -a namespace=NAMESPACE or both",
            )
        },
    ),
    "periodic_forget_long_term_memories": OldTask(
        kind="job", job=FORGETTING, idle={"perpetual": "the scheduler has it run every FORGETTING_EVERY_MINUTES"}
    ),
    "periodic_refresh_summary_views": OldTask(
        kind="job", job=SUMMARY_VIEWS, idle={"perpetual": "the scheduler has it run every SUMMARY_VIEW_REFRESH_EVERY_MINUTES"}
    ),
    "refresh_summary_view": OldTask(kind="view", arguments=("view_id", "task_id")),
    "forget_long_term_memories": OldTask(kind="elsewhere", instead="POST /v1/long-term-memory/forget takes the policy"),
    "delete_long_term_memories": OldTask(kind="elsewhere", instead="`agent-memory delete memory ID…` deletes"),
    "promote_working_memory_to_long_term": _AUTOMATIC,
    "run_delayed_extraction": _AUTOMATIC,
    "index_long_term_memories": _AUTOMATIC,
    "extract_memory_structure": _AUTOMATIC,
    "extract_memories_with_strategy": _AUTOMATIC,
    "summarize_session": _AUTOMATIC,
    "update_last_accessed": _AUTOMATIC,
}


def task_of(path: str) -> OldTask | None:
    """What an import path of the other server, or the name of a job of ours, stands for. None: nothing."""
    package, _, rest = path.partition(".")
    if package == OLD_PACKAGE and rest:
        return OLD_TASKS.get(rest.rpartition(".")[2])
    names = {job.name for job in JOBS} | {FORGETTING}
    return OldTask(kind="job", job=path) if path in names else None


def known_paths() -> list[str]:
    """What `task_of` knows and can do, for a list."""
    old = [f"{OLD_PACKAGE}.….{name}" for name, task in OLD_TASKS.items() if task.kind in ("job", "view")]
    return [*old, *(job.name for job in JOBS), FORGETTING]


def value_of(text: str) -> bool | int | float | str:
    """The value of an argument: a truth value, a number, or text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
