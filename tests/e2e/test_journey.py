"""What a user does and what a bad day brings, through two gateways, three indexers, and servers that are stopped and started."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from redis import Redis

from agent_memory.embedded.home import held, open_home
from agent_memory.embedded.ports import free_port
from agent_memory.embedded.postgres import postgres_is_ready, postgres_launch, prepare_postgres
from agent_memory.embedded.processes import Launch, spawn, stop, until
from agent_memory.embedded.redis import prepare_redis, redis_is_ready, redis_launch
from agent_memory.embedded.supervisor import Stack
from support.collector import Collector, collecting
from support.controls import wait_until_now
from support.forks import fork
from support.servers import stack_environment, temporary_home


class Server:
    """A server that a test may stop and start."""

    def __init__(self, launch: Launch, is_ready: Callable[[], bool]) -> None:
        self.launch, self.is_ready = launch, is_ready
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = spawn(self.launch)
        assert until(self.is_ready, timeout_seconds=30), f"see {self.launch.log}"

    def stop(self) -> None:
        if self.process is not None:
            stop([(self.process, self.launch)])
            self.process = None


class System:
    def __init__(self, stack: Stack, postgres: Server, redis: Server, collector: Collector, database_url: str) -> None:
        self.stack, self.postgres, self.redis, self.collector = stack, postgres, redis, collector
        self.database_url = database_url
        self.one, self.two = (httpx.Client(base_url=url, timeout=30) for url in stack.http_urls)

    def caught_up(self) -> None:
        def done() -> bool:
            return all(projection["lag"] == 0 for projection in self.one.get("/v1/status").json()["projections"])

        wait_until_now(done, "every view caught up", timeout=60)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with temporary_home() as servers, temporary_home() as path, collecting() as collector:
        home = open_home(Path(servers))
        with held(home):
            place, cache = prepare_postgres(home, free_port()), prepare_redis(home, free_port())
            postgres = Server(postgres_launch(place, os.environ), lambda: postgres_is_ready(place))
            redis = Server(redis_launch(cache, os.environ), lambda: redis_is_ready(cache))
            try:
                postgres.start()
                redis.start()
                with psycopg.connect(place.admin_url, autocommit=True) as admin:
                    admin.execute("CREATE DATABASE journey")
                url = place.admin_url.rsplit("/", 1)[0] + "/journey"
                environment = stack_environment(
                    EMBEDDING_MODEL="hash",
                    DATABASE_URL=url,
                    REDIS_URL=cache.url,
                    OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
                    OTEL_BSP_SCHEDULE_DELAY="200",
                )
                with Stack(path, environment=environment, replicas={"gateway": 2, "indexer": 3}, spawn=fork) as stack:
                    system = System(stack, postgres, redis, collector, url)
                    yield system
                    system.one.close()
                    system.two.close()
            finally:
                redis.stop()
                postgres.stop()


def event(id_: str, text: str, session: str = "s1", **more: object) -> dict[str, object]:
    return {"event_id": id_, "session_id": session, "text": text, "role": "user", **more}


def test_what_is_said_is_in_working_memory_and_found_three_ways_through_either_gateway(system: System) -> None:
    written = system.one.post(
        "/v1/events", json={"events": [event("e1", "we deploy on thursdays"), event("e2", "the cat is Otto")]}
    )
    assert written.json()["created"] == 2
    shown = system.two.get("/v1/working-memory/s1").json()
    assert [message["content"] for message in shown["messages"]] == ["we deploy on thursdays", "the cat is Otto"]
    for mode in ("semantic", "keyword", "hybrid"):
        query = {"text": "we deploy on thursdays", "mode": mode}
        where = {"min_position": written.headers["x-memory-position"]}
        answers = [gateway.post("/v1/timeline/search", json=query, params=where).json() for gateway in (system.one, system.two)]
        assert answers[0] == answers[1]
        assert answers[0]["events"][0]["event_id"] == "e1"


def test_a_memory_can_be_searched_as_soon_as_its_position_is_waited_for(system: System) -> None:
    record = {"id": "m1", "text": "Ana is allergic to hazelnuts", "topics": ["health"], "extracted_from": ["e1"]}
    written = system.one.post("/v1/long-term-memory/", json={"memories": [record]})
    found = system.two.post(
        "/v1/long-term-memory/search",
        json={"text": "hazelnuts", "search_mode": "keyword", "topics": {"any": ["health"]}},
        params={"min_position": written.headers["x-memory-position"]},
    ).json()
    assert (found["total"], found["memories"][0]["id"], found["memories"][0]["extracted_from"]) == (1, "m1", ["e1"])
    changed = system.two.patch("/v1/long-term-memory/m1", json={"text": "Ana is allergic to walnuts"})
    assert changed.json()["text"] == "Ana is allergic to walnuts"
    assert system.one.get("/v1/long-term-memory/m1").json()["text"] == "Ana is allergic to walnuts"
    gone = system.one.delete("/v1/long-term-memory", params={"memory_ids": ["m1", "nothing"]})
    assert gone.json() == {"status": "ok, deleted 1 memories"}
    assert system.two.get("/v1/long-term-memory/m1").status_code == 404


def test_an_idempotency_key_means_one_effect_through_either_gateway(system: System) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"messages": [{"role": "user", "content": "only once"}]}
    first = system.one.post("/v1/working-memory/idem/messages", json=body, headers=headers)
    again = system.two.post("/v1/working-memory/idem/messages", json=body, headers=headers)
    assert first.json() == again.json()
    assert len(system.one.get("/v1/working-memory/idem").json()["messages"]) == 1
    other = system.two.post(
        "/v1/working-memory/idem/messages", json={"messages": [{"role": "user", "content": "x"}]}, headers=headers
    )
    assert other.status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b'{"session_id": 5}', 422),
        (b'{"session_id": "", "text": "x"}', 422),
        (b'{"session_id": "s", "text": "nul \\u0000"}', 422),
        (b'{"session_id": "s", "text": "lone \\ud800"}', 422),
        (b'{"session_id": "s", "text": "x", "timestamp_ms": 9223372036854775807}', 422),
        (b'{"session_id": "s", "text": "' + b"x" * 10_500_000 + b'"}', 413),
    ],
    ids=["malformed", "wrong type", "empty id", "nul", "surrogate", "beyond time", "too large"],
)
def test_bad_input_is_refused_and_nothing_is_stored(system: System, body: bytes, status: int) -> None:
    before = events_with_text(system)
    answer = system.one.post("/v1/events", content=body)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert events_with_text(system) == before


def events_with_text(system: System) -> int:
    with psycopg.connect(system.database_url) as database:
        row = database.execute("SELECT count(*) FROM events WHERE event_id IS NOT NULL").fetchone()
    assert row is not None
    return int(row[0])


def test_a_trace_goes_from_the_request_to_the_index_write(system: System) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    system.one.post(
        "/v1/events",
        json=event("traced", "follow me", session="traced"),
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
    )
    wanted = {
        ("agent-memory-gateway", "http.request"),
        ("agent-memory-ingest", "log.append"),
        ("agent-memory-indexer", "projection.apply"),
    }
    wait_until_now(lambda: system.collector.of(trace) >= wanted, "spans of gateway, ingest and indexer in one trace", timeout=30)


def test_traces_say_what_was_done_to_a_memory_in_the_words_of_the_conventions_and_nothing_of_what_was_said(system: System) -> None:
    def traced(number: int) -> tuple[str, dict[str, str]]:
        trace = f"{number:032x}"
        return trace, {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}

    def said(trace: str, operation: str) -> dict[str, str | int]:
        wait_until_now(lambda: system.collector.said(trace, operation), f"the span of {operation}", timeout=30)
        (found,) = system.collector.said(trace, operation)
        assert found.pop("gen_ai.operation.name") == operation
        assert (found.pop("gen_ai.provider.name"), found.pop("gen_ai.memory.store.id")) == ("agent_memory", "default")
        assert "pistachio" not in str(found)
        return found

    count, record, session = "gen_ai.memory.record.count", "gen_ai.memory.record.id", "gen_ai.conversation.id"
    created, headers = traced(1)
    body = {"events": [event("p1", "a pistachio", session="nuts"), event("p2", "two pistachios", session="nuts")]}
    system.one.post("/v1/events", json=body, headers=headers)
    assert said(created, "create_memory") == {count: 2, session: "nuts"}
    stored, headers = traced(2)
    memory = {"id": "nuts", "text": "likes pistachio ice"}
    position = system.one.post("/v1/long-term-memory/", json={"memories": [memory]}, headers=headers).headers["x-memory-position"]
    assert said(stored, "upsert_memory") == {count: 1, record: "nuts"}
    wanted = {("agent-memory-ingest", "log.append"), ("agent-memory-indexer", "projection.apply")}
    wait_until_now(lambda: system.collector.of(stored) >= wanted, "the same trace on the other side of the bus", timeout=30)
    searched, headers = traced(3)
    query, params = {"text": "pistachio", "search_mode": "keyword"}, {"min_position": position}
    system.one.post("/v1/long-term-memory/search", json=query, params=params, headers=headers)
    assert said(searched, "search_memory") == {count: 1, "mode": "keyword"}
    changed, headers = traced(4)
    system.one.patch("/v1/long-term-memory/nuts", json={"text": "no pistachio any more"}, headers=headers)
    assert said(changed, "update_memory") == {count: 1, record: "nuts"}
    deleted, headers = traced(5)
    system.one.delete("/v1/long-term-memory", params={"memory_ids": ["nuts"]}, headers=headers)
    assert said(deleted, "delete_memory") == {count: 1, record: "nuts"}
    refused, headers = traced(6)
    assert system.one.patch("/v1/long-term-memory/nuts", json={"text": "pistachio"}, headers=headers).status_code == 404
    assert said(refused, "update_memory")["error.type"] == "NotFound"


def test_without_postgres_writes_are_503_at_once_and_everything_goes_on_when_it_is_back(system: System) -> None:
    system.one.post("/v1/events", json=event("before", "said before", session="outage"))
    system.postgres.stop()
    try:
        answer = system.one.post(
            "/v1/events", json=event("during", "said during", session="outage"), headers={"Idempotency-Key": "during"}
        )
        assert answer.status_code == 503
        assert answer.json()["command_id"]
        assert system.two.get("/v1/working-memory/outage").status_code == 200
        ready = system.one.get("/ready")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert ready.json()["parts"]["postgres"] != "ok"
    finally:
        system.postgres.start()

    def accepted() -> bool:
        answer = system.two.post(
            "/v1/events", json=event("during", "said during", session="outage"), headers={"Idempotency-Key": "during"}
        )
        return answer.status_code == 200

    wait_until_now(accepted, "the write is accepted", timeout=30)
    wait_until_now(lambda: system.one.get("/ready").status_code == 200, "ready again", timeout=30)
    shown = system.one.get("/v1/working-memory/outage").json()
    assert [message["content"] for message in shown["messages"]] == ["said before", "said during"]
    system.caught_up()


def test_a_redis_that_restarts_costs_503s_and_nothing_else(system: System) -> None:
    system.one.post("/v1/events", json=event("r1", "before the restart", session="restart"))
    pids = system.stack.pids()
    system.redis.stop()
    try:
        assert system.one.post("/v1/events", json=event("r2", "lost?", session="restart")).status_code == 503
        assert system.one.get("/v1/working-memory/restart").status_code == 503
    finally:
        system.redis.start()

    def accepted() -> bool:
        return system.one.post("/v1/events", json=event("r2", "not lost", session="restart")).status_code == 200

    wait_until_now(accepted, "the write is accepted", timeout=30)
    system.caught_up()
    assert system.two.get("/v1/working-memory/restart").json()["messages"][0]["content"] == "before the restart"
    assert system.stack.pids() == pids, "no service had to be started again"


def test_a_flushed_redis_fills_up_again_by_itself(system: System) -> None:
    system.one.post("/v1/events", json=event("f1", "remember the flush", session="flush"))
    system.caught_up()
    before = system.one.get("/v1/working-memory/flush").json()
    with psycopg.connect(system.database_url) as database:
        head = database.execute("SELECT position FROM log_head").fetchone()
    redis_command(system, "FLUSHALL")
    assert system.two.get("/v1/working-memory/flush").json() == before

    def found() -> bool:
        answer = system.one.post("/v1/timeline/search", json={"text": "remember the flush", "mode": "keyword"})
        return answer.status_code == 200 and answer.json()["total"] > 0

    wait_until_now(found, f"search has filled up to {head}", timeout=60)


def redis_command(system: System, name: str) -> None:
    with Redis.from_url(system.stack.redis_url) as redis:
        redis.execute_command(name)


def test_metrics_name_what_was_accepted(system: System) -> None:
    system.one.post("/v1/events", json={"session_id": "counted", "text": "hello"}).raise_for_status()
    text = system.one.get("/metrics").text
    assert "agent_memory_http_requests_total" in text
    assert "agent_memory_command_seconds_bucket" in text
