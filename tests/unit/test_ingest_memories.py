"""Claims, merges and what else changes long-term memories."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from agent_memory.contracts.commands import (
    ChangeTask,
    CreateSummaryView,
    DeleteSummaryView,
    EditMemory,
    EnrichMemory,
    ForgetMemories,
    MergeMemories,
    RecordPartition,
    StoreMemories,
    TouchMemories,
    UnmergeMemory,
)
from agent_memory.contracts.errors import Conflict, NotFound, Refused
from agent_memory.contracts.events import (
    MemoryEdited,
    MemoryForgotten,
    MemoryStored,
    PartitionSummarized,
    SummaryViewCreated,
    SummaryViewDeleted,
    TaskChanged,
)
from agent_memory.contracts.records import EPOCH, MemoryRecord, Partition, SummaryView, Task
from agent_memory.contracts.streams import memory_stream
from agent_memory.ingest.claims import Claims
from support.spec import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(id_, text="likes tea", **fields):
    return MemoryRecord(id=id_, text=text, last_accessed=EPOCH, created_at=NOON, updated_at=NOON, **fields)


def store(*records, deduplicate=True):
    return StoreMemories(memories=list(records), deduplicate=deduplicate)


def merge(record, *source_ids, versions=None):
    return MergeMemories(
        record=record, source_ids=list(source_ids), versions=versions or dict.fromkeys((record.id, *source_ids), 1)
    )


class Story:
    """Commands of which every event is remembered, so that a merge can be taken back."""

    def __init__(self, *history):
        self.spec = given()
        for command in history:
            self.when(command)

    def when(self, command):
        self.spec.when(command)
        for emitted in self.spec.decision.events:
            self.spec.facts.histories.setdefault(emitted.stream, []).append(emitted.event)
        return self.spec

    def memory(self, id_):
        return self.spec.facts.memories[memory_stream("default", id_)].record


def test_one_fact_said_twice_in_one_request_is_one_memory():
    spec = given().when(store(record("a"), record("b"))).then(MemoryStored)
    assert (spec.reply.memory_ids, spec.reply.outcomes) == (["a", "a"], ["created", "duplicate"])


def test_texts_that_only_resemble_each_other_stay_memories_of_their_own():
    given().when(store(*(record(f"m{number}", f"Test memory {number} for deletion") for number in (1, 2, 3)))).then(
        MemoryStored, MemoryStored, MemoryStored
    )


def test_the_same_text_of_another_user_is_another_fact():
    given(store(record("a", user_id="ann"))).when(store(record("b", user_id="bob"))).then(MemoryStored)


def test_a_client_that_wants_duplicates_gets_them():
    given(store(record("a"))).when(store(record("b"), deduplicate=False)).then(MemoryStored)


def test_what_was_forgotten_can_be_said_again():
    spec = given(store(record("a"))).when(ForgetMemories(memory_ids=["a"])).when(store(record("b"))).then(MemoryStored)
    assert spec.reply.memory_ids == ["b"]


def test_what_a_memory_said_before_it_was_edited_can_be_said_again():
    given(store(record("a")), EditMemory(memory_id="a", text="likes coffee")).when(store(record("b"))).then(MemoryStored)


def test_a_policy_never_forgets_what_was_pinned_since_it_looked():
    history = given(StoreMemories(memories=[record("a", pinned=True)]))
    history.when(ForgetMemories(memory_ids=["a"], reason="policy")).then()
    assert history.reply.memory_ids == []
    history.when(ForgetMemories(memory_ids=["a"])).then(MemoryForgotten)


def test_a_merge_forgets_its_sources_and_says_what_they_were():
    story = Story(store(record("a", "likes tea"), record("b", "likes green tea", topics=["tea"])))
    story.when(merge(record("a", "likes green tea"), "b")).then(MemoryEdited, MemoryForgotten)
    edited, forgotten = [emitted.event for emitted in story.spec.decision.events]
    assert [source.text for source in edited.merge.sources] == ["likes green tea"]
    assert (edited.merge.before.text, edited.reason) == ("likes tea", "merged")
    assert (forgotten.into, forgotten.reason) == ("a", "merged")
    assert story.memory("b") is None


def test_what_a_source_of_a_merge_said_is_known_as_the_survivor():
    story = Story(store(record("a", "likes tea"), record("b", "likes green tea")), merge(record("a", "likes any tea"), "b"))
    spec = story.when(store(record("c", "likes green tea")))
    assert (spec.reply.memory_ids, spec.reply.outcomes) == (["a"], ["duplicate"])


def test_a_merge_that_was_decided_on_something_older_is_refused():
    story = Story(store(record("a"), record("b", "likes green tea")), EditMemory(memory_id="b", text="hates tea"))
    with pytest.raises(Conflict, match="has changed"):
        story.when(merge(record("a"), "b"))


def test_a_pinned_memory_is_never_merged_away_and_nobody_elses_either():
    with pytest.raises(Refused, match="pinned"):
        Story(store(record("a"), record("b", "green", pinned=True)), merge(record("a"), "b"))
    with pytest.raises(Refused, match="somebody else"):
        Story(store(record("a"), record("b", "green", user_id="bob")), merge(record("a"), "b"))


def test_the_survivor_keeps_what_makes_it_itself():
    story = Story(store(record("a", pinned=True), record("b", "green")), merge(record("a", "both", pinned=False), "b"))
    assert story.memory("a").pinned


def test_a_merge_can_be_taken_back():
    story = Story(store(record("a", "likes tea"), record("b", "likes green tea")), merge(record("a", "likes any tea"), "b"))
    story.when(UnmergeMemory(memory_id="a")).then(MemoryEdited, MemoryStored)
    assert (story.memory("a").text, story.memory("b").text) == ("likes tea", "likes green tea")
    spec = story.when(store(record("c", "likes green tea")))
    assert spec.reply.memory_ids == ["b"]
    with pytest.raises(Refused, match="not made by a merge"):
        story.when(UnmergeMemory(memory_id="a"))


def test_taking_a_merge_back_keeps_what_was_changed_since():
    story = Story(
        store(record("a", "likes tea"), record("b", "green")),
        merge(record("a", "any tea"), "b"),
        EditMemory(memory_id="a", topics=["drinks"]),
        UnmergeMemory(memory_id="a"),
    )
    assert (story.memory("a").text, story.memory("a").topics) == ("likes tea", ["drinks"])


def test_merges_of_merges_are_taken_back_one_by_one():
    story = Story(store(record("a", "one"), record("b", "two"), record("c", "three")), merge(record("a", "one two"), "b"))
    story.when(merge(record("a", "one two three"), "c", versions={"a": 2, "c": 1}))
    story.when(UnmergeMemory(memory_id="a"))
    assert (story.memory("a").text, story.memory("b")) == ("one two", None)
    story.when(UnmergeMemory(memory_id="a"))
    assert (story.memory("a").text, story.memory("b").text) == ("one", "two")


def test_a_source_that_somebody_made_anew_is_not_overwritten_by_taking_the_merge_back():
    story = Story(store(record("a", "one"), record("b", "two")), merge(record("a", "both"), "b"), store(record("b", "new")))
    story.when(UnmergeMemory(memory_id="a")).then(MemoryEdited)
    assert story.memory("b").text == "new"


def test_taking_back_the_merge_of_a_memory_that_is_not_there_says_so():
    with pytest.raises(NotFound):
        given().when(UnmergeMemory(memory_id="a"))


def test_topics_that_were_found_are_added_to_those_that_were_given():
    spec = given(store(record("a", topics=["Tea"])))
    memory = spec.facts.memories[memory_stream("default", "a")]
    spec.when(EnrichMemory(memory_id="a", memory_hash=memory.record.memory_hash, topics=["tea", "health"], entities=["Ann"]))
    spec.then(MemoryEdited)
    assert (memory.record.topics, memory.record.entities) == (["Tea", "health"], ["Ann"])
    spec.when(EnrichMemory(memory_id="a", memory_hash="of another text", topics=["coffee"])).then()


def test_the_use_of_a_memory_is_counted_once_in_a_while():
    spec = given(store(record("a"))).when(TouchMemories(memory_ids=["a", "a", "nobody"], every_seconds=900))
    spec.then(MemoryEdited)
    spec.when(TouchMemories(memory_ids=["a"], every_seconds=900)).then()
    memory = spec.facts.memories[memory_stream("default", "a")]
    assert memory.record.access_count == 1
    spec.when(EditMemory(memory_id="a", text="x")).then(MemoryEdited)


VIEW = SummaryView(id="v", name="by user", group_by=["user_id"])
AT = NOON


def partition(at=AT):
    return RecordPartition(partition=Partition(view_id="v", group={"user_id": "u"}, summary="s", memory_count=1, computed_at=at))


def task(status="pending", **fields):
    return ChangeTask(task=Task(id="t", view_id="v", status=status, created_at=AT, **fields))


def test_a_view_is_made_once_and_its_partitions_follow_it():
    spec = given().when(CreateSummaryView(view=VIEW)).then(SummaryViewCreated)
    spec.when(CreateSummaryView(view=VIEW)).then()
    spec.when(partition()).then(PartitionSummarized)
    spec.when(partition()).then()
    spec.when(partition(AT + timedelta(seconds=1))).then(PartitionSummarized)
    spec.when(DeleteSummaryView(view_id="v")).then(SummaryViewDeleted)
    spec.when(DeleteSummaryView(view_id="v")).then()
    with pytest.raises(NotFound, match="SummaryView v not found"):
        spec.when(partition(AT + timedelta(seconds=2)))
    with pytest.raises(Conflict):
        spec.when(CreateSummaryView(view=VIEW))


def test_a_task_goes_from_pending_to_its_end_and_no_further():
    with pytest.raises(NotFound):
        given().when(task())
    spec = given(CreateSummaryView(view=VIEW)).when(task()).then(TaskChanged)
    spec.when(task("running")).then(TaskChanged)
    spec.when(task("running")).then()
    spec.when(task("success")).then(TaskChanged)
    with pytest.raises(Refused, match="is success and cannot become running"):
        spec.when(task("running"))


HASHES = st.sampled_from(["h1", "h2", "h3"])
IDS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), HASHES, IDS),
        st.tuples(st.just("release"), HASHES, IDS),
        st.tuples(st.just("drop"), st.just(""), IDS),
    ),
    max_size=12,
)


@for_all(st.dictionaries(HASHES, IDS), STEPS)
def test_what_a_batch_writes_of_claims_leads_to_what_it_decided(stored, steps):
    """Applied as the database does it."""
    known = {("t", hash_): holder for hash_, holder in stored.items()}
    claims = Claims(stored=dict(known))
    for what, hash_, id_ in steps:
        match what:
            case "claim":
                claims.claim("t", hash_, id_, strict=claims.holder("t", hash_) is None)
            case "release":
                claims.release("t", hash_, id_)
            case "drop":
                claims.drop("t", id_)
    changes = claims.changes()
    moved = {change.memory_hash for change in changes if change.kind == "move"}
    after = dict(known)
    for change in changes:
        key = (change.tenant, change.memory_hash)
        match change.kind:
            case "insert":
                assert key not in known
                after[key] = change.memory_id
            case "offer":
                after.setdefault(key, change.memory_id)
            case "move":
                assert known[key] == change.held_by
                after[key] = change.memory_id
            case "delete" if known.get(key) == change.memory_id:
                del after[key]
            case "drop":
                after = {k: holder for k, holder in after.items() if k not in known or holder != change.memory_id or k[1] in moved}
            case _:
                pass
    assert after == {key: holder for key in {*known, *claims.decided} if (holder := claims.holder(*key)) is not None}
