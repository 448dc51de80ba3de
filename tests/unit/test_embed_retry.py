"""Insisting, and knowing when to stop: back-off, the provider's hint, the breaker."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.errors import Unavailable
from agent_memory.runtime import telemetry
from agent_memory.runtime.breaker import Breaker
from agent_memory.runtime.llm_retry import Patience, Persistence, ProviderRefused, Transient, hinted_wait

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """Time that moves when told, or slept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def answers(*outcomes: str | Exception) -> Callable[[], Awaitable[str]]:
    """An attempt that gives these outcomes in turn, and the last one ever after."""
    left = list(outcomes)

    async def attempt() -> str:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return attempt


def persistence(clock: Clock, *, attempts: int = 4, failures: int = 100) -> Persistence:
    breaker = Breaker("model", failures=failures, cool_down=10.0, clock=clock)
    return Persistence("model", patience=Patience(attempts=attempts), breaker=breaker, sleep=clock.sleep, dice=lambda: 1.0)


async def test_waits_double_until_an_attempt_is_answered() -> None:
    clock = Clock()
    assert await persistence(clock).call(answers(Transient("a"), Transient("b"), Transient("c"), "yes")) == "yes"
    assert clock.slept == [0.25, 0.5, 1.0]


async def test_after_the_last_attempt_the_provider_is_unavailable() -> None:
    clock = Clock()
    with pytest.raises(Unavailable, match=r"model: busy \(tried 3 times\)"):
        await persistence(clock, attempts=3).call(answers(Transient("busy")))


async def test_the_provider_s_own_waiting_time_is_kept() -> None:
    clock = Clock()
    assert await persistence(clock).call(answers(Transient("slow down", hint=7.0), "yes")) == "yes"
    assert clock.slept == [7.0]


async def test_a_provider_that_asks_for_an_hour_is_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(Unavailable):
        await persistence(clock).call(answers(Transient("quota", hint=3600.0), "yes"))
    assert clock.slept == []


async def test_a_refusal_is_not_repeated() -> None:
    clock = Clock()
    with pytest.raises(ProviderRefused):
        await persistence(clock).call(answers(ProviderRefused("no", status=400), "yes"))
    assert clock.slept == []


async def test_an_open_breaker_answers_at_once_and_one_probe_closes_it() -> None:
    clock = Clock()
    calls = persistence(clock, attempts=1, failures=2)
    for _ in range(2):
        with pytest.raises(Unavailable, match="down"):
            await calls.call(answers(Transient("down")))
    with pytest.raises(Unavailable, match=r"failed 2 times in a row; it is tried again in 10\.0 s"):
        await calls.call(answers("never asked"))
    clock.now += 10.0
    assert await calls.call(answers("back")) == "back"
    assert await calls.call(answers("still")) == "still"


def test_while_a_probe_is_out_others_are_refused_until_it_reports() -> None:
    clock = Clock()
    breaker = Breaker("model", failures=1, cool_down=10.0, clock=clock)
    breaker.failed()
    clock.now += 10.0
    breaker.admit()
    with pytest.raises(Unavailable, match="being tried again now"):
        breaker.admit()
    breaker.released()
    breaker.admit()
    breaker.failed()
    with pytest.raises(Unavailable, match=r"in 10\.0 s"):
        breaker.admit()


def test_operators_see_the_worst_of_a_provider_while_somebody_asks_it() -> None:
    def shown() -> float | None:
        return telemetry.REGISTRY.get_sample_value("agent_memory_breaker_state", {"provider": "seen"})

    clock = Clock()
    one, other = (Breaker("seen", failures=1, cool_down=10.0, clock=clock) for _ in range(2))
    assert shown() == 0
    one.failed()
    other.succeeded()
    assert shown() == 2
    clock.now += 30.0
    one.admit()
    assert shown() == 2  # its attempt may take long
    clock.now += 31.0
    assert shown() == 1  # nobody has heard anything since
    one.succeeded()
    assert shown() == 0


def test_a_breaker_counts_only_failures_in_a_row() -> None:
    breaker = Breaker("model", failures=2)
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
        breaker.admit()
    breaker.failed()
    breaker.failed()
    with pytest.raises(Unavailable):
        breaker.admit()


@given(st.text(max_size=40) | st.none())
def test_any_hint_is_a_waiting_time_or_nothing(header: str | None) -> None:
    wait = hinted_wait(header)
    assert wait is None or 0 <= wait < float("inf")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0), ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0)]
    + [(unusable, None) for unusable in ("", "soon", "nan", "inf", "Sun, 01 Mar")],
)
def test_hints_in_seconds_and_as_a_date(header: str, seconds: float | None) -> None:
    assert hinted_wait(header, NOON) == seconds
