"""Commands of a caller that is bound to an owner change nothing of anybody else's, whatever ids they name."""

from datetime import UTC, datetime

import pytest

from agent_memory.contracts.commands import EditMemory, ForgetMemories, MergeMemories, StoreMemories, UnmergeMemory
from agent_memory.contracts.errors import NotFound
from agent_memory.contracts.events import MemoryEdited, MemoryForgotten, MemoryStored
from agent_memory.contracts.records import EPOCH, MemoryRecord, Reach
from agent_memory.contracts.streams import memory_stream
from support.spec import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANNA = Reach(user_id="anna")
BEN = Reach(user_id="ben")
TWO = Reach(namespaces=["work", "home"], user_id="anna")


def record(id_, text="likes tea", **fields):
    return MemoryRecord(id=id_, text=text, last_accessed=EPOCH, created_at=NOON, updated_at=NOON, **fields)


def store(*records, within=None):
    return StoreMemories(memories=list(records), within=within)


STORED = store(record("a", user_id="anna", namespace="work"))


@pytest.mark.parametrize("reach", [BEN, Reach(namespaces=["home"]), Reach(namespaces=["home"], user_id="anna")])
def test_a_memory_of_somebody_else_is_not_found_by_those_who_change_it(reach):
    spec = given(STORED)
    for command in (EditMemory(memory_id="a", text="hates tea", within=reach), UnmergeMemory(memory_id="a", within=reach)):
        with pytest.raises(NotFound, match="Memory with ID a not found"):
            spec.when(command)


@pytest.mark.parametrize("reach", [None, ANNA, TWO, Reach(namespaces=["work"])])
def test_a_memory_of_ones_own_is_changed_and_forgotten(reach):
    spec = given(STORED).when(EditMemory(memory_id="a", text="hates tea", within=reach)).then(MemoryEdited)
    spec.when(ForgetMemories(memory_ids=["a"], within=reach)).then(MemoryForgotten)


def test_forgetting_passes_over_what_is_somebody_elses():
    spec = given(STORED, store(record("b", user_id="ben")))
    spec.when(ForgetMemories(memory_ids=["a", "b", "c"], within=BEN)).then(MemoryForgotten)
    assert spec.reply.memory_ids == ["b"]


def test_a_new_memory_never_takes_the_place_of_somebody_elses():
    spec = given(STORED).when(store(record("a", user_id="ben"), within=BEN)).then(MemoryStored)
    (stored_id,) = spec.reply.memory_ids
    assert stored_id != "a"
    assert spec.facts.memories[memory_stream("default", "a")].record.user_id == "anna"
    assert spec.facts.memories[memory_stream("default", stored_id)].record.user_id == "ben"


def test_the_id_that_a_taken_one_gives_way_to_is_always_the_same():
    spec = given(STORED).when(store(record("a", user_id="ben"), within=BEN))
    (first,) = spec.reply.memory_ids
    spec.when(store(record("a", "likes milk", user_id="ben"), within=BEN)).then(MemoryStored)
    assert (spec.reply.memory_ids, spec.reply.outcomes) == ([first], ["replaced"])


def test_an_id_that_is_free_or_ones_own_is_kept():
    spec = given(STORED).when(store(record("a", "likes milk", user_id="anna", namespace="home"), record("n"), within=ANNA))
    assert spec.reply.memory_ids == ["a", "n"]


def test_a_merge_is_taken_back_by_its_owner_alone():
    merge = MergeMemories(record=record("a", "likes tea and milk", user_id="anna"), source_ids=["b"], versions={"a": 1, "b": 1})
    spec = given(store(record("a", user_id="anna"), record("b", "likes milk", user_id="anna")))
    spec.when(merge).then(MemoryEdited, MemoryForgotten)
    spec.facts.histories[memory_stream("default", "a")] = [emitted.event for emitted in spec.decision.events[:1]]
    with pytest.raises(NotFound):
        spec.when(UnmergeMemory(memory_id="a", within=BEN))
    spec.when(UnmergeMemory(memory_id="a", within=ANNA)).then(MemoryEdited, MemoryStored)
