"""Bodies that change a session's working memory."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AppendMessages, ReplaceWorkingMemory
from agent_memory.contracts.errors import Refused
from agent_memory.contracts.records import Message, Strategy, StrategyName
from agent_memory.gateway.edges.http import fields
from agent_memory.gateway.edges.http.body import Parameters, decode
from agent_memory.gateway.edges.http.fields import REQUIRED, Spec
from agent_memory.gateway.edges.http.problems import Loc, Problems
from agent_memory.gateway.edges.http.requests_events import MOST_EVENTS, ShortId, ShortText
from agent_memory.gateway.edges.http.requests_memories import MOST_MEMORIES, working_memory_record

MOST_MESSAGES = 10_000
"""In one document. A body of ten megabytes could hold 350,000, and every other write would wait until they are recorded."""

MOST_SECONDS = 100 * 365 * 86_400

ShortName = Annotated[str, msgspec.Meta(max_length=63)]
Tokens = Annotated[int, msgspec.Meta(ge=-fields.INT64, le=fields.INT64)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=MOST_SECONDS)]


class QuickMessage(msgspec.Struct, kw_only=True):
    """A message as most clients send it."""

    role: ShortName
    content: ShortText
    id: ShortId | None = None
    created_at: datetime | None = None
    persisted_at: datetime | None = None
    discrete_memory_extracted: Literal["t", "f"] = "f"


class QuickStrategy(msgspec.Struct, kw_only=True, frozen=True):
    """A strategy without configuration."""

    strategy: StrategyName = "discrete"
    config: Annotated[dict[str, Any], msgspec.Meta(max_length=0)] = {}


class QuickSession(msgspec.Struct, kw_only=True):
    """A document as most clients send it; the memories in it go the patient way."""

    messages: Annotated[list[QuickMessage], msgspec.Meta(max_length=MOST_MESSAGES)] = []
    memories: Annotated[list[Any], msgspec.Meta(max_length=0)] = []
    data: Annotated[dict[str, str | int | float | bool | None], msgspec.Meta(max_length=100)] | None = None
    context: ShortText | None = None
    user_id: ShortName | None = None
    namespace: ShortName | None = None
    tokens: Tokens = 0
    long_term_memory_strategy: QuickStrategy = QuickStrategy()
    ttl_seconds: Seconds | msgspec.UnsetType | None = msgspec.UNSET
    last_accessed: datetime | None = None


_quick = msgspec.json.Decoder(QuickSession).decode

_MESSAGE: Spec = {
    "role": (fields.name, REQUIRED),
    "content": (fields.text, REQUIRED),
    "id": (fields.nullable(fields.identifier), None),
    "created_at": (fields.nullable(fields.moment), None),
    "persisted_at": (fields.nullable(fields.moment), None),
    "discrete_memory_extracted": (fields.one_of("t", "f"), "f"),
}
_STRATEGY: Spec = {
    "strategy": (fields.one_of("discrete", "summary", "preferences", "custom"), "discrete"),
    "config": (fields.json_object, {}),
}


def _message(value: object, loc: Loc, problems: Problems) -> QuickMessage:
    return QuickMessage(**fields.fields(value, loc, problems, _MESSAGE))


def _strategy(value: object, loc: Loc, problems: Problems) -> Strategy:
    return Strategy(**fields.fields(value, loc, problems, _STRATEGY))


_SESSION: Spec = {
    "messages": (fields.listing(_message, most=MOST_MESSAGES), []),
    "memories": (fields.listing(fields.json_object, most=MOST_MEMORIES), []),
    "data": (fields.nullable(fields.json_object), None),
    "context": (fields.nullable(fields.text), None),
    "user_id": (fields.nullable(fields.name), None),
    "namespace": (fields.nullable(fields.name), None),
    "tokens": (fields.integer, 0),
    "long_term_memory_strategy": (_strategy, None),
    "ttl_seconds": (fields.nullable(fields.between(1, MOST_SECONDS)), msgspec.UNSET),
    "last_accessed": (fields.nullable(fields.moment), None),
}
_MESSAGES: Spec = {
    "messages": (fields.listing(_message, least=1, most=MOST_EVENTS), REQUIRED),
    "user_id": (fields.nullable(fields.name), None),
    "namespace": (fields.nullable(fields.name), None),
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one request. `new_id` gives the id of the index-th message that came without; `ttl_seconds` is that of a
    document which says nothing of it.
    """

    now: datetime
    new_id: Callable[[int], str]
    timestamps_required: bool = False
    most_future_seconds: int = 300
    ttl_seconds: int | None = None
    memory_ids_required: bool = False


class SessionRequest(msgspec.Struct, frozen=True):
    """What a body asks for, and for whom. `undated`: some message had no time of its own."""

    command: ReplaceWorkingMemory
    namespace: str | None
    user_id: str | None
    undated: bool


class AppendRequest(msgspec.Struct, frozen=True):
    """Messages to append, and to whose session."""

    command: AppendMessages
    namespace: str | None
    user_id: str | None


def replace_session(body: bytes, session_id: str, parameters: Parameters, rules: Rules) -> SessionRequest:
    """The command of a PUT. Raises InvalidRequest, or Refused for a message without content."""
    problems = parameters.problems
    given = None if b"\\u0000" in body else _quickly(body)
    memories: list[msgspec.Raw] = []
    strategy = Strategy()
    if given is not None:
        strategy = Strategy(strategy=given.long_term_memory_strategy.strategy)
    else:
        found = fields.fields(decode(body), ("body",), problems, _SESSION)
        strategy = found.pop("long_term_memory_strategy") or strategy
        given = QuickSession(**{**found, "memories": []})
        memories = _memories(found["memories"], len(given.messages), problems, rules)
    user_id = parameters.get("user_id", fields.name)
    messages = _messages(given.messages, problems, rules)
    problems.check()
    _not_blank(messages)
    command = ReplaceWorkingMemory(
        session_id=session_id,
        messages=messages,
        memories=memories,
        data=given.data or {},  # type: ignore[arg-type]
        context=given.context,
        tokens=given.tokens,
        strategy=strategy,
        ttl_seconds=rules.ttl_seconds if given.ttl_seconds is msgspec.UNSET else given.ttl_seconds,
        last_accessed=given.last_accessed,
    )
    undated = any(message.created_at is None for message in given.messages)
    return SessionRequest(command, given.namespace, user_id or given.user_id, undated)


def append_messages(body: bytes, session_id: str, parameters: Parameters, rules: Rules) -> AppendRequest:
    """The command of a POST to a session's messages. Raises as `replace_session` does."""
    problems = parameters.problems
    namespace, user_id = (parameters.get(field, fields.name) for field in ("namespace", "user_id"))
    given = fields.fields(decode(body), ("body",), problems, _MESSAGES)
    messages = _messages(given["messages"] or [], problems, rules, unique=False)
    problems.check()
    _not_blank(messages)
    command = AppendMessages(session_id=session_id, messages=messages)
    return AppendRequest(command, given["namespace"] or namespace, given["user_id"] or user_id)


def _quickly(body: bytes) -> QuickSession | None:
    try:
        given = _quick(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    times = [given.last_accessed, *(moment for message in given.messages for moment in (message.created_at, message.persisted_at))]
    return given if all(moment is None or (moment.tzinfo and 1 < moment.year < 9999) for moment in times) else None


def _memories(given: list[dict[str, Any]], first: int, problems: Problems, rules: Rules) -> list[msgspec.Raw]:
    """Memories as JSON. Ids that are made count on from those of the messages, of which they must differ."""
    if rules.memory_ids_required and any(not memory.get("id") for memory in given):
        raise Refused("All memory records in working memory must have an ID")
    found = [
        working_memory_record(memory, index, problems, rules.now, lambda index: rules.new_id(first + index))
        for index, memory in enumerate(given)
    ]
    problems.check()
    return [msgspec.Raw(encode(record)) for record in found]


def _messages(given: list[QuickMessage], problems: Problems, rules: Rules, *, unique: bool = True) -> list[Message]:
    """The messages with what was missing filled in. In a document, an id that comes twice stands once, as it was last given."""
    latest = rules.now + timedelta(seconds=rules.most_future_seconds)
    result: list[Message] = []
    for index, message in enumerate(given):
        created_at = message.created_at
        if created_at is None:
            created_at = rules.now + timedelta(microseconds=index)  # so that the order of arrival is also the order of time
            if rules.timestamps_required:
                detail = "created_at is required for messages. Please provide the timestamp when the message was created."
                problems.value(("body", "messages", index, "created_at"), detail, None)
        elif created_at > latest:
            detail = f"created_at cannot be more than {rules.most_future_seconds} seconds in the future."
            problems.value(
                ("body", "messages", index, "created_at"), f"{detail} Received: {created_at.isoformat()}", created_at.isoformat()
            )
        result.append(
            Message(
                role=message.role,
                content=message.content,
                id=message.id or rules.new_id(index),
                created_at=created_at.astimezone(UTC),
                persisted_at=message.persisted_at and message.persisted_at.astimezone(UTC),
                discrete_memory_extracted=message.discrete_memory_extracted,
            )
        )
    return list({message.id: message for message in result}.values()) if unique else result


def _not_blank(messages: list[Message]) -> None:
    for message in messages:
        if not message.content or message.content.isspace():
            raise Refused(f"Message content cannot be empty (message ID: {message.id})")
