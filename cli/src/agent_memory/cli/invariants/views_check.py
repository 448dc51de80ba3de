"""Working memory, contents, duplicates and jobs against the log."""

from collections.abc import AsyncIterator, Sequence

import msgspec
from redis.asyncio import Redis

from agent_memory.cli.invariants import shown
from agent_memory.cli.invariants.differences import Differences, Verdicts
from agent_memory.cli.invariants.expected import Entry, Model, Recount, digest_of, shown_digest
from agent_memory.cli.invariants.results import Findings
from agent_memory.contracts.records import escape
from agent_memory.contracts.streams import JOBS
from agent_memory.readmodels import contents, due, duplicates, enrichment, jobs, session_work, tasks


class _Owner(msgspec.Struct):
    session_id: str = ""
    namespace: str | None = None
    user_id: str | None = None


_owner = msgspec.json.Decoder(_Owner).decode


async def sessions(redis: Redis, recount: Recount, verdicts: Verdicts, streams: Sequence[str] | None) -> Differences:
    """Every view of a session that is there. One that is not is no difference: it is folded again when it is read."""
    expected = recount.entries["working memory"]
    differences = Differences("working memory", expected, partly=True)
    async for view in shown.views(redis, streams):
        for findings in (verdicts.rebuild, verdicts.newer, verdicts.tenants):
            findings.looked_at("session views")
        digest = b"gone" if view.gone else shown_digest(view.head, view.document or b"", view.messages or b"")
        entry = differences.expected(view.stream, digest)
        _belongs(view, verdicts.tenants)
        _hold(view, entry, digest, differences, verdicts)
    return differences


def _hold(view: shown.View, entry: Entry | None, digest: bytes, differences: Differences, verdicts: Verdicts) -> None:
    name, stream = f"the view of {view.stream}", view.stream
    if entry is None:
        differences.add(f"{name} is of a session that the log does not know", stream, verdicts.sources)
    elif view.version > entry.version:
        differences.add(f"{name} is at version {view.version}, its stream at {entry.version}", stream, verdicts.newer)
    elif entry.digest == b"gone":
        if not view.gone:
            differences.add(f"{name} shows a session that was deleted", stream, verdicts.forgotten, verdicts.newer)
    elif view.version < entry.version:
        differences.add(f"{name} is at version {view.version}, its stream at {entry.version}", stream, verdicts.newer)
    elif view.gone or view.document is None or view.messages is None:
        differences.add(f"{name} lacks what version {view.version} holds", stream)
    elif entry.digest != digest:
        differences.add(f"{name} is not what version {view.version} says", stream)


def _belongs(view: shown.View, tenants: Findings) -> None:
    if view.document is None:
        return
    try:
        owner = _owner(view.document)
    except msgspec.MsgspecError:
        tenants.broken(f"the view of {view.stream} cannot be read")
        return
    expected = "/".join(escape(part) for part in (owner.namespace or "", owner.user_id or "", owner.session_id))
    if not view.stream.endswith(f"/{expected}"):
        tenants.broken(f"the view of {view.stream} shows session {owner.session_id} of {owner.namespace}, {owner.user_id}")


async def gathered(redis: Redis, recount: Recount, verdicts: Verdicts) -> list[Differences]:
    """The views that gather many streams, or are small: all of each."""
    found = [await _gathered(model, entries, recount, verdicts) for model, entries in _entries(redis).items()]
    await _written_about(redis, recount, found[0])
    async for key, value in duplicates.entries(redis):
        place = key.removeprefix(duplicates.PREFIX).partition(":owner:")[0]
        for memory_id, _ in value:  # type: ignore[attr-defined]
            verdicts.forgotten.looked_at("memories in groups")
            stream = recount.gone.get(f"{place}:{memory_id}")
            if stream is not None:
                found[1].add(f"memory {memory_id} was forgotten and is still in a group of {key}", stream, verdicts.forgotten)
    return found


async def _written_about(redis: Redis, recount: Recount, contents_differ: Differences) -> None:
    waiting = await due.streams(redis) if recount.stalled else frozenset()
    for scope_path, node_id in recount.stalled:
        if f"toc/{scope_path}/{escape(node_id)}" not in waiting:
            text = f"contents: {node_id} of {scope_path} is not what was written about, and nobody is going to write anew"
            contents_differ.add(text, scope_path)


def _entries(redis: Redis) -> dict[Model, AsyncIterator[tuple[str, object]]]:
    return {
        "contents": contents.entries(redis),
        "duplicates": duplicates.entries(redis),
        "jobs": jobs.entries(redis),
        "session-work": session_work.entries(redis),
        "enrichment": enrichment.entries(redis),
        "tasks": tasks.entries(redis),
    }


async def _gathered(
    model: Model, shown_now: AsyncIterator[tuple[str, object]], recount: Recount, verdicts: Verdicts
) -> Differences:
    differences = Differences(model, recount.entries[model])
    seen: set[str] = set()
    async for key, value in shown_now:
        if key in seen:
            continue
        seen.add(key)
        verdicts.rebuild.looked_at(model)
        digest = digest_of(value)
        entry = differences.expected(key, digest)
        if entry is None:
            differences.add(f"{model}: {key} is nothing that the log says", _place(model, key))
        elif entry.digest != digest:
            differences.add(f"{model}: {key} is not what the log says: {_short(value)}", entry.stream)
    differences.lacking(lambda key, entry: f"{model}: {key} is missing")
    return differences


def _place(model: Model, key: str) -> str:
    """Where a key belongs, in the words of `history.Moved`."""
    return JOBS if model == "jobs" else key.partition("{")[2].partition("}")[0]


def _short(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else text[:119] + "…"
