"""Variables of the server whose place this takes that have nothing to do here. They may stay in the environment."""

from typing import Literal

import msgspec

from agent_memory.runtime.settings.kinds import Secret


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Looked at only to refuse what was never a value of theirs, or would mean something that is not kept."""

    slow_model: str = "gpt-5"
    """Was read by nothing there either; GENERATION_MODEL is the model for what takes long."""
    memory_vector_db_factory: str = ""
    """There is one kind of index, Redis Search: a view of the log that can be made anew at any time."""
    redisvl_index_name: str = "memory_records"
    """Indexes are named by generation behind an alias, so that a new one is made beside the live one."""
    redisvl_index_prefix: str = "memory_idx"
    """As REDISVL_INDEX_NAME."""
    redisvl_distance_metric: Literal["COSINE"] = "COSINE"
    """Always COSINE: distances of answers and thresholds of requests are cosine distances. Another value stops the start."""
    working_memory_index_name: str = "working_memory_idx"
    """Sessions are listed from the log and need no index."""
    working_memory_index_prefix: str = "working_memory:"
    """As WORKING_MEMORY_INDEX_NAME."""
    working_memory_migration_complete: bool = False
    """There are no older keys of working memory in Redis: a missing session is folded from the log."""
    docket_name: str = "memory-server"
    """Background work is done by services on the bus, not by a queue of tasks."""
    use_docket: bool = True
    """As DOCKET_NAME: work in the background always survives a restart."""
    auth0_client_id: str = ""
    """Was read by nothing there either; see OAUTH2_ISSUER_URL."""
    auth0_client_secret: Secret = ""
    """As AUTH0_CLIENT_ID."""
