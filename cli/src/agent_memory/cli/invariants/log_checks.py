"""The log itself: whole, and everything in it once. Postgres does the counting."""

from agent_memory.cli.invariants.results import EXAMPLES, Findings, Result
from agent_memory.cli.invariants.system import System, number

WHOLE = "the log is whole"
ONCE = "everything takes effect once"

_GAPS = """
    SELECT format('positions %s to %s are missing', previous + 1, position - 1)
    FROM (SELECT position, lag(position, 1, 0::bigint) OVER (ORDER BY position) AS previous FROM events) steps
    WHERE position <> previous + 1
"""
_VERSIONS = """
    SELECT format('stream %s has versions %s to %s but %s events', stream, min(version), max(version), count(*))
    FROM events GROUP BY stream HAVING min(version) <> 1 OR max(version) <> count(*)
"""
_COMMANDS = """
    SELECT format('command %s is answered at position %s, beyond the head', id, position)
    FROM commands WHERE position > (SELECT position FROM log_head)
"""
_SESSIONS = """
    SELECT format('session %s is listed at version %s, its stream is at %s', s.stream, s.version, coalesce(e.version, 0))
    FROM sessions s FULL JOIN
        (SELECT stream, max(version) AS version FROM events WHERE stream >= 'session/' AND stream < 'session0' GROUP BY stream) e
        USING (stream)
    WHERE s.version IS DISTINCT FROM e.version
"""
_EVENT_IDS = """
    SELECT format('event %s is recorded %s times in %s', event_id, count(*), scope)
    FROM events WHERE event_id IS NOT NULL GROUP BY scope, event_id HAVING count(*) > 1
"""
_KEYS = """
    SELECT format('idempotency key %s of %s led to %s commands', idempotency_key, tenant, count(*))
    FROM commands WHERE idempotency_key IS NOT NULL GROUP BY tenant, idempotency_key HAVING count(*) > 1
"""
# A command's events are written in one transaction, one after the other: two groups of them are two effects.
_EFFECTS = """
    SELECT format('command %s has %s events between positions %s and %s', id, events, first, last) FROM (
        SELECT metadata->>'causation_id' AS id, count(*) AS events, min(position) AS first, max(position) AS last,
               count(DISTINCT recorded_ms) AS moments
        FROM events WHERE metadata->>'causation_id' IS NOT NULL GROUP BY 1
    ) effects
    WHERE last - first + 1 <> events OR moments > 1
"""
_UNANSWERED = """
    SELECT format('event at position %s comes from command %s, which is not recorded', min(e.position), e.metadata->>'causation_id')
    FROM events e LEFT JOIN commands c ON c.id = e.metadata->>'causation_id' AND c.position >= e.position
    WHERE e.metadata->>'causation_id' IS NOT NULL AND c.id IS NULL GROUP BY e.metadata->>'causation_id'
"""
UNIQUE_INDEXES = ("events_pkey", "events_stream_version", "events_once", "commands_pkey", "commands_idempotency")
_INDEXES = """
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relname = ANY(%s) AND i.indisunique AND i.indisvalid AND i.indisready
"""


async def whole(system: System, *, quick: bool) -> Result:
    """Positions 1 to the head without a gap, every stream's versions without a gap, no answer beyond the head."""
    found = Findings()
    events = await number(system.log, "SELECT count(*) FROM events")
    last = await number(system.log, "SELECT max(position) FROM events")
    found.looked_at("events", events)
    found.looked_at("commands", await number(system.log, "SELECT count(*) FROM commands"))
    if not events == last == system.head:
        found.broken(f"the head is {system.head}, the last position {last}, and there are {events} events")
        await _examples(system, found, _GAPS)
    await _examples(system, found, _COMMANDS)
    if not quick:
        found.looked_at("streams", await number(system.log, "SELECT count(DISTINCT stream) FROM events"))
        await _examples(system, found, _VERSIONS)
        await _examples(system, found, _SESSIONS)
    return found.result(1, WHOLE, "the log was changed from outside: restore it from a backup")


async def once(system: System, *, quick: bool) -> Result:
    """No event id, idempotency key or command took effect twice, and the indexes that see to it are there and valid."""
    found = Findings()
    rows = await (await system.log.execute(_INDEXES, (list(UNIQUE_INDEXES),))).fetchall()
    valid = {row[0] for row in rows}
    found.looked_at("unique indexes", len(UNIQUE_INDEXES))
    for name in UNIQUE_INDEXES:
        if name not in valid:
            found.broken(f"index {name} is missing or not valid")
    if not quick:
        found.looked_at("event ids", await number(system.log, "SELECT count(event_id) FROM events"))
        found.looked_at("idempotency keys", await number(system.log, "SELECT count(idempotency_key) FROM commands"))
        found.looked_at("commands", await number(system.log, "SELECT count(*) FROM commands"))
        for query in (_EVENT_IDS, _KEYS, _EFFECTS, _UNANSWERED):
            await _examples(system, found, query)
    return found.result(2, ONCE, "REINDEX what is not valid; duplicates were written by something else than ingest")


async def _examples(system: System, found: Findings, query: str) -> None:
    """One finding for each row of the query, which says in words what is wrong; a handful is fetched, all are counted."""
    text = query.replace("%%", "%")
    total = await number(system.log, f"SELECT count(*) FROM ({text}) wrong")
    if total:
        for (words,) in await (await system.log.execute(f"{text} LIMIT {EXAMPLES}")).fetchall():
            found.broken(words)
        found.wrong += max(0, total - EXAMPLES)
