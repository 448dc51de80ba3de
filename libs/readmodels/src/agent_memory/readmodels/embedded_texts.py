"""Which texts of an event have vectors, whichever index they are for."""

from collections.abc import Iterator

from agent_memory.contracts.events import AnyEvent, EventRecorded, MemoryEdited, MemoryStored, NodeRevised
from agent_memory.contracts.records import is_message
from agent_memory.readmodels.contents_documents import grips_of, node_text


def texts_of(event: AnyEvent) -> Iterator[str]:
    """The texts, a message also as it is found among memories."""
    match event:
        case EventRecorded(event=said):
            yield said.text
            if is_message(said):
                yield f"{said.role}: {said.text}"
        case MemoryStored(record=record) | MemoryEdited(record=record):
            yield record.text
        case NodeRevised(revision=revision) if not revision.gone:
            yield node_text(revision)
            yield from (grip.excerpt for grip in grips_of(revision))
        case _:
            pass
