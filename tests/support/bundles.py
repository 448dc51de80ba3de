"""A system with something of every kind in its log, and bundles of it."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import msgspec

from agent_memory.contracts.bundles import Content, Manifest, Restored, Writer
from agent_memory.contracts.commands import (
    AppendMessages,
    ChangeTask,
    CreateSummaryView,
    DeleteWorkingMemory,
    EditMemory,
    ForgetMemories,
    MergeMemories,
    RecordEvents,
    RecordPartition,
    ReplaceWorkingMemory,
    StoreMemories,
    Tick,
)
from agent_memory.contracts.records import MemoryRecord, Message, Partition, Scope, SummaryView, Task, TimelineEvent
from agent_memory.eventlog.bundle_export import Wanted, exported
from agent_memory.eventlog.bundle_import import restored
from agent_memory.readmodels.embedded_texts import texts_of
from support.small_system import SmallSystem

AT = datetime(2026, 1, 30, 12, 0, 0, 123456, tzinfo=UTC)
PIECE = 997
ANNA, BEN = Scope(namespace="work", user_id="anna"), Scope(namespace="w/{k", user_id="ben")
STRANGER = Scope(tenant="stranger", namespace="work", user_id="anna")


def message(id_: str, text: str = "hello é \n 🎉") -> Message:
    return Message(id=id_, role="user", content=text, created_at=AT)


def record(id_: str, text: str, owner: Scope = ANNA) -> MemoryRecord:
    about = {"namespace": owner.namespace, "user_id": owner.user_id}
    return MemoryRecord(id=id_, text=text, last_accessed=AT, created_at=AT, updated_at=AT, **about)


def said(session_id: str, *ids: str) -> RecordEvents:
    events = [
        TimelineEvent(event_id=id_, session_id=session_id, timestamp_ms=1_769_774_400_000 + number, text=f"{id_} was said here")
        for number, id_ in enumerate(ids)
    ]
    return RecordEvents(events=events)


async def filled(system: SmallSystem) -> None:
    """Sessions of every fate, memories that were edited, moved, merged and forgotten, a view, a task, a job, and a stranger."""
    for owner in (ANNA, BEN):
        mine = owner.user_id
        await system.send(
            said(f"talk/{mine}", "e1", "e2"),
            AppendMessages(session_id="chat", messages=[message("m1"), message("m2")]),
            ReplaceWorkingMemory(session_id="doc", messages=[message("d1")], data={"note": 1.5}, context="c", ttl_seconds=3_600),
            ReplaceWorkingMemory(session_id="gone", messages=[message("g1")]),
            DeleteWorkingMemory(session_id="gone"),
            StoreMemories(memories=[record(f"{mine}-1", "likes tea", owner), record(f"{mine}-2", "likes green tea", owner)]),
            StoreMemories(memories=[record(f"{mine}-3", "owns a boat", owner), record(f"{mine}-4", "fears the sea", owner)]),
            ForgetMemories(memory_ids=[f"{mine}-3"]),
            scope=owner,
        )
        merged = record(f"{mine}-1", "likes any tea", owner)
        await system.send(MergeMemories(record=merged, source_ids=[f"{mine}-2"], versions={f"{mine}-1": 1, f"{mine}-2": 1}))
    both = [record("b-anna", "of one request"), record("b-ben", "of the same", BEN)]
    partition = Partition(view_id="v", group={"user_id": "anna"}, summary="tea", memory_count=1, computed_at=AT)
    await system.send(
        StoreMemories(memories=both),
        StoreMemories(memories=[record("moved", "was of Anna")]),
        EditMemory(memory_id="moved", namespace=BEN.namespace, user_id=BEN.user_id),
        CreateSummaryView(view=SummaryView(id="v", group_by=["user_id"])),
        RecordPartition(partition=partition),
        ChangeTask(task=Task(id="t", status="success", view_id="v", created_at=AT, completed_at=AT)),
        Tick(job="compaction", due_ms=60_000),
    )
    await system.send(said("talk/anna", "e1"), StoreMemories(memories=[record("anna-1", "a stranger's")]), scope=STRANGER)


async def taken(system: SmallSystem, **wanted: object) -> bytes:
    """The bundle of what is wanted; of the tenant `default` unless another is named."""
    about = msgspec.convert({"tenant": "default", **wanted}, Wanted)
    return b"".join([piece async for piece in exported(system.database_url, about, texts_of)])


async def given(
    system: SmallSystem, bundle: bytes, tenant: str = "default", *, dry_run: bool = False, keep: bool = False
) -> Restored:
    """Takes a bundle in, in pieces that end anywhere."""
    pieces = [bundle[start : start + PIECE] for start in range(0, len(bundle), PIECE)]
    done, _ = await restored(system.database_url, tenant, _flow(pieces), dry_run=dry_run, keep=keep)
    return done


async def _flow(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def sealed(lines: Sequence[object]) -> bytes:
    """A bundle of these lines, with the seal that belongs to them, as somebody makes it who means harm."""
    writer = Writer()
    return b"".join(
        [*(writer.line(msgspec.json.decode(msgspec.json.encode(line), type=Manifest | Content)) for line in lines), writer.seal()]
    )
