"""The log on real Postgres: order, once, whole."""

import asyncio
import base64

import msgspec
import psycopg
import pytest
from sqlalchemy import create_engine, inspect

from agent_memory.contracts.codec import encode
from agent_memory.contracts.errors import Invalid, Unavailable
from agent_memory.contracts.events import EventRecorded
from agent_memory.contracts.queries import GetEvents
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.eventlog import tables
from agent_memory.eventlog.connect import Connections, noticing
from agent_memory.eventlog.embeddings import EmbeddingStore
from agent_memory.eventlog.reader import LogReader
from agent_memory.eventlog.rows import Batch, CommandOutcome, Duplicate, LogUnavailable, NewEvent, Unwritable
from agent_memory.eventlog.store import EventStore
from agent_memory.migrations import sqlalchemy_url
from support.controls import wait_until

SCOPE = Scope()


@pytest.fixture
async def connections(database_url):
    connections = Connections(database_url, size=8)
    yield connections
    await connections.close()


@pytest.fixture
def store(connections):
    return EventStore(connections)


@pytest.fixture
def reader(connections):
    return LogReader(connections)


def new(id_, version=1, *, stream="session/default///s", at=1, scope=SCOPE, text="hello"):
    event = EventRecorded(event=TimelineEvent(event_id=id_, session_id="s", timestamp_ms=at, text=text))
    return NewEvent(
        stream=stream, version=version, type="EventRecorded", scope=scope, data=encode(event), event_id=id_, timestamp_ms=at
    )


async def positions(reader):
    return [event.position for event in await reader.after(0)]


async def test_a_reader_never_sees_a_later_position_before_an_earlier_one(store, reader):
    """Two transactions interleave: the one that got the earlier positions commits last."""
    async with store.exclusive() as slow:
        await slow.append(Batch(events=[new("a", stream="one")]), 1)
        fast = asyncio.create_task(store.append(Batch(events=[new("b", stream="two")]), 1))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

        async def fast_waits():
            return (await reader._rows(waiting))[0][0] == 1

        await wait_until(fast_waits, "the second transaction waits for the first")
        assert await positions(reader) == []
        assert not fast.done()
    assert await fast == 2
    assert await positions(reader) == [1, 2]


async def test_a_transaction_that_is_rolled_back_leaves_no_gap(store, reader):
    async def half_way():
        async with store.exclusive() as writing:
            await writing.append(Batch(events=[new("a"), new("b", 2)]), 1)
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await half_way()
    assert await store.append(Batch(events=[new("c")]), 1) == 1
    assert await positions(reader) == [1]


async def test_concurrent_batches_have_positions_without_gaps_in_commit_order(store, reader):
    batches = [Batch(events=[new(f"{n}-{k}", k + 1, stream=f"s{n}") for k in range(7)]) for n in range(20)]
    firsts = await asyncio.gather(*(store.append(batch, 1) for batch in batches))
    assert sorted(firsts) == list(range(1, 141, 7))
    assert await positions(reader) == list(range(1, 141))


@pytest.mark.parametrize(
    ("first", "second", "constraint"),
    [
        (Batch(events=[new("a")]), Batch(events=[new("b")]), "events_stream_version"),
        (Batch(events=[new("a")]), Batch(events=[new("a", stream="other")]), "events_once"),
        (
            Batch(commands=[CommandOutcome(id="c", tenant="t", outcome=b"{}")]),
            Batch(events=[new("a")], commands=[CommandOutcome(id="c", tenant="t", outcome=b"{}")]),
            "commands_pkey",
        ),
        (
            Batch(commands=[CommandOutcome(id="c", tenant="t", outcome=b"{}", idempotency_key="k")]),
            Batch(events=[new("a")], commands=[CommandOutcome(id="d", tenant="t", outcome=b"{}", idempotency_key="k")]),
            "commands_idempotency",
        ),
    ],
)
async def test_what_is_recorded_cannot_be_recorded_again(store, reader, first, second, constraint):
    await store.append(first, 1)
    head = await reader.head()
    with pytest.raises(Duplicate, match=constraint):
        await store.append(second, 1)
    assert await reader.head() == head


async def test_of_64_concurrent_writers_of_one_event_id_exactly_one_wins(store, reader):
    attempts = [store.append(Batch(events=[new("same", stream=f"s{n}")]), 1) for n in range(64)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, Duplicate) for result in results) == 63
    assert await reader.head() == 1


BAD_DOCUMENTS = {
    "not JSON": b"{",
    "nothing": b"",
    "two documents": b"{}\x1e{}",
    "a separator inside a string": b'{"a": "x\x1ey"}',
    "a NUL": b'{"a": "\\u0000"}',
    "a NUL after an escaped backslash": b'{"a": "\\\\\\u0000"}',
}


@pytest.mark.parametrize("data", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
@pytest.mark.parametrize("column", ["data", "metadata"])
async def test_one_bad_value_leaves_nothing_of_its_batch(store, reader, column, data):
    bad = msgspec.structs.replace(new("b", 2), **{column: data})
    for events in ([new("a"), bad, new("c", 3)], [msgspec.structs.replace(bad, version=1)]):
        with pytest.raises(Unwritable):
            await store.append(Batch(events=events), 1)
    assert await reader.head() == 0


async def test_what_was_written_is_read_back_byte_for_byte(store, reader):
    documents = [b'{ "b": 1,\n\t"a": 1.50, "b": [] }', b'{"text": "\\\\u0000 \\u001e"}', '{"text": "Ω \\" }{,"}'.encode(), b"{}"]
    events = [
        NewEvent(stream="s", version=n, type="T", scope=SCOPE, data=data, metadata=b'{"causation_id": "%d"}' % n)
        for n, data in enumerate(documents, start=1)
    ]
    await store.append(Batch(events=events), 1)
    assert [stored.data for stored in await reader.stream("s")] == documents
    assert [event.causation_id for event in await reader.after(0)] == ["1", "2", "3", "4"]


async def test_the_same_event_id_in_another_scope_is_another_event(store, reader):
    other = Scope(tenant="default", namespace="n")
    await store.append(Batch(events=[new("a"), new("a", stream="elsewhere", scope=other)]), 1)
    assert [p for p, _ in (await reader.timeline(GetEvents(scope=other))).events] == [2]


async def test_pages_by_time_neither_overlap_nor_miss(store, reader):
    """Many events share a millisecond; the order is (time, id), by bytes."""
    ids = [f"e{n:02d}" for n in range(25)] + ["Z", "a", "é", "Ω"]
    await store.append(Batch(events=[new(id_, n + 1, at=5 + n % 3) for n, id_ in enumerate(ids)]), 1)
    seen, cursor = [], None
    while True:
        page = await reader.timeline(GetEvents(scope=SCOPE, limit=4, cursor=cursor))
        seen += [(event.timestamp_ms, event.event_id) for _, event in page.events]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == sorted(((5 + n % 3, id_) for n, id_ in enumerate(ids)), key=lambda pair: (pair[0], pair[1].encode()))


async def test_both_ends_of_a_time_range_are_included(store, reader):
    await store.append(Batch(events=[new(f"e{n}", n, at=n) for n in range(1, 6)]), 1)
    page = await reader.timeline(GetEvents(scope=SCOPE, from_ms=2, to_ms=4))
    assert [event.timestamp_ms for _, event in page.events] == [2, 3, 4]


async def test_a_cursor_that_no_page_gave_out_is_refused(reader):
    with pytest.raises(Invalid, match="cursor"):
        await reader.timeline(GetEvents(scope=SCOPE, cursor="nonsense"))


async def test_the_tables_are_what_the_migrations_make(database_url):
    engine = create_engine(sqlalchemy_url(database_url))
    try:
        found = inspect(engine)
        for table in tables.metadata.sorted_tables:
            columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
            assert columns == {column.name: column.nullable for column in table.columns}
    finally:
        engine.dispose()


async def test_a_vector_is_kept_once_for_a_model_and_a_content(connections):
    vectors = EmbeddingStore(connections)
    assert await vectors.keep("m", {b"h": b"first"}) == {b"h": b"first"}
    assert await vectors.keep("m", {b"h": b"second", b"i": b"x"}) == {b"h": b"first", b"i": b"x"}
    assert await vectors.find("m", [b"h", b"i", b"j"]) == {b"h": b"first", b"i": b"x"}
    assert await vectors.find("other", [b"h"]) == {}


async def test_a_log_that_is_away_says_so_at_once_and_works_again_when_it_is_back(database_url):
    connections = Connections(database_url)
    reader, store = LogReader(connections), EventStore(connections)
    assert await reader.head() == 0
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(LogUnavailable):
        await store.append(Batch(events=[new("a")]), 1)
    assert await store.append(Batch(events=[new("a")]), 1) == 1
    assert await reader.head() == 1
    await connections.close()
    nowhere = LogReader(Connections("postgresql://127.0.0.1:1/x"))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await nowhere.head()


@pytest.mark.parametrize(
    "mark", [b'[1,"a\\u0000b"]', b'[9223372036854775808,"a"]', b'[8210266876800000,"a"]', b"{}", b"\xff"], ids=repr
)
async def test_a_cursor_that_was_tampered_with_is_refused(reader, mark):
    with pytest.raises(Invalid, match="cursor is not one that a page"):
        await reader.timeline(GetEvents(scope=SCOPE, cursor=base64.urlsafe_b64encode(mark).decode()))


async def test_a_server_that_takes_no_writes_is_an_outage_and_the_batch_can_be_written_later(store, connections, reader):
    async with connections.connection() as connection:
        await connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(LogUnavailable, match="takes no writes"):
        await store.append(Batch(events=[new("a")]), 1)
    # No connection that led to it is used again, so a failover is over when the address leads elsewhere.
    assert await store.append(Batch(events=[new("a")]), 1) == 1


async def test_a_writer_that_stood_still_in_the_middle_finds_the_log_away_and_writes_the_batch_later(store, connections, reader):
    async def stand_still():
        async with store.exclusive() as writing:
            await writing._connection.execute("SET idle_in_transaction_session_timeout = 1")
            await wait_until(nobody_is_idle, "the server has ended the transaction")
            await writing.append(Batch(events=[new("a")]), 1)

    async def nobody_is_idle():
        idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%%' AND datname = current_database()"
        return (await reader._rows(idle))[0][0] == 0

    with pytest.raises(LogUnavailable):
        await stand_still()
    assert await store.append(Batch(events=[new("a")]), 1) == 1


@pytest.mark.parametrize(
    ("harm", "mend"),
    [
        ("ALTER TABLE commands RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO commands"),
        ("ALTER TABLE sessions RENAME COLUMN alive TO elsewhere", "ALTER TABLE sessions RENAME COLUMN elsewhere TO alive"),
    ],
)
async def test_a_log_that_is_not_migrated_yet_is_away_and_takes_the_batch_later(store, reader, connections, harm, mend):
    async with connections.connection() as connection:
        await connection.execute(harm)
    with pytest.raises(LogUnavailable, match="not as this version needs it"):
        await store.append(Batch(events=[new("a")]), 1)
    async with connections.connection() as connection:
        await connection.execute(mend)
    assert await store.append(Batch(events=[new("a")]), 1) == 1


async def test_a_host_that_vanishes_is_noticed_within_half_a_minute(connections):
    async with connections.connection() as connection:
        asked = connection.info.get_parameters()
        held = [
            await (await connection.execute(f"SHOW tcp_keepalives_{name}")).fetchone() for name in ("idle", "interval", "count")
        ]
    assert int(asked["keepalives_idle"]) + int(asked["keepalives_interval"]) * int(asked["keepalives_count"]) <= 30
    assert asked["tcp_user_timeout"] == "30000"
    assert held == [("10",), ("5",), ("3",)]  # where nobody is at the other end, locks and connections are free as soon
    assert "keepalives_idle=7" in noticing("postgresql://h/d?keepalives_idle=7")
    assert noticing("postgresql://h/d?options=-c%20search_path%3Da").endswith("count=3 -c search_path=a'")


async def test_a_caller_who_gives_up_takes_no_connection_from_the_others(connections, reader):
    async def ask_for_long():
        async with connections.connection() as connection:
            await connection.execute("SELECT pg_sleep(60)")

    async def asked():
        query = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND datname = current_database()"
        return (await reader._rows(query))[0][0] == 1

    async with connections.connection() as one, connections.connection() as other, connections.connection() as third:
        known = {each.info.backend_pid for each in (one, other, third)}
    asking = asyncio.create_task(ask_for_long())
    await wait_until(asked, "somebody asks for long")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    async with connections.connection() as one, connections.connection() as other:
        assert {one.info.backend_pid, other.info.backend_pid} < known


async def test_a_server_that_does_not_answer_is_away_and_its_late_answer_is_nobodys(database_url):
    impatient = Connections(database_url, size=1, longest=0.2)
    with pytest.raises(TimeoutError):
        async with impatient.connection() as connection:
            await connection.execute("SELECT pg_sleep(60)")
    async with impatient.connection() as connection:
        row = await (await connection.execute("SELECT 'mine'")).fetchone()
    assert row == ("mine",)
    await impatient.close()
    assert issubclass(TimeoutError, OSError), "what turns an outage into Unavailable looks for OSError"
