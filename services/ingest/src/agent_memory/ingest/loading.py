"""Gathering the facts that the commands of a batch ask about."""

import msgspec

from agent_memory.contracts.codec import decode_event, encode
from agent_memory.eventlog.rows import Snapshot
from agent_memory.eventlog.store import Writing
from agent_memory.ingest import memories, sessions
from agent_memory.ingest.cache import SessionCache
from agent_memory.ingest.domain import Facts, Request, claimed_ids, latest_streams, session_streams
from agent_memory.ingest.memories import Memory
from agent_memory.ingest.sessions import Session

SNAPSHOT_EVERY = 500
decode_session = msgspec.json.Decoder(Session).decode


async def load(requests: list[Request], log: Writing, cache: SessionCache | None) -> Facts:
    """Facts for a batch: sessions from the cache where it has them, everything else from the log."""
    facts = Facts()
    missing = []
    for stream in {stream for request in requests for stream in session_streams(request)}:
        session = cache.take(stream) if cache is not None else None
        if session is None:
            missing.append(stream)
        else:
            facts.sessions[stream] = session
    if missing:
        facts.sessions |= await load_sessions(missing, log)
    latest = {stream for request in requests for stream in latest_streams(request)}
    if latest:
        await _load_latest(sorted(latest), log, facts)
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


def due_snapshot(stream: str, session: Session) -> Snapshot | None:
    """A snapshot when enough has happened since the last one: in proportion to its size, so that its cost is spread evenly."""
    if session.version - session.snapshot_version < max(SNAPSHOT_EVERY, len(session.messages)):
        return None
    session.snapshot_version = session.version
    return Snapshot(stream=stream, version=session.version, state=encode(session))


async def _load_latest(streams: list[str], log: Writing, facts: Facts) -> None:
    for stream, stored in (await log.latest(streams)).items():
        if stream.startswith("job/"):
            facts.jobs[stream] = stored.version
            continue
        memory = memories.evolve(Memory(), decode_event(stored.type, stored.data))
        memory.version = stored.version
        facts.memories[stream] = memory
