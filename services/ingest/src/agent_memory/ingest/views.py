"""What the working-memory view has to show for a decision. Pure."""

from msgspec.structs import replace

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AnyCommand, ReplaceWorkingMemory
from agent_memory.contracts.events import (
    EventRecorded,
    MemoriesExtracted,
    MessagesRestored,
    WorkingMemoryDeleted,
    WorkingMemoryReplaced,
    WorkingMemorySummarized,
)
from agent_memory.contracts.records import Message, is_message, message_of, to_datetime
from agent_memory.ingest.domain import session_id_of
from agent_memory.ingest.facts import Emitted
from agent_memory.ingest.sessions import Session
from agent_memory.readmodels.session_document import messages_json, new_document, replaced_document
from agent_memory.readmodels.sessions import ViewWrite


def view_write(
    stream: str, emitted: list[Emitted], command: AnyCommand, session: Session, *, was_alive: bool, now_ms: int
) -> ViewWrite | None:
    """One step for the events that a command put into one session. `session` is the state after them.

    None: there was no document and there is none. "drop": the step cannot be told from the command alone, so the view is
    rebuilt on its next read.
    """
    before, scope = emitted[0].version - 1, emitted[0].scope
    if not session.alive:
        ended = any(isinstance(one.event, WorkingMemoryDeleted) for one in emitted)
        return ViewWrite(how="delete", stream=stream, version=session.version) if ended else None
    if isinstance(emitted[-1].event, WorkingMemorySummarized | MemoriesExtracted):
        return ViewWrite(how="drop", stream=stream, version=session.version)
    moment = encode(to_datetime(now_ms)).strip(b'"')
    if isinstance(command, ReplaceWorkingMemory):
        replaced = emitted[-1].event
        given = {message.id: message for message in command.messages}
        if not isinstance(replaced, WorkingMemoryReplaced) or list(given) != replaced.order:
            return ViewWrite(how="drop", stream=stream, version=session.version)
        return ViewWrite(
            how="replace",
            stream=stream,
            version=session.version,
            document=encode(replaced_document(scope, replaced)),
            updated_at=moment,
            last_accessed=encode(replaced.last_accessed).strip(b'"'),
            expires_ms=session.expires_ms,
            messages=messages_json([_marked(message, session) for message in given.values()]),
        )
    messages = _appended(emitted, session)
    return ViewWrite(
        how="append" if was_alive else "replace",
        stream=stream,
        version=session.version,
        before=before,
        document=b"" if was_alive else encode(new_document(scope, session_id_of(emitted[-1].event), session.created_at)),
        updated_at=moment if messages else b"",
        last_accessed=moment,
        expires_ms=session.expires_ms,
        messages=messages_json(messages),
    )


def _marked(message: Message, session: Session) -> Message:
    if message.id in session.extracted and message.discrete_memory_extracted != "t":
        return replace(message, discrete_memory_extracted="t")
    return message


def _appended(emitted: list[Emitted], session: Session) -> list[Message]:
    messages: list[Message] = []
    for one in emitted:
        match one.event:
            case EventRecorded(event=event, sequence=sequence) if is_message(event) and sequence > session.sequence:
                messages.append(_marked(message_of(event), session))
            case MessagesRestored(messages=restored):
                messages += [_marked(message, session) for message in restored]
            case _:
                pass
    return messages
