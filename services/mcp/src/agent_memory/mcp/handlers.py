"""The tools that the Redis agent memory server has: each asks the memory server once, or twice to see whose a memory is."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from agent_memory.client import MemoryClient, NotFound
from agent_memory.client.answers import Memory, MemoryHits, Prompt
from agent_memory.mcp import arguments, results
from agent_memory.mcp.calls import Call
from agent_memory.mcp.domain import OWNERS, Misused, filters_of, one_name, owned

_OPTIONS = (
    "hybrid_alpha",
    "recency_semantic_weight",
    "recency_recency_weight",
    "recency_freshness_weight",
    "recency_novelty_weight",
    "recency_half_life_last_access_days",
    "recency_half_life_created_days",
    "server_side_recency",
)


async def get_current_datetime(call: Call, given: arguments.Nothing) -> results.Now:
    """The time of this machine."""
    now = datetime.now(UTC)
    return results.Now(iso_utc=now.strftime("%Y-%m-%dT%H:%M:%SZ"), unix_ts=int(now.timestamp()))


async def create_long_term_memories(call: Call, given: arguments.CreateMemories) -> results.Created:
    """Stores memories; one without an id gets one, which the answer tells."""
    if not given.memories:
        raise Misused("`memories` is empty: give at least one memory with a `text`")
    records = [{**record, "id": record.get("id") or uuid4().hex} for record in owned(call.place, _plain(given.memories))]
    written = await call.memory().create_long_term_memory(records)
    call.wrote(written.position)
    return results.Created(status=written.status, memory_ids=written.memory_ids or [record["id"] for record in records])


async def search_long_term_memory(call: Call, given: arguments.SearchMemories) -> results.FoundMemories:
    """Memories that pass the filters, best first."""
    asked = _plain(given)
    filters = filters_of(call.place, asked, asked["filters"])

    async def ask(memory: MemoryClient, position: int | None) -> MemoryHits:
        return await memory.search_long_term_memory(
            given.text,
            mode=given.search_mode,
            filters=filters,
            distance_threshold=given.distance_threshold,
            recency_boost=given.recency_boost,
            limit=given.limit,
            offset=given.offset,
            optimize_query=given.optimize_query or None,
            options=_options(asked),
            min_position=position,
        )

    found, note = await call.read(ask)
    return results.FoundMemories(memories=found.memories, total=found.total, next_offset=found.next_offset, note=note)


async def memory_prompt(call: Call, given: arguments.MemoryPrompt) -> results.PromptMade:
    """The session, the memories that fit the query, and the query, as messages for a model."""
    asked = _plain(given)
    filters = filters_of(call.place, {**asked, "session_id": None}, asked["filters"])
    owners: dict[str, str | None] = {field: one_name(filters[field]) for field in OWNERS if field in filters}
    session = _session_of(asked, owners)
    search = _search_of(asked, filters) if given.include_long_term_search else None
    if session is None and search is None:
        raise Misused("nothing to put in: give `session_id`, or leave `include_long_term_search` true")

    async def ask(memory: MemoryClient, position: int | None) -> Prompt:
        return await memory.memory_prompt(
            given.query,
            session=session,
            long_term_search=search,
            optimize_query=given.optimize_query or None,
            min_position=position,
        )

    made, note = await call.read(ask)
    return results.PromptMade(messages=made.messages, long_term_memories=made.long_term_memories, note=note)


async def set_working_memory(call: Call, given: arguments.SetWorkingMemory) -> results.Session:
    """Replaces a session's document by what is given."""
    document = _present(_plain(given))
    document["messages"] = [_present(message) for message in document.get("messages", [])]
    document["memories"] = [
        {**record, "id": record.get("id") or uuid4().hex} for record in owned(call.place, document.get("memories", []))
    ]
    memory = call.memory(document.pop("namespace", None), document.pop("user_id", None))
    stored = await memory.put_working_memory(document.pop("session_id"), document)
    call.wrote(stored.position)
    return results.session_of(stored)


async def get_working_memory(call: Call, given: arguments.GetWorkingMemory) -> results.Session:
    """A session's document; an empty one, marked as such, for a session that nobody wrote to."""
    memory = call.memory(given.namespace, given.user_id)
    try:
        found = await memory.get_working_memory(given.session_id, recent_messages_limit=given.recent_messages_limit)
    except NotFound:
        return results.unsaved_session(given.session_id, memory.caller.namespace, memory.caller.user_id, datetime.now(UTC))
    return results.session_of(found)


async def get_long_term_memory(call: Call, given: arguments.OneMemory) -> Memory:
    """One memory by id."""
    return await within(call, given.memory_id)


async def edit_long_term_memory(call: Call, given: arguments.EditMemory) -> Memory:
    """Changes the fields that are given."""
    changes = {field: value for field, value in _present(_plain(given)).items() if field != "memory_id"}
    if not changes:
        raise Misused("nothing to change: give at least one field beside `memory_id`, such as `text` or `topics`")
    for field in OWNERS:
        call.place.owner(field, changes.get(field))
    if call.place.fixed:
        await within(call, given.memory_id)
    memory = call.memory()
    edited = await memory.edit_long_term_memory(given.memory_id, changes)
    call.wrote(memory.position)
    return edited


async def delete_long_term_memories(call: Call, given: arguments.DeleteMemories) -> results.Ack:
    """Deletes memories by id; those that are not there are passed over."""
    memory_ids = given.memory_ids
    if call.place.fixed:
        memory_ids = [memory_id for memory_id in memory_ids if await _is_within(call, memory_id)]
    deleted = await call.memory().delete_long_term_memories(memory_ids)
    call.wrote(deleted.position)
    return results.Ack(status=f"ok, deleted {deleted.count} memories")


async def compact_long_term_memories(call: Call, given: arguments.Compact) -> results.Ack:
    """Merges what says the same, and answers when that is done."""
    compacted = await call.memory(given.namespace, given.user_id).compact_long_term_memories()
    call.wrote(compacted.position)
    return results.Ack(status=compacted.status)


async def within(call: Call, memory_id: str) -> Memory:
    """A memory that lies within what the URL names. Raises NotFound, also for somebody else's."""
    found = await call.memory().get_long_term_memory(memory_id)
    if not call.place.holds({"namespace": found.namespace, "user_id": found.user_id}):
        raise NotFound(f"Memory with ID {memory_id} not found", status=404)
    return found


async def _is_within(call: Call, memory_id: str) -> bool:
    try:
        await within(call, memory_id)
    except NotFound:
        return False
    return True


def _session_of(asked: dict[str, Any], owners: dict[str, str | None]) -> dict[str, Any] | None:
    given = asked["session_id"]
    session_id = one_name(given) if isinstance(given, dict) else given
    if session_id is None:
        return None
    if not isinstance(session_id, str):
        raise Misused("`session_id` must name one session")
    return _present({"session_id": session_id, **owners, **{name: asked[name] for name in ("model_name", "context_window_max")}})


def _search_of(asked: dict[str, Any], filters: dict[str, Any]) -> dict[str, Any]:
    plain = ("search_mode", "distance_threshold", "recency_boost", "limit", "offset")
    return {**_present({name: asked[name] for name in plain}), **_options(asked), **filters}


def _options(asked: dict[str, Any]) -> dict[str, Any]:
    return _present({name: asked[name] for name in _OPTIONS})


def _plain(given: Any) -> Any:
    return msgspec.to_builtins(given)


def _present(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
