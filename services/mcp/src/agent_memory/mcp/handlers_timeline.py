"""The tools that the Redis agent memory server never had: what was said, when, and looking after what is remembered."""

from typing import Any

import msgspec

from agent_memory.client import MemoryClient, NotFound
from agent_memory.client.answers import Appended, EventHits, Forgotten
from agent_memory.client.toc import BrowseTocResult, ExpandGripResult, SchedulerStatus, TocNode
from agent_memory.mcp import arguments, results
from agent_memory.mcp.calls import Call
from agent_memory.mcp.domain import Misused


async def browse_timeline(call: Call, given: arguments.BrowseTimeline) -> results.Browsed:
    """The years, or a node and a page of what stands under it."""
    node_id = given.node_id

    async def ask(memory: MemoryClient, position: int | None) -> tuple[TocNode | None, BrowseTocResult]:
        if node_id is None:
            return None, BrowseTocResult(children=await memory.get_toc_root(min_position=position))
        node = await memory.get_node(node_id, min_position=position)
        if node is None:
            raise NotFound(f"there is no node {node_id} here", status=404)
        page = await memory.browse_toc(node_id, given.limit, given.continuation_token, min_position=position)
        return node, page

    (node, page), note = await call.read(ask, given.namespace, given.user_id)
    return results.Browsed(
        node=node, children=page.children, continuation_token=page.continuation_token, has_more=page.has_more, note=note
    )


async def expand_grip(call: Call, given: arguments.ExpandGrip) -> results.Expanded:
    """The words of a grip, and what was said around them."""

    async def ask(memory: MemoryClient, position: int | None) -> ExpandGripResult:
        return await memory.expand_grip(given.grip_id, given.events_before, given.events_after, min_position=position)

    found, note = await call.read(ask, given.namespace, given.user_id)
    if found.grip is None:
        raise NotFound(f"there is no grip {given.grip_id} here", status=404)
    return results.Expanded(
        grip=found.grip,
        events_before=found.events_before,
        excerpt_events=found.excerpt_events,
        events_after=found.events_after,
        note=note,
    )


async def search_timeline(call: Call, given: arguments.SearchTimeline) -> results.FoundEvents:
    """What was said, best first; where kinds are named, what is written about it as well."""

    async def ask(memory: MemoryClient, position: int | None) -> EventHits:
        return await memory.search_timeline(
            given.text,
            mode=given.mode,
            kinds=given.kinds,
            session_id=given.session_id,
            from_=given.from_,
            to=given.to,
            limit=given.limit,
            offset=given.offset,
            min_position=position,
        )

    found, note = await call.read(ask, given.namespace, given.user_id)
    return results.FoundEvents(
        events=found.events, matches=found.matches, total=found.total, next_offset=found.next_offset, note=note
    )


async def record_event(call: Call, given: arguments.RecordEvent) -> results.Recorded:
    """Records one event, once per event id."""
    event = _present(msgspec.to_builtins(given))
    memory = call.memory(event.pop("namespace", None), event.pop("user_id", None))
    recorded = await memory.record_events([event])
    call.wrote(recorded.position)
    return results.Recorded(event_id=recorded.events[0].event_id, created=recorded.events[0].created)


async def append_messages(call: Call, given: arguments.AppendMessages) -> Appended:
    """Messages at the end of a session, which is made when it is not there."""
    if not given.messages:
        raise Misused("`messages` is empty: give at least one message with a `role` and `content`")
    messages = [_present(msgspec.to_builtins(message)) for message in given.messages]
    appended = await call.memory(given.namespace, given.user_id).append_messages(given.session_id, messages)
    call.wrote(appended.position)
    return appended


async def memory_history(call: Call, given: arguments.OneMemory) -> results.History:
    """Everything that happened to a memory, also to one that is gone."""
    found = await call.memory().get_memory_history(given.memory_id)
    records = [event["record"] for event in found.events if event.get("record")]
    if call.place.fixed and not (records and call.place.holds(records[-1])):
        raise NotFound(f"Memory with ID {given.memory_id} not found", status=404)
    return results.History(memory_id=found.memory_id, events=found.events)


async def forget(call: Call, given: arguments.Forget) -> Forgotten:
    """Lets go of what a policy says, or only tells what that is."""
    policy: dict[str, Any] = msgspec.to_builtins(given.policy)
    if not policy:
        raise Misused("`policy` is empty: say what may go, such as max_age_days or budget")
    memory = call.memory(given.namespace, given.user_id)
    forgotten = await memory.forget_long_term_memories(
        policy, pinned_ids=given.pinned_ids, session_id=given.session_id, limit=given.limit, dry_run=given.dry_run
    )
    call.wrote(forgotten.position)
    return forgotten


async def scheduler_status(call: Call, given: arguments.Nothing) -> SchedulerStatus:
    """Whether background jobs run, and how each is doing."""
    return await call.memory().get_scheduler_status()


def _present(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
