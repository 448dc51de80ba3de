"""The account itself: it sees what it is there to see."""

import random

import pytest

from chaos.account import Account
from chaos.ledger import Ledger, MemoryState, SessionState
from chaos.rounds import FLUSH, planned
from chaos.writers import SHARED, TWICE, memory_differs, session_differs

OWNER = ("n", "u")
PARTS = ["postgres", "redis", "ingest", "ingest-2", "indexer", "gateway", "rollup"]
SHOWN: dict[str, object] = {"messages": [{"id": "a", "content": "1"}, {"id": "b", "content": "2"}], "data": {"k": 1}}


def session(*messages: tuple[str, str], session_id: str = "s", alive: bool = True) -> SessionState:
    return SessionState(OWNER, session_id, messages=list(messages), data={"k": 1}, alive=alive)


def test_a_session_that_reads_as_acknowledged_does_not_differ() -> None:
    assert session_differs(session(("a", "1"), ("b", "2")), 200, SHOWN) == []
    assert session_differs(session(alive=False), 404, {}) == []


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (session(("a", "1"), ("b", "2"), ("c", "3")), 200),
        (session(("a", "1")), 200),
        (session(("b", "2"), ("a", "1")), 200),
        (session(("a", "1"), ("b", "old")), 200),
        (session(("a", "1"), ("b", "2")), 404),
        (session(alive=False), 200),
    ],
)
def test_lost_added_swapped_older_absent_and_undead_sessions_differ(state: SessionState, status: int) -> None:
    assert session_differs(state, status, SHOWN)


@pytest.mark.parametrize("session_id", [SHARED, f"w1{TWICE}"])
def test_where_several_write_at_a_time_the_order_is_free_but_nothing_may_lack(session_id: str) -> None:
    assert session_differs(session(("b", "2"), ("a", "1"), session_id=session_id), 200, SHOWN) == []
    assert session_differs(session(("b", "2"), ("a", "1"), ("c", "3"), session_id=session_id), 200, SHOWN)


def test_a_memory_that_is_older_absent_or_undead_differs() -> None:
    now: dict[str, object] = {"text": "tea", "topics": ["x", "y"]}
    assert memory_differs(MemoryState(OWNER, "m", text="tea", topics=["y", "x"]), 200, now) == []
    assert memory_differs(MemoryState(OWNER, "m", text="coffee", topics=["y", "x"]), 200, now)
    assert memory_differs(MemoryState(OWNER, "m", text="tea", topics=[]), 404, {})
    assert memory_differs(MemoryState(OWNER, "m"), 200, now)


def test_a_position_that_goes_back_is_broken() -> None:
    ledger, place = Ledger(), session()
    ledger.acknowledged("documents replaced", place, 7)
    ledger.acknowledged("documents replaced", place, 6)
    assert len(ledger.wrong) == 1


def test_every_part_is_killed_and_redis_is_flushed_twice() -> None:
    for seed in range(20):
        plan = planned(PARTS, 20, random.Random(seed))
        blows = [blow for round_ in plan for blow in round_]
        assert len(plan) == 20
        assert set(blows) == {*PARTS, FLUSH}
        assert blows.count(FLUSH) == 2


@pytest.mark.parametrize("what", ["lost", "duplicates", "stale", "other"])
def test_one_broken_promise_is_enough(what: str) -> None:
    account = Account()
    assert account.ok
    getattr(account, what).append("something")
    assert not account.ok


def test_views_that_come_back_differently_are_a_broken_promise() -> None:
    assert not Account(live={"contents": "1"}, rebuilt={"contents": "2"}).ok
    assert not Account(lagging=True).ok
    assert not Account(dead_letters=1).ok
