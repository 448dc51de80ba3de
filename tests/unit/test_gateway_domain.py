"""What the gateway works out without asking anybody."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.auth.principal import Principal
from agent_memory.contracts.errors import Forbidden
from agent_memory.contracts.records import Scope
from agent_memory.gateway.domain import first_that_fits, percentages, token_limit
from agent_memory.gateway.ids import Ids, derived
from agent_memory.gateway.settings import check_open, is_loopback, open_allowed
from agent_memory.gateway.tokens import Cl100k
from agent_memory.runtime.settings import Settings, SettingsError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_callers_window_counts_more_than_its_model() -> None:
    assert token_limit("gpt-4", 500) == 500
    assert token_limit("gpt-4", None) == 8_192
    assert token_limit(None, None) == 16_000


def test_percentages_end_at_a_hundred_and_survive_a_window_of_one() -> None:
    assert percentages(48, 16_000, 0.7) == (0.3, 48 / 11_200 * 100)
    assert percentages(5, 1, 0.7) == (100.0, 100.0)
    assert percentages(0, 0, 0.7) == (0.0, 0.0)
    assert percentages(5, -3, 0.7) == (100.0, 100.0)


@given(st.lists(st.integers(0, 1_000)), st.integers(-10, 5_000))
def test_the_newest_messages_that_fit_are_kept_and_always_one(tokens: list[int], limit: int) -> None:
    first = first_that_fits(tokens, limit)
    kept = tokens[first:]
    assert len(kept) >= min(1, len(tokens))
    assert sum(kept) <= limit or len(kept) <= 1
    assert first == 0 or sum(tokens[first - 1 :]) > limit


async def test_tokens_are_counted_without_a_network() -> None:
    assert await Cl100k().count(["user: Hello", "", "<|endoftext|>", "user: " + "word " * 1_000]) == [3, 0, 7, 1_003]


def test_ids_of_one_process_grow_even_when_the_clock_steps_back() -> None:
    times = iter([1_000] * 2_000 + [999] * 2_000 + [1_001] * 10)
    new_id = Ids(lambda: next(times))
    made = [new_id() for _ in range(4_010)]
    assert made == sorted(set(made))
    assert {len(id_) for id_ in made} == {26}


def test_ids_go_on_growing_when_a_millisecond_has_more_than_a_million() -> None:
    new_id = Ids(lambda: 5)
    first = new_id()
    new_id._count = (1 << 20) - 1
    assert first < new_id() < new_id() < new_id()


def test_derived_ids_are_the_same_again_and_sort_by_index() -> None:
    scope = Scope(namespace="n")
    made = [derived(scope, "key", index) for index in range(1_000)]
    assert made == sorted(set(made)) == [derived(scope, "key", index) for index in range(1_000)]
    assert derived(Scope(), "key", 0) != made[0] != derived(scope, "kez", 0)


def test_a_bound_credential_reaches_nothing_else() -> None:
    principal = Principal(tenant="t", namespaces=("n",), user_id="u")
    assert principal.scope(None, "") == principal.scope("n", "u") == Scope(tenant="t", namespace="n", user_id="u")
    for namespace, user_id in (("m", None), (None, "v")):
        with pytest.raises(Forbidden):
            principal.scope(namespace, user_id)


def test_a_server_without_authentication_stays_on_this_machine() -> None:
    assert is_loopback("127.0.0.2")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    check_open(Settings(host="0.0.0.0"), allowed=open_allowed({"ALLOW_OPEN": "true"}))
    for host in ("0.0.0.0", "::", "", "example.org", "192.168.1.1"):
        with pytest.raises(SettingsError, match="HOST="):
            check_open(Settings(host=host), allowed=open_allowed({}))
