"""Every name on the bus and in Redis, in one place. Keys carry what must stay together in a cluster as a `{hash tag}`."""

from collections.abc import Mapping
from urllib.parse import unquote

from agent_memory.contracts.records import Scope, escape

COMMANDS = "am:commands"
EVENTS = "am:events"
DEAD_LETTERS = "am:dead-letters"
DATA_FIELD = "__data__"
SEQUENCE_FIELD = "sequence"
"""Beside a command that was replayed: the place that it had when it was first sent, so that it never passes for a newer one."""

INGEST_GROUP = "ingest"

COMPACTIONS = "am:compactions"
"""Requests to the compactor that somebody waits for; its group is of the same name as the service."""
COMPACTOR_GROUP = "compactor"
COMPACTION = "compaction"
FORGETTING = "forgetting"
"""Jobs that the compactor does when they are due."""

PARTITION_RUNS = "am:partition-runs"
"""Requests for the summary of one partition that somebody waits for (`partition_runs.RunPartition`)."""
PARTITION_RUNS_GROUP = "partition-runs"
SUMMARY_VIEWS = "summary-views"
"""The job by which continuous summary views are made anew."""

MEMORY_INDEX = "memory-index"
TIMELINE_INDEX = "timeline-index"
CONTENTS_INDEX = "contents-index"
CONTENTS = "contents"
DUPLICATES = "duplicates"
JOBS = "jobs"
SESSION_WORK = "session-work"
ENRICHMENT = "enrichment"
TASKS = "tasks"

PROJECTIONS: dict[str, str] = {
    MEMORY_INDEX: "indexer",
    TIMELINE_INDEX: "indexer",
    CONTENTS_INDEX: "indexer",
    CONTENTS: "rollup",
    DUPLICATES: "compactor",
    JOBS: "scheduler",
    SESSION_WORK: "summarizer",
    ENRICHMENT: "summarizer",
    TASKS: "summarizer",
}
"""Projection (which is also its consumer group on `EVENTS`) to the service that keeps it."""


def session_stream(scope: Scope, session_id: str) -> str:
    """Log stream of one session."""
    return f"session/{scope.path}/{escape(session_id)}"


def owner_of(stream: str) -> tuple[Scope, str]:
    """Whose a session's or memory's log stream is, and its id: what `session_stream` and `memory_stream` were given."""
    kind, tenant, *owner, id_ = [unquote(part) for part in stream.split("/")]
    namespace, user_id = owner if kind == "session" else ("", "")
    return Scope(tenant=tenant, namespace=namespace, user_id=user_id), id_


def memory_stream(tenant: str, memory_id: str) -> str:
    """Log stream of one long-term memory; its id is unique in a tenant."""
    return f"memory/{escape(tenant)}/{escape(memory_id)}"


def job_stream(tenant: str, job: str) -> str:
    """Log stream of one scheduled job."""
    return f"job/{escape(tenant)}/{escape(job)}"


def job_runs_key(service: str) -> str:
    """Hash of the runs that are asked of a service: job to `jobs.RunJob`. Of each job at most one goes on."""
    return f"am:job-runs:{service}"


def job_answer_key(request_id: str) -> str:
    """Where the answer to a `jobs.RunJob` is put, for some minutes."""
    return f"am:job-run:{request_id}"


def view_stream(tenant: str, view_id: str) -> str:
    """Log stream of one summary view."""
    return view_streams(tenant) + escape(view_id)


def view_streams(tenant: str | None = None) -> str:
    """What the log streams of a tenant's summary views begin with; without a tenant, those of all."""
    return "view/" if tenant is None else f"view/{escape(tenant)}/"


def partition_streams(tenant: str, view_id: str) -> str:
    """What the log streams of a view's groups begin with."""
    return f"partition/{escape(tenant)}/{escape(view_id)}/"


def partition_stream(tenant: str, view_id: str, group: Mapping[str, str]) -> str:
    """Log stream of one group of a summary view."""
    parts = "/".join(f"{escape(name)}={escape(value)}" for name, value in sorted(group.items()))
    return partition_streams(tenant, view_id) + parts


def node_stream(scope: Scope, node_id: str) -> str:
    """Log stream of one node of a scope's table of contents."""
    return f"toc/{scope.path}/{escape(node_id)}"


def task_stream(tenant: str, task_id: str) -> str:
    """Log stream of one task."""
    return f"task/{escape(tenant)}/{escape(task_id)}"


def working_memory_keys(stream: str) -> tuple[str, str, str]:
    """Keys of a session's view: its head (version and times), its document, and its messages as one comma-joined string."""
    return f"am:wm:{{{stream}}}:head", f"am:wm:{{{stream}}}:document", f"am:wm:{{{stream}}}:messages"


def replies_channel(gateway: str) -> str:
    """Pub/sub channel on which one gateway process hears its replies."""
    return f"am:replies:{gateway}"


def checkpoint_key(projection: str) -> str:
    """Position up to which every event is accounted for."""
    return f"am:projection:{{{projection}}}:checkpoint"


def ahead_key(projection: str) -> str:
    """Ranges of positions beyond the checkpoint that are accounted for already."""
    return f"am:projection:{{{projection}}}:ahead"


def counters_key(projection: str) -> str:
    """Hash with the ledger of a projection: applied, skipped, dead-lettered."""
    return f"am:projection:{{{projection}}}:counters"


def waiting_key(projection: str) -> str:
    """Sorted set of positions that are passed over until a replica of a newer version, which can read them, takes them up."""
    return f"am:projection:{{{projection}}}:waiting"


def epoch_key(projection: str) -> str:
    """A random value that a flush takes away: tells one life of the data from the next."""
    return f"am:projection:{{{projection}}}:epoch"


HEARTBEAT_STALE_MS = 15_000
"""A replica that was not heard of for this long is taken for dead: it says every two seconds that it lives."""


def heartbeat_key(service: str) -> str:
    """Hash of live replicas of a service: name to the UTC milliseconds it was last seen at."""
    return f"am:heartbeat:{service}"


def index_alias(kind: str) -> str:
    """Name under which readers find the live generation of a search index ("memory", "timeline" or "contents")."""
    return f"am:index:{kind}"


def index_name(kind: str, generation: int) -> str:
    """Name of one generation of a search index."""
    return f"am:index:{kind}:{generation}"


def document_prefix(kind: str, generation: int) -> str:
    """Key prefix of the documents of one generation."""
    return f"am:doc:{kind}:{generation}:"


def document_key(kind: str, generation: int, scope_path: str, document_id: str) -> str:
    """Key of one search document."""
    return f"am:doc:{kind}:{generation}:{{{scope_path}}}:{document_id}"


def compaction_answer_key(request_id: str) -> str:
    """Where the answer to a request on `COMPACTIONS` is put, for some minutes."""
    return f"am:compaction:{request_id}"


def partition_answer_key(request_id: str) -> str:
    """Where the answer to a request on `PARTITION_RUNS` is put, for some minutes."""
    return f"am:partition-run:{request_id}"


def turns_prefix(kind: str, generation: int) -> str:
    """Prefix of the keys that hold the order of events in each session, for the context of their search documents."""
    return f"am:turns:{kind}:{generation}:"


def turns_start(kind: str, generation: int, scope_path: str) -> str:
    """What those keys start with for the sessions of a scope; they lie beside its documents. A sorted set by time."""
    return f"{turns_prefix(kind, generation)}{{{scope_path}}}:"
