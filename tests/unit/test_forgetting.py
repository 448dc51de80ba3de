"""Which memories a policy lets go, against the rule in plain words."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.records import MemoryRecord
from agent_memory.readmodels.forgetting import ForgetPolicy, forgettable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ["episodic", "semantic", "message"]


def memory(id_: str, *, age: float = 0, inactive: float = 0, **fields: object) -> MemoryRecord:
    return MemoryRecord(
        id=id_,
        text=id_,
        created_at=NOW - timedelta(days=age),
        updated_at=NOW,
        last_accessed=NOW - timedelta(days=inactive),
        **fields,  # type: ignore[arg-type]
    )


def test_old_and_unused_memories_go_and_pinned_ones_stay() -> None:
    memories = [
        memory("fresh"),
        memory("old", age=40, inactive=20),
        memory("old but used", age=40),
        memory("ancient but used", age=400),
        memory("pinned", age=4_000, inactive=4_000, pinned=True),
        memory("named", age=4_000, inactive=4_000),
    ]
    policy = ForgetPolicy(max_age_days=30, max_inactive_days=10)
    assert forgettable(memories, policy, {"named"}, NOW) == ["old", "ancient but used"]
    assert forgettable(memories, ForgetPolicy(max_inactive_days=10), {"named"}, NOW) == ["old"]
    assert forgettable(memories, ForgetPolicy(), (), NOW) == []


def test_a_budget_keeps_the_most_recent_of_what_no_age_rule_hits() -> None:
    memories = [memory("a", age=1, inactive=1), memory("b", age=9, inactive=9), memory("c"), memory("d", memory_type="episodic")]
    assert forgettable(memories, ForgetPolicy(budget=1, memory_type_allowlist=["message"]), (), NOW) == ["a", "b"]


def test_a_budget_is_for_each_owner_so_nobody_pushes_out_what_is_somebody_elses() -> None:
    flood = [memory(f"f{number}", user_id="loud") for number in range(5)]
    quiet = [memory("q", age=90, inactive=90, user_id="quiet"), memory("n", age=90, inactive=90, namespace="n", user_id="loud")]
    assert forgettable([*quiet, *flood], ForgetPolicy(budget=2), (), NOW) == ["f2", "f3", "f4"]


def test_when_not_all_may_go_those_that_were_of_use_the_longest_ago_do() -> None:
    memories = [memory("newer", age=40, inactive=1), memory("oldest", age=90, inactive=80), memory("older", age=60, inactive=40)]
    policy = ForgetPolicy(max_age_days=30)
    assert forgettable(memories, policy, (), NOW, most=2) == ["oldest", "older"]
    assert forgettable(memories, policy, (), NOW, most=3) == ["newer", "oldest", "older"]
    assert forgettable(memories, policy, (), NOW, most=0) == []


def test_a_policy_without_a_rule_forgets_nothing() -> None:
    assert not ForgetPolicy().forgets
    assert not ForgetPolicy(memory_type_allowlist=["message"]).forgets
    assert ForgetPolicy(budget=0).forgets


days = st.sampled_from([0.0, 1.0, 5.0, 30.0, 31.0, 400.0])
memories_of_all_kinds = st.lists(
    st.tuples(days, days, st.booleans(), st.sampled_from(TYPES), st.sampled_from(["", "u", "v"])), max_size=12
).map(
    lambda given: [
        memory(f"m{at}", age=age, inactive=inactive, pinned=pinned, memory_type=kind, user_id=user or None)
        for at, (age, inactive, pinned, kind, user) in enumerate(given)
    ]
)
policies = st.builds(
    ForgetPolicy,
    max_age_days=st.none() | days,
    max_inactive_days=st.none() | days,
    budget=st.none() | st.integers(0, 4),
    memory_type_allowlist=st.none() | st.lists(st.sampled_from(TYPES)),
    hard_age_multiplier=st.sampled_from([0.0, 1.0, 12.0]),
)


def plainly(records: list[MemoryRecord], policy: ForgetPolicy, named: set[str]) -> set[str]:
    """The contract's words, one after the other."""
    gone: set[str] = set()
    left: dict[str, list[tuple[float, str]]] = {}
    for record in records:
        if record.pinned or record.id in named:
            continue
        if policy.memory_type_allowlist is not None and record.memory_type not in policy.memory_type_allowlist:
            continue
        age = (NOW - record.created_at).total_seconds() / 86_400
        inactive = (NOW - record.last_accessed).total_seconds() / 86_400
        if policy.max_age_days is not None and policy.max_inactive_days is not None:
            too_old = age > policy.max_age_days * policy.hard_age_multiplier
            too_old = too_old or (age > policy.max_age_days and inactive > policy.max_inactive_days)
        elif policy.max_age_days is not None:
            too_old = age > policy.max_age_days
        else:
            too_old = policy.max_inactive_days is not None and inactive > policy.max_inactive_days
        if too_old:
            gone.add(record.id)
        else:
            score = min(1.0, 0.6 * 0.5 ** (inactive / 7) + 0.4 * 0.5 ** (age / 30))
            left.setdefault(record.user_id or "", []).append((-score, record.id))
    if policy.budget is not None:
        for staying in left.values():
            gone |= {id_ for _, id_ in sorted(staying)[policy.budget :]}
    return gone


@given(memories_of_all_kinds, policies, st.sets(st.sampled_from(["m0", "m1", "m2"])))
def test_the_policy_is_what_the_contract_says(records: list[MemoryRecord], policy: ForgetPolicy, named: set[str]) -> None:
    ids = forgettable(records, policy, named, NOW)
    assert set(ids) == plainly(records, policy, named)
    assert [record.id for record in records if record.id in set(ids)] == ids
    assert not {record.id for record in records if record.pinned} & set(ids)
    assert policy.forgets or not ids


@given(memories_of_all_kinds, policies, st.integers(0, 5))
def test_a_limit_leaves_a_part_of_the_same(records: list[MemoryRecord], policy: ForgetPolicy, most: int) -> None:
    every = forgettable(records, policy, (), NOW)
    some = forgettable(records, policy, (), NOW, most=most)
    assert set(some) <= set(every)
    assert len(some) == min(most, len(every))
