"""What an event or a revision means for the table of contents: where it goes, and which nodes are to be written about. Pure.

Where a session is cut is in `readmodels.cutting`, which whoever recomputes the view from the log shares.
"""

from datetime import tzinfo

import msgspec

from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import node_stream
from agent_memory.contracts.toc import SEGMENT_PREFIX, Revision
from agent_memory.readmodels.calendar import day_number, path_of, period
from agent_memory.readmodels.contents import Step, touched


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from a change to the time when something is written about a node: at once when nothing more is to come."""

    closed: int = 2_000
    open: int = 2_000
    period: int = 2_000


def due_after_step(taken: Step, now_ms: int, delays: Delays, zone: tzinfo) -> list[tuple[str, int]]:
    """Nodes, by log stream, that are to be written about because of a step, and by when."""
    changed, left = touched(taken, zone)
    due = [(one.node_id, now_ms + (delays.closed if one.closed_by else delays.open)) for one in changed]
    due += [(node_id, now_ms + (delays.closed if node_id.startswith(SEGMENT_PREFIX) else delays.period)) for node_id in left]
    return [(node_stream(taken.scope, node_id), at) for node_id, at in due]


def due_after_revision(scope: Scope, revision: Revision, now_ms: int, delays: Delays, zone: tzinfo) -> list[tuple[str, int]]:
    """The node above, which quotes what was written."""
    if revision.level == "segment":
        parent = path_of(day_number(revision.start_ms, zone), zone)[-1].node_id
    else:
        entry = period(revision.node_id, zone)
        parent = "" if entry is None else entry.parent
    return [(node_stream(scope, parent), now_ms + delays.period)] if parent else []
