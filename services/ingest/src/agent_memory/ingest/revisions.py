"""What is written about nodes of the table of contents. Pure. A grip counts only when it is what was said, to the character."""

from collections.abc import Mapping

from agent_memory.contracts.commands import RecordRevision
from agent_memory.contracts.errors import Conflict, Refused
from agent_memory.contracts.events import Event, NodeRevised
from agent_memory.contracts.records import Scope
from agent_memory.contracts.streams import session_stream
from agent_memory.contracts.toc import MOST_EXCERPT, Grip
from agent_memory.ingest.views_and_tasks import Newest

Said = Mapping[tuple[str, str], tuple[str, str]]
"""(scope path, event id) to (stream, text) of recorded timeline events."""


def record_revision(command: RecordRevision, known: Newest, said: Said, scope: Scope) -> list[Event]:
    """The next revision of a node.

    Raises Conflict when there was another since its inputs were read, Refused when a grip does not quote its events or a bullet
    rests on none.
    """
    revision = command.revision
    if known.version != command.expected_version:
        raise Conflict(f"{revision.node_id} is at revision {known.version}, not {command.expected_version}; read it again")
    for grip in revision.grips:
        check_grip(grip, said, scope)
    if revision.level == "segment":
        made = {grip.grip_id for grip in revision.grips}
        for bullet in revision.bullets:
            if not bullet.grip_ids or not made.issuperset(bullet.grip_ids):
                raise Refused(f"a bullet of {revision.node_id} rests on no grip: {bullet.text[:80]!r}")
    return [NodeRevised(revision=revision, use=command.use)]


def check_grip(grip: Grip, said: Said, scope: Scope) -> None:
    """Raises Refused unless the excerpt is the text of the spans, and these lie in events of its session."""
    if not grip.spans or not grip.excerpt or len(grip.excerpt) > MOST_EXCERPT:
        raise Refused(f"{grip.grip_id} quotes nothing, or more than {MOST_EXCERPT} characters")
    stream, pieces = session_stream(scope, grip.session_id), []
    for span in grip.spans:
        where, text = said.get((scope.path, span.event_id), ("", ""))
        if where != stream or not 0 <= span.start < span.end <= len(text):
            raise Refused(
                f"{grip.grip_id} quotes {span.event_id}[{span.start}:{span.end}], which session {grip.session_id} does not hold"
            )
        pieces.append(text[span.start : span.end])
    if " ".join(pieces) != grip.excerpt:
        raise Refused(f"{grip.grip_id} does not say what its events say")
