"""How a command is answered: what happened, at which log position, or a fault."""

from datetime import datetime

import msgspec

from agent_memory.contracts.errors import Fault


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True, tag_field="type"):
    """Base of all replies."""


class EventsRecorded(Reply, frozen=True, kw_only=True):
    """`created[i]` tells whether event i is new; `event_ids[i]` under which id the timeline keeps it."""

    event_ids: list[str]
    created: list[bool]


class WorkingMemoryChanged(Reply, frozen=True, kw_only=True):
    """A session is at `version` now. `created[i]`: whether message i of an append is new. Together with the command this is
    enough to tell what the document looks like: `created_at` survives replacement, `updated_ms` (UTC) is when it changed.
    `superseded`: a newer change was recorded already, so the document did not change. `memories`: those of the document where
    they differ from what was given; `extracted`: the messages of it that memories were drawn from.
    """

    session_id: str
    version: int
    created: list[bool] = []
    superseded: bool = False
    created_at: datetime
    updated_ms: int
    memories: list[msgspec.Raw] | None = None
    extracted: list[str] = []


class MemoriesStored(Reply, frozen=True, kw_only=True):
    """One outcome per record of the request, in its order: created, replaced, unchanged, superseded,
    or duplicate: then `memory_ids` has the id of the memory that says the same.
    """

    memory_ids: list[str]
    outcomes: list[str]


class MemoryChanged(Reply, frozen=True, kw_only=True):
    """The full record after the change, as JSON."""

    record: msgspec.Raw


class MemoriesForgotten(Reply, frozen=True, kw_only=True):
    """The ids that existed and are gone now."""

    memory_ids: list[str]


class Acknowledged(Reply, frozen=True, kw_only=True):
    """Done; there is nothing to tell."""


class Failed(Reply, frozen=True, kw_only=True):
    """Nothing was written."""

    fault: Fault


AnyReply = EventsRecorded | WorkingMemoryChanged | MemoriesStored | MemoryChanged | MemoriesForgotten | Acknowledged | Failed


class ReplyEnvelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reply on its way back. `position` is the log position that holds the effect (0 when there was none)."""

    command_id: str
    position: int = 0
    reply: AnyReply
