"""What can be done with the timeline, whichever door asks."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import msgspec

from agent_memory.contracts.queries import SearchTimeline, TimelineKind
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.contracts.streams import CONTENTS, CONTENTS_INDEX, TIMELINE_INDEX
from agent_memory.contracts.toc import Grip, TocNode
from agent_memory.gateway import remembering
from agent_memory.gateway.gateway import Gateway
from agent_memory.gateway.ports import Groups, Match, Page
from agent_memory.gateway.remembering import search_of
from agent_memory.runtime import telemetry

PAGE, MOST_CHILDREN = 20, 100
BESIDE, MOST_BESIDE = 3, 1_000


class Children(msgspec.Struct, frozen=True, kw_only=True):
    """A page of nodes; `continuation_token` is None on the last one."""

    nodes: Sequence[TocNode]
    continuation_token: str | None


class Matched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that was found: a node as it is now, a grip or an event. `text`: what is written about it, or what was said;
    `timestamp_ms`: when it began; `score`: 0 to 1.
    """

    kind: TimelineKind
    id: str
    score: float
    text: str
    timestamp_ms: int
    node: TocNode | None = None
    grip: Grip | None = None
    event: TimelineEvent | None = None


class MatchedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Matches in order; `total` counts all that match, `next_offset` is None on the last page."""

    matches: Sequence[Matched]
    total: int
    next_offset: int | None


class Expanded(msgspec.Struct, frozen=True, kw_only=True):
    """A grip with what was said before, in and after it, in its session; all of it empty for one that is not there."""

    grip: Grip | None = None
    before: Sequence[TimelineEvent] = ()
    excerpt: Sequence[TimelineEvent] = ()
    after: Sequence[TimelineEvent] = ()


async def browse(gateway: Gateway, scope: Scope, parent_id: str, *, limit: int, token: str | None) -> Children:
    """A page of what stands under a node. A token that no page gave out begins at the first one. Raises Unavailable."""
    size = PAGE if limit <= 0 else min(limit, MOST_CHILDREN)
    offset = int(token) if token and token.isascii() and token.isdigit() and len(token) < 10 else 0
    nodes, more = await gateway.contents.children(scope, parent_id, offset=offset, limit=size)
    return Children(nodes=nodes, continuation_token=str(offset + len(nodes)) if more else None)


async def search_events(gateway: Gateway, query: SearchTimeline) -> Page:
    """What was said that fits, timed by its mode. Raises Unavailable."""
    with _measured(query):
        page = await gateway.timeline.search(query, await _vector_of(gateway, query))
        remembering.found(len(page.hits))
        return page


async def search_sessions(gateway: Gateway, query: SearchTimeline) -> Groups:
    """The sessions in which it was said, timed alike. Raises Unavailable."""
    with _measured(query):
        page = await gateway.timeline.search_sessions(query, await _vector_of(gateway, query))
        remembering.found(sum(len(group.hits) for group in page.groups))
        return page


async def search(gateway: Gateway, query: SearchTimeline) -> MatchedPage:
    """Nodes, grips and events that fit, timed by the mode. A node that went since it was found is left out. Raises Unavailable."""
    with _measured(query):
        page = await gateway.timeline.search_all(query, await _vector_of(gateway, query))
        remembering.found(len(page.matches))
        ids = [match.id for match in page.matches if match.kind == "node"]
        nodes = {node.node_id: node for node in await gateway.contents.named(query.scope, ids)}
    shown = [one for match in page.matches if (one := _matched(match, nodes)) is not None]
    return MatchedPage(matches=shown, total=page.total, next_offset=page.next_offset)


def projections_of(kinds: Sequence[TimelineKind]) -> list[str]:
    """What must have got to a position for a search to show it."""
    written = [CONTENTS, CONTENTS_INDEX] if set(kinds) & {"node", "grip"} else []
    return [*written, *([TIMELINE_INDEX] if "event" in kinds else [])]


_grip = msgspec.json.Decoder(Grip).decode
_event = msgspec.json.Decoder(TimelineEvent).decode


def _matched(match: Match, nodes: Mapping[str, TocNode]) -> Matched | None:
    node = grip = event = None
    if match.kind == "node":
        node = nodes.get(match.id)
        if node is None:
            return None
        text, at = node.summary or node.title, node.start_time_ms
    elif match.kind == "grip":
        grip = _grip(match.record)
        text, at = grip.excerpt, grip.timestamp_ms
    else:
        event = _event(match.record)
        text, at = event.text, event.timestamp_ms
    return Matched(kind=match.kind, id=match.id, score=match.score, text=text, timestamp_ms=at, node=node, grip=grip, event=event)


def _measured(query: SearchTimeline) -> AbstractContextManager[None]:
    seconds = telemetry.SEARCH_SECONDS.labels(query.mode)
    return telemetry.measured("timeline.search", seconds, "search_memory", "", mode=query.mode, **search_of(query))


async def _vector_of(gateway: Gateway, query: SearchTimeline) -> bytes | None:
    return None if query.mode == "keyword" else (await gateway.embedder.embed([query.text]))[0]


async def expand(gateway: Gateway, scope: Scope, grip_id: str, *, before: int | None, after: int | None) -> Expanded:
    """The words of a grip, and what was said around them. Less than none counts as none. Raises Unavailable."""
    grip = await gateway.contents.grip(scope, grip_id)
    if grip is None:
        return Expanded()
    sizes = [BESIDE if size is None else min(max(size, 0), MOST_BESIDE) for size in (before, after)]
    ends = (grip.event_id_start, grip.event_id_end)
    around = await gateway.contents.around(scope, grip.session_id, *ends, before=sizes[0], after=sizes[1])
    return Expanded(grip=grip, before=around.before, excerpt=around.within, after=around.after)
