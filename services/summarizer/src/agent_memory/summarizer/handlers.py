"""What the views of sessions take from the bus."""

from typing import Protocol

import msgspec

from agent_memory.contracts.events import (
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)

TYPES: frozenset[str] = frozenset(
    kind.__name__
    for kind in (
        EventRecorded,
        WorkingMemoryReplaced,
        MessagesRestored,
        WorkingMemoryDeleted,
        WorkingMemorySummarized,
        MemoriesExtracted,
    )
)
"""All that stands in a session's stream: the others say nothing, but without them its versions would seem to have gaps."""

ATTEMPTS = 5


class Row(Protocol):
    """One version of a stream, as the log keeps it or the bus brings it."""

    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> bytes | msgspec.Raw: ...
