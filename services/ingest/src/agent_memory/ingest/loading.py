"""Gathering the facts that the commands of a batch ask about."""

import msgspec

from agent_memory.contracts.codec import decode_event, encode
from agent_memory.eventlog.rows import Snapshot
from agent_memory.eventlog.store import Writing
from agent_memory.ingest import memories, sessions
from agent_memory.ingest.cache import SessionCache
from agent_memory.ingest.facts import (
    Facts,
    Request,
    claimed_hashes,
    claimed_ids,
    history_streams,
    memory_streams,
    newest_streams,
    quoted_ids,
    restored_streams,
    session_streams,
)
from agent_memory.ingest.memories import Memory
from agent_memory.ingest.sessions import Session
from agent_memory.ingest.views_and_tasks import Newest

SNAPSHOT_EVERY = 500
decode_session = msgspec.json.Decoder(Session).decode


async def load(requests: list[Request], log: Writing, cache: SessionCache | None, *, shared: bool = False) -> Facts:
    """Facts for a batch: sessions from the cache where it has them, everything else from the log. `shared`: others write, so
    what is remembered is brought up to date first.
    """
    facts = Facts()
    missing = []
    for stream in {stream for request in requests for stream in session_streams(request)}:
        session = cache.take(stream) if cache is not None else None
        if session is None:
            missing.append(stream)
        else:
            facts.sessions[stream] = session
    if shared and facts.sessions:
        await catch_up(facts.sessions, log)
    if missing:
        facts.sessions |= await load_sessions(missing, log)
    for stream in {stream for request in requests for stream in history_streams(request)}:
        facts.histories[stream] = [decode_event(stored.type, stored.data) for stored in await log.stream(stream)]
    await _load_newest(requests, log, facts)
    quoted = {pair for request in requests for pair in quoted_ids(request)}
    if quoted:
        facts.said.update(await log.said(quoted))
    hashes = {pair for request in requests for pair in claimed_hashes(request, facts)}
    if hashes:
        facts.claims.stored.update(await log.claims(hashes))
    return facts


async def load_taken(requests: list[Request], log: Writing, facts: Facts) -> None:
    """Which of the ids that the batch may record are recorded already."""
    wanted = {pair for request in requests for pair in claimed_ids(request)}
    if wanted:
        facts.taken.update(await log.taken(wanted))


async def load_sessions(streams: list[str], log: Writing) -> dict[str, Session]:
    """Folds sessions from their snapshot and what came after it."""
    rows = await log.sessions(streams)
    if not rows:
        return {}
    snapshots = await log.snapshots(list(rows))
    found = {}
    for stream in rows:
        snapshot = snapshots.get(stream)
        session = Session() if snapshot is None else decode_session(snapshot.state)
        for stored in await log.stream(stream, session.version):
            sessions.evolve(session, decode_event(stored.type, stored.data), stored.recorded_ms)
        session.snapshot_version = 0 if snapshot is None else snapshot.version
        found[stream] = session
    return found


async def catch_up(remembered: dict[str, Session], log: Writing) -> None:
    """Folds onto remembered sessions what came after them: that is little, where all of a session may be much."""
    for stream, row in (await log.sessions(list(remembered))).items():
        session = remembered[stream]
        if row.version > session.version:
            for stored in await log.stream(stream, session.version):
                sessions.evolve(session, decode_event(stored.type, stored.data), stored.recorded_ms)


def due_snapshot(stream: str, session: Session) -> Snapshot | None:
    """A snapshot when enough has happened since the last one: in proportion to its size, so that its cost is spread evenly."""
    if session.version - session.snapshot_version < max(SNAPSHOT_EVERY, len(session.messages)):
        return None
    session.snapshot_version = session.version
    return Snapshot(stream=stream, version=session.version, state=encode(session))


async def _load_newest(requests: list[Request], log: Writing, facts: Facts) -> None:
    """States that the newest event of a stream tells."""
    of_memories = {stream for request in requests for stream in (*memory_streams(request), *restored_streams(request, facts))}
    others = {stream for request in requests for stream in newest_streams(request)}
    if not of_memories and not others:
        return
    for stream, stored in (await log.latest(sorted(of_memories | others))).items():
        event = decode_event(stored.type, stored.data)
        if stream in of_memories:
            memory = facts.memories[stream] = memories.evolve(Memory(), event)
            memory.version = stored.version
        else:
            facts.newest[stream] = Newest(version=stored.version, event=event)
