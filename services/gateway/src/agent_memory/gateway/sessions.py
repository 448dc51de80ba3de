"""What a session looks like after a command, told from the command and its reply without reading it back."""

from datetime import datetime

from msgspec.structs import replace

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import ReplaceWorkingMemory
from agent_memory.contracts.records import Message, Scope, to_datetime
from agent_memory.contracts.replies import WorkingMemoryChanged
from agent_memory.readmodels.session_document import Document, messages_json
from agent_memory.readmodels.sessions import SessionDocument, ViewWrite, assembled


def replaced(scope: Scope, command: ReplaceWorkingMemory, reply: WorkingMemoryChanged) -> SessionDocument:
    """The document that a client set, in the very bytes that a reader of the view gets."""
    document = Document(
        memories=command.memories if reply.memories is None else reply.memories,
        data=command.data,
        context=command.context,
        user_id=scope.user_id or None,
        tokens=command.tokens,
        session_id=command.session_id,
        namespace=scope.namespace or None,
        long_term_memory_strategy=command.strategy,
        ttl_seconds=command.ttl_seconds,
        created_at=reply.created_at,
    )
    updated_at = to_datetime(reply.updated_ms)
    return assembled(
        ViewWrite(
            how="replace",
            stream="",
            version=reply.version,
            document=encode(document),
            updated_at=encode(updated_at).strip(b'"'),
            last_accessed=encode(command.last_accessed or updated_at).strip(b'"'),
            messages=messages_json(_marked(command.messages, frozenset(reply.extracted))),
        )
    )


def empty(scope: Scope, session_id: str, now: datetime) -> SessionDocument:
    """A session that nobody has written yet."""
    document = Document(session_id=session_id, namespace=scope.namespace or None, user_id=scope.user_id or None, created_at=now)
    moment = encode(now).strip(b'"')
    shown = ViewWrite(how="replace", stream="", version=0, document=encode(document), updated_at=moment, last_accessed=moment)
    return assembled(shown)


def _marked(messages: list[Message], extracted: frozenset[str]) -> list[Message]:
    if not extracted:
        return messages
    return [replace(one, discrete_memory_extracted="t") if one.id in extracted else one for one in messages]
