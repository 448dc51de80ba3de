"""What is shown against the log: a recount, and all comparisons with it."""

import asyncio
import random
from collections.abc import Sequence

from agent_memory.cli.invariants import documents_check, views_check
from agent_memory.cli.invariants.differences import Differences, Verdicts
from agent_memory.cli.invariants.expected import Recount, Recounting, text_hash
from agent_memory.cli.invariants.history import History, Moved, histories, moved_since, sampled
from agent_memory.cli.invariants.results import Findings, Result
from agent_memory.cli.invariants.system import System
from agent_memory.contracts.events import MemoryEdited, MemoryStored
from agent_memory.contracts.records import Scope, escape
from agent_memory.contracts.streams import CONTENTS_INDEX, JOBS, MEMORY_INDEX, PROJECTIONS, TIMELINE_INDEX
from agent_memory.readmodels import generations, retiring, session_work
from agent_memory.readmodels.documents import Kind
from agent_memory.readmodels.progress import Ledger
from agent_memory.readmodels.projecting import Wanted
from agent_memory.runtime.settings import Settings

SAMPLE = 300
DOCUMENTS = 500
INDEXES: dict[str, Kind] = {MEMORY_INDEX: "memory", TIMELINE_INDEX: "timeline", CONTENTS_INDEX: "contents"}
_VECTORS = "SELECT content_hash, vector FROM embeddings WHERE model = %s AND content_hash = ANY(%s)"
_RECORDED = """
    SELECT wanted.scope, wanted.event_id FROM unnest(%s::text[], %s::text[]) AS wanted(scope, event_id)
    LEFT JOIN events e ON e.scope = wanted.scope AND e.event_id = wanted.event_id WHERE e.position IS NULL
"""


async def check(system: System, *, quick: bool) -> list[Result]:
    """Invariants 4 to 8. With `quick` a sample of the streams: then what nobody expects is not seen."""
    verdicts = _fresh()
    checkpoints = {name: await Ledger(system.redis, name).checkpoint() for name in PROJECTIONS}
    streams = None
    if quick:
        positions = random.sample(range(1, system.head + 1), min(SAMPLE, system.head))
        streams = await sampled(system, positions)
    recount = await _recounted(system, verdicts, streams)
    await _compared(system, recount, verdicts, checkpoints, streams)
    hint = "`agent-memory rebuild-index` makes the search indexes anew; other views come back when their keys are deleted"
    return [
        verdicts.rebuild.result(4, "what is shown is what the log says", hint),
        verdicts.newer.result(5, "newer wins", "the next read after deleting the view folds it from the log"),
        verdicts.tenants.result(6, "tenants are apart", "something else than this system has written to the servers"),
        verdicts.sources.result(7, "everything names its source", hint),
        verdicts.forgotten.result(8, "what is forgotten is gone", hint),
    ]


def _fresh() -> Verdicts:
    return Verdicts(*(Findings() for _ in Verdicts.__struct_fields__))


async def _recounted(system: System, verdicts: Verdicts, streams: Sequence[str] | None) -> Recount:
    share = await session_work.share(system.redis)
    recounting = Recounting(
        messages_too=system.messages_too or await documents_check.holds_messages(system.redis),
        share=Settings().summarization_threshold if share is None else share,
        zones=system.zones,
        since=await retiring.told(system.redis),
    )
    models = {kind: live.model for kind in INDEXES.values() if (live := (await generations.registry(system.redis, kind)).live)}
    waiting: list[tuple[Wanted, str]] = []
    named: list[tuple[str, str]] = []
    async for history in histories(system, streams):
        _apart(history, verdicts.tenants)
        named += _named(history)
        waiting += [(wanted, history.stream) for wanted in recounting.add(history)]
        if len(waiting) >= DOCUMENTS:
            await _finish(system, recounting, waiting, models, verdicts.rebuild)
            waiting = []
        if len(named) >= DOCUMENTS:
            await _sources(system, named, verdicts.sources)
            named = []
    await _finish(system, recounting, waiting, models, verdicts.rebuild)
    await _sources(system, named, verdicts.sources)
    recount = recounting.close()
    verdicts.forgotten.looked_at("forgotten memories", len(recount.gone))
    verdicts.forgotten.looked_at("deleted sessions", len(recount.deleted))
    return recount


async def _finish(
    system: System, recounting: Recounting, waiting: list[tuple[Wanted, str]], models: dict[Kind, str], findings: Findings
) -> None:
    for kind, model in models.items():
        mine = [(wanted, stream) for wanted, stream in waiting if wanted.kind == kind]
        hashes = {text_hash(wanted) for wanted, _ in mine}
        rows = await (await system.now.execute(_VECTORS, (model, list(hashes)))).fetchall()
        vectors = {bytes(row[0]): bytes(row[1]) for row in rows}
        findings.looked_at("vectors", len(hashes))
        recounting.finish((wanted, stream, vectors.get(text_hash(wanted))) for wanted, stream in mine)


async def _compared(
    system: System, recount: Recount, verdicts: Verdicts, checkpoints: dict[str, int], streams: Sequence[str] | None
) -> None:
    since = {name: min(position, system.head) for name, position in checkpoints.items()}
    if (await views_check.sessions(system.views, recount, _fresh(), streams)).any:
        await asyncio.sleep(system.settle_seconds)
    views = await views_check.sessions(system.views, recount, verdicts, streams)
    compared: list[tuple[str, Differences]] = [("", views)]
    for name, kind in INDEXES.items():
        found = await documents_check.compare(system.redis, kind, recount, since[name], verdicts, sample=streams is not None)
        compared.append((name, found))
    if streams is None:
        gathered = await views_check.gathered(system.redis, recount, verdicts)
        compared += [(found.model, found) for found in gathered]
    for name, differences in compared:
        moved = await moved_since(system, since.get(name, system.head))
        differences.settle(verdicts.rebuild, lambda place, moved=moved: _has_moved(moved, place))  # type: ignore[misc]


def _has_moved(moved: Moved, place: str) -> bool:
    if place == "*":
        return bool(moved.streams)
    if place == JOBS:
        return any(stream.startswith("job/") for stream in moved.streams)
    return place in moved.streams or place in moved.scopes or place in moved.tenants


def _apart(history: History, tenants: Findings) -> None:
    """The stream's name, the columns and the scope of every row name the same owner."""
    for row in history.rows:
        envelope = row.envelope
        tenants.looked_at("events")
        owner = envelope.scope.path if history.stream.startswith("session/") else escape(envelope.scope.tenant)
        kind = history.stream.partition("/")[0]
        if not history.stream.startswith(f"{kind}/{owner}/"):
            tenants.broken(f"position {envelope.position} of {history.stream} is recorded for {envelope.scope.path}")
        if row.event_id is not None and row.scope_column != envelope.scope.path:
            tenants.broken(f"position {envelope.position} is found under {row.scope_column}, it is of {envelope.scope.path}")


def _named(history: History) -> list[tuple[str, str]]:
    """The events that a memory says it was drawn from, as (scope path, event id)."""
    last = history.rows[-1]
    if not isinstance(last.event, MemoryStored | MemoryEdited):
        return []
    record = last.event.record
    owner = Scope(tenant=last.envelope.scope.tenant, namespace=record.namespace or "", user_id=record.user_id or "")
    return [(owner.path, event_id) for event_id in record.extracted_from]


async def _sources(system: System, named: list[tuple[str, str]], sources: Findings) -> None:
    if not named:
        return
    sources.looked_at("sources of memories", len(named))
    rows = await system.log.execute(_RECORDED, ([scope for scope, _ in named], [event_id for _, event_id in named]))
    for scope, event_id in await rows.fetchall():
        # Clients may name what they never recorded here; what this system draws from a session is recorded before.
        sources.warn(f"a memory of {scope} names event {event_id}, which is not in the log")
