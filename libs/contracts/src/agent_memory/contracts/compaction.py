"""A request to the compactor that somebody waits for, and its answer. On the stream `COMPACTIONS`, apart from the commands: nothing
of it is recorded but what it leads to."""

import msgspec

from agent_memory.contracts.errors import Fault


class Compact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Look at every memory of a tenant that is new or changed up to a log position. None: whatever its namespace, or user."""

    id: str
    tenant: str
    position: int
    namespace: str | None = None
    user_id: str | None = None


class Compacted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many memories remain and how many became part of others, or what went wrong. `position`: of the last change."""

    remaining: int = 0
    merged: int = 0
    position: int = 0
    fault: Fault | None = None
