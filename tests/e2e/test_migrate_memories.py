"""`agent-memory migrate-memories`: from the Redis of an older server into a system that runs."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from redis import Redis

from agent_memory.embedded.supervisor import Stack
from support import old_server
from support.controls import wait_until_now
from support.more_redis import one_more_redis
from support.old_server import NOON, document, memory, message, put_memory, put_session
from support.servers import Servers
from support.stacks import running_stack
from support.typed import Typed

ANNA = {"namespace": "work", "user_id": "anna"}
BEN = {"namespace": "work", "user_id": "ben"}


class End:
    """A stack, and what it shows."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.http_urls[0]
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def caught_up(self) -> None:
        def done() -> bool:
            return all(one["lag"] == 0 for one in self.http.get("/v1/status").json()["projections"])

        wait_until_now(done, "every view caught up", timeout=60)

    def session(self, session_id: str, **scope: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/working-memory/{session_id}", params=scope)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def memory(self, memory_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/v1/long-term-memory/{memory_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def end(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[End]:
    with running_stack(servers) as stack:
        end = End(stack)
        monkeypatch.setenv("DATABASE_URL", stack.database_url)
        monkeypatch.setenv("REDIS_URL", stack.redis_url)
        yield end
        end.http.close()


@pytest.fixture
def old() -> Iterator[Redis]:
    with one_more_redis() as server, Redis.from_url(server.url, protocol=2) as redis:
        old_server.filled(redis)
        yield redis


def address(redis: Redis) -> str:
    about = redis.connection_pool.connection_kwargs
    return f"redis://{about.get('username') or ''}:{about['password']}@{about['host']}:{about['port']}/0"


def dump(redis: Redis) -> dict[bytes, object]:
    return {key: redis.dump(key) for key in redis.scan_iter()}


def test_everything_of_an_older_server_is_brought_here_once(end: End, old: Redis, typed: Typed) -> None:
    before = dump(old)
    command = ("--from", address(old), "--url", end.url)
    told = typed("migrate-memories", *command, "--dry-run", "--json")
    assert told.err == ""
    would = told.json
    assert (would["imported"]["restored"]["dry_run"], would["sessions"], would["memories"]) == (True, 5, 3)
    assert end.http.get("/v1/working-memory").json()["sessions"] == []

    told = typed("migrate_memories", *command)
    assert told.code == 4, told.err
    lines = told.out.splitlines()
    assert (lines[0], lines[1]) == ("Starting memory migrations...", "found 5 sessions with 7 messages, and 3 memories")
    assert lines[2] == "3 could not be read:"
    assert [line.split(": ")[0].strip() for line in lines[3:6]] == [
        "working_memory:broken",
        "working_memory:list",
        "memory_idx:m-4",
    ]
    assert lines[-1] == "Memory migrations completed successfully."
    end.caught_up()

    talk = end.session("talk", **ANNA)
    assert [(one["id"], one["role"], one["content"], one["created_at"]) for one in talk["messages"]] == [
        ("a", "user", "hello", "2026-01-30T12:00:00.000005Z"),
        ("b", "assistant", "héllo 🎉", "2026-01-30T12:01:00.000005Z"),
        ("c", "tool", "42", "2026-01-30T12:02:00.000005Z"),
    ]
    assert [one["discrete_memory_extracted"] for one in talk["messages"]] == ["t", "f", "f"]
    assert (talk["context"], talk["tokens"], talk["data"]) == ("they talked about tea", 12, {"nested": {"n": [1, 2.5, None]}})
    assert talk["long_term_memory_strategy"] == {"strategy": "summary", "config": {"max_summary_length": 100}}
    assert [talk[name] for name in ("created_at", "updated_at", "last_accessed")] == [
        "2026-01-30T12:00:00Z",
        "2026-01-30T12:01:00Z",
        "2026-01-30T12:00:30Z",
    ]
    assert [(one["id"], one["text"]) for one in talk["memories"]] == [("m-1", "likes tea")]
    assert end.session("talk", namespace="work", user_id="ben")["messages"][0]["content"] == "another"
    assert end.session("more", **ANNA)["messages"][0]["id"] == "a"
    assert end.session("a:b/c")["messages"][0]["content"] == "of nobody"
    assert end.session("short")["ttl_seconds"] == 3_600

    likes = end.memory("m-1")
    assert {name: likes[name] for name in ("text", "topics", "entities", "pinned", "access_count", "session_id", *ANNA)} == {
        **{"text": "likes tea", "topics": ["tea", "drinks"], "entities": ["Anna"], "pinned": True, "access_count": 7},
        **{"session_id": "talk", **ANNA},
    }
    assert [likes[name] for name in ("created_at", "last_accessed", "updated_at")] == [
        "2026-01-30T12:00:00.123456Z",
        "2026-01-30T12:00:01.500000Z",
        "2026-01-30T12:00:02.250000Z",
    ]
    went = end.memory("m-2")
    assert (went["memory_type"], went["event_date"], went["extracted_from"]) == ("episodic", "2026-01-30T12:00:00Z", ["a", "b"])
    assert end.memory("m-3")["topics"] == ["x", "y"]
    found = end.http.post("/v1/long-term-memory/search", json={"text": "tea", "namespace": {"eq": "work"}}).json()["memories"]
    assert [one["id"] for one in found] == ["m-1"]
    same = {"id": "again", "text": "likes tea", "memory_type": "semantic", **ANNA, "session_id": "talk"}
    assert end.http.post("/v1/long-term-memory/", json={"memories": [same]}).status_code == 200
    assert end.http.get("/v1/long-term-memory/again").status_code == 404, "what it says is known as m-1"
    assert dump(old) == before, "nothing was written there"

    again = typed("migrate-memories", *command, "--json").json["imported"]["restored"]
    assert (again["created"], again["kept"]) == (0, 0)
    assert typed("doctor", "--wait", "30").code == 0


def test_what_came_since_is_added_and_what_was_changed_here_stays(end: End, old: Redis, typed: Typed) -> None:
    command = ("--from", address(old), "--url", end.url)
    typed("migrate-memories", *command)
    said = {"messages": [{"role": "user", "content": "said here", "id": "n"}], **BEN}
    assert end.http.put("/v1/working-memory/talk", json=said).status_code == 200
    put_session(old, document("late", messages=[message("l", "later", 9)]))
    put_session(old, document("talk", **BEN, messages=[message("o", "said there", 9)]))
    put_memory(old, memory("m-9", "a new one", created_at=NOON.timestamp()))
    done = typed("migrate-memories", *command, "--json").json["imported"]["restored"]
    assert (done["sessions"], done["memories"], done["left"]) == (1, 1, ["session/work/ben/talk"])
    assert [one["content"] for one in end.session("talk", **BEN)["messages"]] == ["said here"]
    assert end.session("late")["messages"][0]["content"] == "later"
    end.caught_up()
    assert typed("doctor", "--wait", "30").code == 0


def test_sessions_alone_can_be_brought_as_well(end: End, old: Redis, typed: Typed) -> None:
    command = ("migrate-working-memory", "--from", address(old), "--url", end.url, "--batch-size", "2")
    dry = typed(*command, "--dry-run").out
    assert "Scanning for working memory keys..." in dry
    assert "--dry-run specified, no changes made." in dry
    done = typed(*command).out
    assert "  Sessions (need migration): 5\n" in done
    assert "  Migrated: 5\n  Errors: 2\n" in done
    assert end.session("talk", **ANNA)["tokens"] == 12
    assert end.http.get("/v1/long-term-memory/m-1").status_code == 404


def test_without_an_old_server_there_is_nothing_to_do(typed: Typed) -> None:
    told = typed("migrate-memories")
    assert told.code == 0
    assert told.out.splitlines()[0] == "Starting memory migrations..."
    assert told.out.splitlines()[-1] == "Memory migrations completed successfully."
    told = typed("migrate_working_memory", "--dry-run")
    assert (told.code, "No keys need migration. All done!" in told.out) == (0, True)
    told = typed("migrate-memories", "--from", "redis://127.0.0.1:9/0", "--url", "http://127.0.0.1:9")
    assert (told.code, "does not answer" in told.err) == (3, True)
    told = typed("migrate-memories", "--from", "old:6379", "--url", "http://127.0.0.1:9")
    assert (told.code, told.err.splitlines()[1]) == (2, "  hint: --from redis://host:port/0")
    for command in ("migrate-memories", "migrate-working-memory"):
        told = typed(command, "--json")
        assert (told.code, told.json["sessions"], told.json["imported"]) == (0, 0, None)
