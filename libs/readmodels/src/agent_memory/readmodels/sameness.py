"""When two memories say the same: equal text after normalising, of one owner. Pure."""

import hashlib
import unicodedata
from collections.abc import Iterable

from agent_memory.contracts.envelope import EventEnvelope
from agent_memory.contracts.events import AnyEvent, MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import Scope
from agent_memory.readmodels.duplicates import Content, Gone


def content_hash(text: str) -> str:
    """SHA-256 of the text without regard to case, compatibility forms (NFKC) and white space."""
    normal = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(normal.encode(errors="surrogatepass")).hexdigest()


def project(envelope: EventEnvelope, event: AnyEvent) -> Content | Gone | None:
    """What an event means for the grouping."""
    match event:
        case MemoryStored(record=record) | MemoryEdited(record=record):
            owner = Scope(tenant=envelope.scope.tenant, namespace=record.namespace or "", user_id=record.user_id or "")
            look = f"{record.memory_type} {record.event_date} {record.pinned}"
            said = content_hash(record.text)
            return Content(memory_id=record.id, position=envelope.position, owner=owner, content_hash=said, look=look)
        case MemoryForgotten(memory_id=memory_id):
            return Gone(memory_id=memory_id, position=envelope.position, tenant=envelope.scope.tenant)
        case _:
            return None


def latest(changes: Iterable[Content | Gone]) -> list[Content | Gone]:
    """The last change of each memory: the others would be overwritten at once."""
    last: dict[tuple[str, str], Content | Gone] = {}
    for change in sorted(changes, key=lambda change: change.position):
        tenant = change.tenant if isinstance(change, Gone) else change.owner.tenant
        last[tenant, change.memory_id] = change
    return list(last.values())
