"""Everything of a log, carried into another and back."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from agent_memory.contracts.commands import AppendMessages, EditMemory, StoreMemories
from agent_memory.contracts.errors import Conflict, Refused
from agent_memory.contracts.records import Scope
from agent_memory.eventlog.completions import CompletionStore
from agent_memory.readmodels import contents, generations
from support.bundles import ANNA, BEN, STRANGER, filled, given, message, record, said, sealed, taken
from support.more_redis import one_more_redis
from support.servers import Servers, flush, fresh_database
from support.small_system import SmallSystem
from support.toc_worker import TOLD, a_desk


@asynccontextmanager
async def a_source(database_url: str, redis_url: str) -> AsyncIterator[SmallSystem]:
    async with a_desk(database_url, redis_url) as desk:
        await desk.say(*TOLD)
        await filled(desk.system)
        await desk.system.catch_up()
        await desk.replica().write()
        await desk.system.catch_up()
        yield desk.system


@pytest.fixture(scope="module")
async def source(servers: Servers) -> AsyncIterator[SmallSystem]:
    """One for all: it is only read. It has the tests' own Redis, so that no test of this file may empty that."""
    flush(servers.redis_url)
    with fresh_database(servers) as database_url:
        async with a_source(database_url, servers.redis_url) as system:
            yield system


@pytest.fixture
async def own_source(database_url: str) -> AsyncIterator[SmallSystem]:
    """For a test that writes to it."""
    with one_more_redis() as redis:
        async with a_source(database_url, redis.url) as system:
            yield system


@pytest.fixture(scope="module")
def another_redis() -> Iterator[str]:
    with one_more_redis() as redis:
        yield redis.url


@pytest.fixture
async def target(servers: Servers, another_redis: str) -> AsyncIterator[SmallSystem]:
    flush(another_redis)
    with fresh_database(servers) as database_url:
        system = SmallSystem(database_url, another_redis, sequence=9_000)
        yield system
        await system.close()


async def broken(system: SmallSystem) -> dict[int, list[str]]:
    await system.catch_up()
    return {number: result.examples for number, result in (await system.examined()).items() if not result.ok}


async def shown(system: SmallSystem) -> dict[str, object]:
    """What readers see, apart from log positions."""
    sessions = {}
    for scope in (ANNA, BEN):
        for session_id in ("chat", "doc", "gone", f"talk/{scope.user_id}"):
            found = await system.sessions.read(scope, session_id)
            sessions[scope.path, session_id] = found and (found.meta, found.messages, found.version)
    listed = await system.redis.execute_command("FT.SEARCH", "am:index:memory", "*", "RETURN", 1, "record", "LIMIT", 0, 100)
    records = [msgspec.json.decode(fields[1]) for fields in listed[2::2]]
    mine = sorted((one for one in records if one["text"] != "a stranger's"), key=lambda one: one["id"])
    return {"sessions": sessions, "memories": mine, "toc": await contents.digest(system.redis)}


async def test_what_is_restored_is_what_was_exported_byte_for_byte(source: SmallSystem, target: SmallSystem) -> None:
    assert await broken(source) == {}
    bundle = await taken(source)
    done = await given(target, bundle)
    counts = msgspec.json.decode(bundle.splitlines()[0])["counts"]
    assert (done.created, done.known, done.position) == (counts["events"], 0, counts["events"])
    assert await taken(target) == bundle
    assert await broken(target) == {}
    stranger = await given(target, await taken(source, tenant="stranger"), "stranger")
    assert (stranger.sessions, stranger.memories) == (1, 1)
    assert await broken(target) == {}
    assert await shown(target) == await shown(source)


async def test_importing_again_changes_nothing(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source)
    first = await given(target, bundle)
    again = await given(target, bundle)
    assert (again.created, again.known, again.sessions, again.position) == (0, first.created, 0, first.position)
    assert await taken(target) == bundle


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source)
    would = await given(target, bundle, dry_run=True)
    assert await target.log.head() == 0
    done = await given(target, bundle)
    assert msgspec.structs.replace(would, dry_run=False, position=done.position) == done


async def test_what_came_since_is_added(own_source: SmallSystem, target: SmallSystem) -> None:
    await given(target, await taken(own_source))
    await target.catch_up()
    await own_source.send(AppendMessages(session_id="chat", messages=[message("m3", "later")]), scope=ANNA)
    await own_source.send(EditMemory(memory_id="anna-1", text="likes no tea"))
    bundle = await taken(own_source)
    done = await given(target, bundle)
    assert (done.created, done.sessions, done.memories) == (2, 1, 1)
    assert await taken(target) == bundle
    assert await claims(target) == await claims(own_source)


async def claims(system: SmallSystem) -> list[tuple[object, ...]]:
    async with system.connections.connection() as connection:
        rows = await connection.execute("SELECT memory_hash, memory_id FROM claims WHERE tenant = 'default' ORDER BY memory_hash")
        return await rows.fetchall()


async def test_a_log_that_went_on_by_itself_keeps_what_is_its_own(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source)
    await target.send(said("elsewhere", "e9"), scope=Scope(namespace="other"))
    await given(target, bundle)
    await target.send(AppendMessages(session_id="chat", messages=[message("m9")]), StoreMemories(memories=[record("n", "new")]))
    again = await given(target, bundle)
    assert again.created == 0
    assert await broken(target) == {}


async def test_a_session_that_went_on_otherwise_is_refused_and_nothing_is_written(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source)
    await target.send(AppendMessages(session_id="chat", messages=[message("m1", "another")]), scope=ANNA)
    head = await target.log.head()
    with pytest.raises(
        Conflict, match=r"nothing was imported: 1 streams go on otherwise here: session/work/anna/chat \(from version 1\)"
    ):
        await given(target, bundle)
    assert await target.log.head() == head
    done = await given(target, bundle, keep=True)
    assert (done.left, done.kept) == (["session/work/anna/chat"], 1)
    assert await broken(target) == {}
    assert b"another" in await taken(target)


async def test_an_event_that_another_session_has_is_refused(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source)
    await target.send(said("another", "e1"), scope=ANNA)
    with pytest.raises(Conflict, match="1 events are recorded in another session here: e1 of session/work/anna/talk%2Fanna"):
        await given(target, bundle)
    assert (await given(target, bundle, keep=True)).left == ["session/work/anna/talk%2Fanna"]
    assert await broken(target) == {}


async def test_a_command_that_is_known_here_is_refused(source: SmallSystem) -> None:
    """Two tenants of one log cannot hold the same history twice: commands are told apart by their ids alone."""
    with pytest.raises(Conflict, match="commands have taken effect here otherwise"):
        await given(source, await taken(source), "copy")


async def test_what_is_written_about_the_same_node_here_stays(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source)
    await given(target, bundle)
    changed = b"UPDATE events SET data = replace(data::text, 'title', 'titel')::json WHERE stream = 'toc/default///toc:year:2026'"
    await target.execute(changed.decode())
    again = await given(target, bundle)
    assert (again.kept, again.created) == (1, 0)


async def test_a_user_is_exported_with_all_and_only_what_is_theirs(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source, namespace=BEN.namespace, user_id="ben")
    assert b"was of Anna" in bundle, "a memory comes with its past"
    assert not [word for word in (b"anna-1", b"b-anna", b"talk%2Fanna", b"of one request") if word in bundle]
    await given(target, bundle)
    assert await taken(target, namespace=BEN.namespace, user_id="ben") == bundle
    assert await broken(target) == {}
    other = await taken(source, namespace="work")
    assert b"of the same" not in other
    assert b"was of Anna" not in other
    done = await given(target, other)
    assert done.created > 0
    assert await broken(target) == {}
    assert await taken(target, namespace="work") == other
    everything = await given(target, await taken(source))
    assert everything.known > 0
    assert await broken(target) == {}


async def test_nothing_of_another_tenant_is_in_a_bundle(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source)
    assert b"stranger" not in bundle
    assert b"default/" not in bundle
    assert b"compaction" not in bundle
    await given(target, bundle, "acme")
    assert await taken(target, tenant="acme") == bundle
    assert await broken(target) == {}


async def test_vectors_and_answers_come_along_when_they_are_asked_for(own_source: SmallSystem, target: SmallSystem) -> None:
    await CompletionStore(own_source.connections).keep(b"h" * 32, b'{"text": "an answer"}')
    with pytest.raises(Refused, match="other tenants"):
        await taken(own_source, answers=True)
    with pytest.raises(Refused, match="no namespace"):
        await taken(own_source, answers=True, namespace="work")
    bundle = await taken(own_source, embeddings=own_source.embedder.model)
    done = await given(target, bundle)
    assert done.embeddings == bundle.count(b'{"line":"embedding"') > 10
    assert await taken(target, embeddings=own_source.embedder.model) == bundle
    target.embedder.embed = None  # type: ignore[assignment, method-assign]  # nothing has to be embedded
    await target.catch_up()
    assert (await generations.registry(target.redis, "memory")).live is not None
    await CompletionStore(target.connections).keep(b"h" * 32, b'{"text": "an answer"}')
    everything = await taken(target, answers=True)
    assert everything.count(b'{"line":"answer"') == 1


async def test_nobody_says_to_other_tenants_what_a_text_means_or_a_model_answered(source: SmallSystem, target: SmallSystem) -> None:
    bundle = await taken(source, embeddings=source.embedder.model)
    await target.send(said("talk", "e1"), scope=STRANGER)
    head = await target.log.head()
    with pytest.raises(Refused, match="other tenants too"):
        await given(target, bundle)
    assert await target.log.head() == head
    assert (await given(target, await taken(source))).created > 10


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda lines: lines[:-1], "ends before its seal"),
        (lambda lines: [*lines[:-1], lines[-1][:-9]], "cannot be read"),
        (lambda lines: lines[:5] + lines[6:], "it is not what its manifest and seal say"),
        (lambda lines: [line.replace(b"likes", b"hates") for line in lines], "it is not what its manifest and seal say"),
        (lambda lines: [*lines, lines[3]], "behind the end"),
        (lambda lines: [*lines, *lines], "behind the end"),
        (lambda lines: lines[1:], "this is no bundle"),
        (lambda lines: [lines[0].replace(b'"version":1', b'"version":2'), *lines[1:]], "format version 2"),
        (lambda lines: [], "this is no bundle"),
        (lambda lines: [b'{"session_id":"s"}\n'], "this is no bundle"),
    ],
)
async def test_a_bundle_that_is_not_whole_is_refused_and_nothing_is_written(
    source: SmallSystem, target: SmallSystem, harm, why: str
) -> None:
    lines = harm((await taken(source)).splitlines(keepends=True))
    with pytest.raises(Refused, match=why):
        await given(target, b"".join(lines))
    assert await target.log.head() == 0


async def test_a_bundle_whose_seal_is_right_and_whose_events_are_of_no_known_type_is_refused(
    source: SmallSystem, target: SmallSystem
) -> None:
    lines = [msgspec.json.decode(line) for line in (await taken(source)).splitlines()]
    recorded = next(line for line in lines if line.get("type") == "EventRecorded")
    recorded["type"] = "EventOfTomorrow"
    with pytest.raises(
        Refused, match="an event EventOfTomorrow that is not known here: it holds EventRecorded; nothing was imported"
    ):
        await given(target, sealed(lines[:-1]))
    assert await target.log.head() == 0
