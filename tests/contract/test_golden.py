"""Every shape of an event or command that was ever written decodes for ever.

A new event or field gets a new file (`python tests/contract/test_golden.py` writes those that are missing); a file that is
there is never changed.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from agent_memory.contracts import commands, events
from agent_memory.contracts.codec import decode_command, decode_envelope, decode_event, encode
from agent_memory.contracts.envelope import CommandEnvelope, EventEnvelope
from agent_memory.contracts.jobs import DueRun, JobRun, JobState, RunningJob
from agent_memory.contracts.records import (
    MemoryRecord,
    Message,
    ModelUse,
    Partition,
    Scope,
    Strategy,
    SummaryView,
    Task,
    TimelineEvent,
)
from agent_memory.contracts.toc import Bullet, Grip, Revision, Span
from agent_memory.contracts.upcasters import UPCASTERS, Upcaster, upcast

GOLDEN = Path(__file__).parent / "golden"
AT = datetime(2026, 1, 30, 10, 0, 0, 123456, tzinfo=UTC)
TIMELINE = TimelineEvent(
    event_id="e1",
    session_id="s1",
    timestamp_ms=1769767200123,
    event_type="assistant_message",
    role="assistant",
    text="Grüße 👋",
    metadata={"k": "v"},
    agent="claude",
    message_id="m1",
    microseconds=456,
)
MESSAGE = Message(role="user", content="hello", id="m1", created_at=AT, persisted_at=AT, discrete_memory_extracted="t")
RECORD = MemoryRecord(
    id="01HXYZ",
    text="likes tea",
    session_id="s1",
    user_id="u",
    namespace="n",
    last_accessed=AT,
    created_at=AT,
    updated_at=AT,
    pinned=True,
    access_count=3,
    topics=["drinks"],
    entities=["tea"],
    memory_hash="00",
    memory_type="semantic",
    persisted_at=AT,
    extracted_from=["e1"],
    event_date=AT,
    metadata={"a": [1, None]},
)
STRATEGY = Strategy(strategy="custom", config={"custom_prompt": "x"})
DOCUMENT = {"session_id": "s1", "data": {"a": 1}, "context": "so far", "tokens": 5, "strategy": STRATEGY, "ttl_seconds": 60}
USE = ModelUse(model="gpt-5-mini", prompt_tokens=10, completion_tokens=5, cost=0.001)
VIEW = SummaryView(
    id="v1",
    name="by user",
    group_by=["user_id"],
    filters={"namespace": "n"},
    time_window_days=7,
    continuous=True,
    prompt="Be brief",
    model_name="gpt-5-mini",
)
PARTITION = Partition(
    view_id="v1", group={"user_id": "u"}, summary="likes tea", memory_count=1, computed_at=AT, memory_ids=["01HXYZ"]
)
TASK = Task(id="t1", status="success", view_id="v1", created_at=AT, started_at=AT, completed_at=AT)
REVISION = Revision(
    node_id="toc:segment:01HXYZ",
    level="segment",
    title="Tea preferences",
    summary="Likes tea.",
    bullets=(Bullet(text="likes tea", grip_ids=("grip:01HXYZ",)),),
    keywords={"tea": 1.5},
    child_ids=("x",),
    start_ms=1,
    end_ms=2,
    fingerprint="f",
    made_by="model",
    session_id="s1",
    grips=(
        Grip(
            grip_id="grip:01HXYZ",
            session_id="s1",
            node_id="toc:segment:01HXYZ",
            excerpt="likes tea",
            spans=(Span(event_id="e1", start=2, end=11),),
            timestamp_ms=1,
        ),
    ),
)
JOB = JobState(
    due_ms=1,
    waiting=DueRun(due_ms=9, manual=True),
    running=RunningJob(due_ms=1, started_ms=2, runner="a", jitter_ms=3, timeout_ms=4, manual=True),
    paused=True,
    told=True,
    run_count=5,
    error_count=6,
    last=JobRun(due_ms=1, started_ms=2, finished_ms=3, result="failed", error="no", metadata={"a": "b"}, manual=True),
)
EXAMPLES: dict[str, object] = {
    "EventRecorded": events.EventRecorded(event=TIMELINE, sequence=7),
    "WorkingMemoryReplaced": events.WorkingMemoryReplaced(
        **DOCUMENT,
        order=["m1"],
        edits=[MESSAGE],
        memories=[msgspec.Raw(b'{"id":"x"}')],
        created_at=AT,
        updated_at=AT,
        last_accessed=AT,
        sequence=7,
    ),
    "MessagesRestored": events.MessagesRestored(session_id="s1", messages=[MESSAGE], at=AT, sequence=7),
    "WorkingMemoryDeleted": events.WorkingMemoryDeleted(session_id="s1", at=AT, sequence=7, reason="expired"),
    "MemoryStored": events.MemoryStored(record=RECORD, sequence=7),
    "MemoryEdited": events.MemoryEdited(record=RECORD, changed=["text"], sequence=7),
    "MemoryForgotten": events.MemoryForgotten(memory_id="01HXYZ", at=AT, sequence=7),
    "WorkingMemorySummarized": events.WorkingMemorySummarized(
        session_id="s1", context="so far", message_ids=["m1"], at=AT, sequence=7, use=USE
    ),
    "MemoriesExtracted": events.MemoriesExtracted(
        session_id="s1", message_ids=["m1"], memory_ids=["01HXYZ"], at=AT, sequence=7, strategy=STRATEGY, use=USE
    ),
    "SummaryViewCreated": events.SummaryViewCreated(view=VIEW, at=AT),
    "SummaryViewDeleted": events.SummaryViewDeleted(view_id="v1", at=AT),
    "PartitionSummarized": events.PartitionSummarized(partition=PARTITION, use=USE),
    "TaskChanged": events.TaskChanged(task=TASK),
    "SummarizeSession": commands.SummarizeSession(
        session_id="s1", context="so far", message_ids=["m1"], document_sequence=7, use=USE
    ),
    "RecordExtraction": commands.RecordExtraction(
        session_id="s1", message_ids=["m1"], memories=[RECORD], strategy=STRATEGY, use=USE
    ),
    "EnrichMemory": commands.EnrichMemory(memory_id="01HXYZ", memory_hash="00", topics=["drinks"], entities=["tea"], use=USE),
    "TouchMemories": commands.TouchMemories(memory_ids=["01HXYZ"], every_seconds=60),
    "MergeMemories": commands.MergeMemories(record=RECORD, source_ids=["01HABC"], versions={"01HXYZ": 1, "01HABC": 2}, use=USE),
    "UnmergeMemory": commands.UnmergeMemory(memory_id="01HXYZ"),
    "CreateSummaryView": commands.CreateSummaryView(view=VIEW),
    "DeleteSummaryView": commands.DeleteSummaryView(view_id="v1"),
    "RecordPartition": commands.RecordPartition(partition=PARTITION, use=USE),
    "ChangeTask": commands.ChangeTask(task=TASK),
    "NodeRevised": events.NodeRevised(revision=REVISION, use=USE),
    "RecordRevision": commands.RecordRevision(revision=REVISION, expected_version=1, use=USE),
    "JobDue": events.JobDue(job="hourly-rollup", due_ms=1),
    "JobStarted": events.JobStarted(job="hourly-rollup", state=JOB),
    "JobFinished": events.JobFinished(job="hourly-rollup", state=JOB),
    "JobPaused": events.JobPaused(job="hourly-rollup", state=JOB),
    "JobResumed": events.JobResumed(job="hourly-rollup", state=JOB),
    "StartJob": commands.StartJob(job="hourly-rollup", due_ms=1, runner="a", jitter_ms=2, timeout_ms=3),
    "FinishJob": commands.FinishJob(job="hourly-rollup", due_ms=1, result="failed", error="no", metadata={"a": "b"}),
    "PauseJob": commands.PauseJob(job="hourly-rollup"),
    "ResumeJob": commands.ResumeJob(job="hourly-rollup"),
    "RunJobNow": commands.RunJobNow(job="hourly-rollup"),
    "RecordEvents": commands.RecordEvents(events=[TIMELINE]),
    "ReplaceWorkingMemory": commands.ReplaceWorkingMemory(**DOCUMENT, messages=[MESSAGE], last_accessed=AT),
    "AppendMessages": commands.AppendMessages(session_id="s1", messages=[MESSAGE]),
    "DeleteWorkingMemory": commands.DeleteWorkingMemory(session_id="s1"),
    "StoreMemories": commands.StoreMemories(memories=[RECORD]),
    "EditMemory": commands.EditMemory(memory_id="01HXYZ", text="likes coffee", pinned=False),
    "ForgetMemories": commands.ForgetMemories(memory_ids=["01HXYZ"]),
    "Tick": commands.Tick(job="hourly-rollup", due_ms=1),
}
SCOPE = Scope(tenant="t", namespace="n", user_id="u")
CAUSE = {"correlation_id": "c", "causation_id": "d", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def enveloped(name: str, example: object) -> bytes:
    """The example as it travels and is stored."""
    if isinstance(example, events.Event):
        data = msgspec.Raw(encode(example))
        envelope = EventEnvelope(position=9, stream="x", version=1, type=name, scope=SCOPE, recorded_ms=5, data=data, **CAUSE)
        return encode(envelope)
    return encode(CommandEnvelope(id="01", scope=SCOPE, issued_ms=5, command=example, idempotency_key="k", **CAUSE))


FILES = sorted(GOLDEN.glob("*.json"))


def test_every_event_and_command_has_a_golden_file():
    current = {kind.__name__ for kind in (*get_args(events.AnyEvent), *get_args(commands.AnyCommand))}
    assert current == set(EXAMPLES)
    assert {path.name.split(".")[0] for path in FILES} >= current


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_was_written_once_can_be_read(path):
    body = path.read_bytes().strip()
    name = path.name.split(".")[0]
    if isinstance(EXAMPLES.get(name), commands.Command):
        assert decode_command(body).command == EXAMPLES[name]
        return
    envelope = decode_envelope(body)
    assert encode(decode_event(envelope.type, envelope.data)) == encode(EXAMPLES[name])
    assert (envelope.scope, envelope.correlation_id, envelope.traceparent) == (SCOPE, "c", CAUSE["traceparent"])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_field_that_is_not_known_yet_is_passed_over(name):
    body = enveloped(name, EXAMPLES[name]).replace(b'"type":', b'"from_the_future":{"a":1},"type":')
    if isinstance(EXAMPLES[name], commands.Command):
        assert decode_command(body).command == EXAMPLES[name]
    else:
        assert encode(decode_event(name, decode_envelope(body).data)) == encode(EXAMPLES[name])


def test_upcasters_chain_and_a_circle_is_found():
    steps = {
        "V1": Upcaster("V2", lambda old: {"job": old["name"], "when": old["when"]}),
        "V2": Upcaster("JobDue", lambda old: {"job": old["job"], "due_ms": old["when"] * 1000}),
    }
    assert msgspec.convert(upcast({"type": "V1", "name": "j", "when": 2}, steps), events.JobDue) == events.JobDue(
        job="j", due_ms=2000
    )
    with pytest.raises(ValueError, match="circle"):
        upcast({"type": "A"}, {"A": Upcaster("B", dict), "B": Upcaster("A", dict)})


def test_upcasters_lead_to_events_that_exist():
    assert all(name not in EXAMPLES for name in UPCASTERS)


if __name__ == "__main__":
    for name, example in EXAMPLES.items():
        path = GOLDEN / f"{name}.v1.json"
        if not path.exists():
            path.write_bytes(enveloped(name, example) + b"\n")
