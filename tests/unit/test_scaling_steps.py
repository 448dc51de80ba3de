"""What `scale-out` makes of what it saw in a step."""

import pytest

from scaling.steps import Look, Probe, Step, Write, figures, limit, service_of, spent_by_service


def look(at: float, cpu: dict[str, float], position: int = 0, indexed: int = 0, lag: int = 0, busy: float = 0.0) -> Look:
    return Look(at=at, cpu=cpu, busy=busy, lag={"memory-index": lag}, position=position, indexed={"memory-index": indexed})


def step(*looks: Look, began: float = 100.0, ended: float = 110.0) -> Step:
    return Step(replicas=2, began=began, ended=ended, looks=list(looks))


IDLE = {"ingest": 1.0}


def test_a_write_belongs_to_the_step_in_which_it_was_answered() -> None:
    writes = [Write(99.9, 0.5), Write(100.0, 0.1), Write(109.9, 0.3), Write(110.0, 0.5)]
    found = figures(step(look(100, IDLE), look(110, IDLE)), writes, [])
    assert (found.writes, found.writes_rate, found.write_ms["max"]) == (2, 0.2, 300)


def test_two_steps_count_each_write_once() -> None:
    writes = [Write(100 + number / 10, 0.1) for number in range(200)]
    looks = (look(100, IDLE), look(110, IDLE))
    both = [figures(step(*looks, began=began, ended=began + 10), writes, []).writes for began in (100.0, 110.0)]
    assert both == [100, 100]


def test_a_probe_counts_where_it_was_written_and_one_that_is_seen_later_or_never_with_the_time_that_it_had() -> None:
    probes = [Probe(101.0, 0.02), Probe(107.0, 30.0), Probe(109.5), Probe(111.0, 0.01)]
    found = figures(step(look(100, IDLE), look(110, IDLE)), [], probes)
    assert (found.probes, found.unseen, found.visible_ms["max"], found.visible_ms["p50"]) == (3, 2, 3_000, 500)


def test_rates_are_by_the_time_between_the_first_and_the_last_look() -> None:
    found = figures(step(look(100, IDLE, position=50, indexed=10), look(105, IDLE, position=550, indexed=60)), [], [])
    assert (found.positions_rate, found.indexed_rate) == (100.0, {"memory-index": 10.0})


def test_the_most_that_a_view_was_behind_is_kept() -> None:
    found = figures(step(look(100, IDLE, lag=3), look(105, IDLE, lag=70), look(110, IDLE, lag=5)), [], [])
    assert found.max_lag == {"memory-index": 70}


@pytest.mark.parametrize(
    ("process", "service"), [("indexer", "indexer"), ("indexer-12", "indexer"), ("(stub-model)", "(stub-model)")]
)
def test_replicas_are_one_service(process: str, service: str) -> None:
    assert service_of(process) == service


def test_processor_time_adds_up_over_replicas_and_one_that_went_takes_nothing_away() -> None:
    before = {"ingest": 1.0, "ingest-2": 5.0, "redis": 2.0}
    after = {"ingest": 2.0, "ingest-3": 0.5, "redis": 2.5}
    assert spent_by_service(before, after) == {"ingest": 1.5, "redis": 0.5}


def test_what_others_took_is_what_the_machine_spent_beyond_ours() -> None:
    found = figures(step(look(100, {"ingest": 1.0}, busy=7.0), look(110, {"ingest": 6.0}, busy=17.0)), [], [])
    assert (found.cpu, found.others) == ({"ingest": 0.5}, 0.5)


def test_what_limits_is_processors_then_a_view_that_waits_then_nothing() -> None:
    full = figures(step(look(100, IDLE), look(110, {"ingest": 20.5}, busy=19.5)), [], [])
    waiting = figures(step(look(100, IDLE), look(110, IDLE, position=1000, lag=900)), [], [])
    idle = figures(step(look(100, IDLE), look(110, IDLE, position=1000, lag=90)), [], [])
    assert [limit(found, 2).split(" ")[0] for found in (full, waiting, idle)] == ["processors:", "memory-index", "nothing:"]
