"""Search documents against the log: all there, as they should be, nobody else's, none too many."""

from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from agent_memory.cli.invariants import shown
from agent_memory.cli.invariants.differences import Differences, Verdicts
from agent_memory.cli.invariants.expected import INDEX_MODELS, Entry, Recount, fields_digest
from agent_memory.cli.invariants.results import Findings
from agent_memory.contracts.records import unescape
from agent_memory.contracts.streams import document_prefix, index_alias
from agent_memory.readmodels import generations
from agent_memory.readmodels.documents import Kind, tag
from agent_memory.readmodels.generations import Generation

INKEYS = 1_000


async def compare(redis: Redis, kind: Kind, recount: Recount, since: int, verdicts: Verdicts, *, sample: bool) -> Differences:
    """Every document of the live generation, or of the sample, against what the log says. `since`: newer ones are passed over."""
    expected = recount.entries[INDEX_MODELS[kind]]
    differences = Differences(INDEX_MODELS[kind], expected)
    live = (await generations.registry(redis, kind)).live
    if live is None:
        verdicts.rebuild.broken(f"there is no {kind} index")
        return differences
    gone = recount.gone if kind == "memory" else {}
    count = 0
    async for document in shown.documents(redis, live, list(expected) + sorted(gone) if sample else None):
        count += 1
        verdicts.rebuild.looked_at(f"{kind} documents")
        _belongs(document, kind, verdicts.tenants)
        entry = differences.expected(document.place, fields_digest(document.fields))
        _hold(document, entry, gone, since, differences, verdicts)
    differences.lacking(lambda key, entry: f"{kind} document {key} of position {entry.version} is missing")
    if not sample:
        await _index_counts(redis, live, count, differences)
    await _search_finds(redis, live, dict(list(gone.items())[:INKEYS]), differences, verdicts)
    return differences


def _hold(
    document: shown.Document, entry: Entry | None, gone: Mapping[str, str], since: int, differences: Differences, verdicts: Verdicts
) -> None:
    name, version = f"{differences.model} document {document.place}", document.version
    verdicts.sources.looked_at("documents")
    verdicts.newer.looked_at("documents")
    if version < 1:
        differences.add(f"{name} does not say which position it comes from", document.place, verdicts.sources)
    elif entry is None and version > since:
        return
    elif document.place in gone:
        differences.add(f"{name} is of a memory that was forgotten", gone[document.place], verdicts.forgotten)
    elif entry is None:
        differences.add(f"{name} names position {version}, which does not say so", document.place, verdicts.sources)
    elif version < entry.version:
        differences.add(f"{name} is of position {version}, the log is at {entry.version}", entry.stream, verdicts.newer)
    elif version > entry.version:
        differences.add(f"{name} names position {version}, the log says {entry.version}", entry.stream, verdicts.sources)
    elif entry.digest != fields_digest(document.fields):
        differences.add(f"{name} is not what position {version} says", entry.stream)


def _belongs(document: shown.Document, kind: Kind, tenants: Findings) -> None:
    """The key names the scope, a field names it for searches: they must agree."""
    tenants.looked_at("documents")
    scope_path = document.place.partition("}:")[0].removeprefix("{")
    field = document.fields.get(b"tenant" if kind == "memory" else b"scope", b"").decode(errors="replace")
    owner = unescape(scope_path) if kind == "memory" else scope_path
    if field != tag(owner):
        tenants.broken(f"{kind} document {document.place} can be found by the searches of {field}")


async def holds_messages(redis: Redis) -> bool:
    """Whether messages are indexed among the memories here: a setting of the indexer that the index itself gives away."""
    try:
        answer = await redis.execute_command(
            "FT.SEARCH", index_alias("memory"), f"@extraction_strategy:{{{tag('message')}}}", "LIMIT", 0, 0
        )
    except ResponseError:
        return False
    return int(answer[0]) > 0


async def _index_counts(redis: Redis, live: Generation, documents: int, differences: Differences) -> None:
    counted = await shown.indexed(redis, live.kind, index_alias(live.kind))
    if counted is None:
        differences.add(f"the {live.kind} index has no alias that searches find it by", "")
    elif counted != documents:
        differences.add(f"the {live.kind} index counts {counted} documents, there are {documents}", "*")


async def _search_finds(
    redis: Redis, live: Generation, gone: Mapping[str, str], differences: Differences, verdicts: Verdicts
) -> None:
    """Asks the index itself for what was forgotten."""
    if not gone or await shown.indexed(redis, live.kind, index_alias(live.kind)) is None:
        return
    verdicts.forgotten.looked_at("searches for forgotten memories", len(gone))
    keys = {document_prefix(live.kind, live.number) + place: stream for place, stream in gone.items()}
    answer = await redis.execute_command(
        "FT.SEARCH", index_alias(live.kind), "*", "INKEYS", len(keys), *keys, "NOCONTENT", "LIMIT", 0, 5
    )
    for key in answer[1:]:
        differences.add(f"a search finds {key.decode()}, which was forgotten", keys[key.decode()], verdicts.forgotten)
