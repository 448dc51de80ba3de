"""A Redis as a Redis agent memory server leaves it, key by key: RedisJSON documents and strings, and hashes with vectors."""

import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis

NOON = datetime(2026, 1, 30, 12, 0, 0, tzinfo=UTC)
VECTOR = struct.pack("<4f", 0.25, -1.5, 3.0, float(2**-24))
"""No text in any encoding."""


def message(id_: str, content: str, minute: int, **more: object) -> dict[str, object]:
    """As a document holds it."""
    at = (NOON + timedelta(minutes=minute, microseconds=5)).isoformat()
    return {
        **{"role": "user", "content": content, "id": id_, "created_at": at},
        **{"persisted_at": None, "discrete_memory_extracted": "f"},
        **more,
    }


def document(session_id: str, **more: object) -> dict[str, Any]:
    """A session: times are whole seconds."""
    return {
        "messages": [],
        "memories": [],
        "context": None,
        "user_id": None,
        "tokens": 0,
        "session_id": session_id,
        "namespace": None,
        "ttl_seconds": None,
        "data": {},
        "long_term_memory_strategy": {"strategy": "discrete", "config": {}},
        "last_accessed": int(NOON.timestamp()) + 30,
        "created_at": int(NOON.timestamp()),
        "updated_at": int(NOON.timestamp()) + 60,
        **more,
    }


def key_of(session: dict[str, Any]) -> str:
    """Where a session lies."""
    return ":".join(["working_memory", *filter(None, (session["namespace"], session["user_id"])), session["session_id"]])


def put_session(redis: Redis, session: dict[str, Any], *, as_text: bool = False) -> None:
    """As the server does since 0.13, or as those before did."""
    if as_text:
        redis.set(key_of(session), json.dumps(session))
    else:
        redis.json().set(key_of(session), "$", session)
    if session["ttl_seconds"]:
        redis.expire(key_of(session), session["ttl_seconds"])


def memory(id_: str, text: str, **more: object) -> dict[str, Any]:
    """A hash as it is written: nothing is an empty string, lists are joined, times are seconds with a fraction."""
    return {
        "text": text,
        "id_": id_,
        "session_id": "",
        "user_id": "",
        "namespace": "",
        "memory_type": "semantic",
        "topics": "",
        "entities": "",
        "memory_hash": "0" * 64,
        "discrete_memory_extracted": "t",
        "pinned": 0,
        "access_count": 0,
        "extracted_from": "",
        "created_at": NOON.timestamp() + 0.123456,
        "last_accessed": NOON.timestamp() + 1.5,
        "updated_at": NOON.timestamp() + 2.25,
        "vector": VECTOR,
        **more,
    }


def put_memory(redis: Redis, fields: dict[str, Any], prefix: str = "memory_idx") -> None:
    """As the server does."""
    redis.hset(f"{prefix}:{fields['id_']}", mapping=fields)


def filled(redis: Redis) -> None:
    """Sessions of both formats, memories of both prefixes, keys of other kinds, and some that nobody can read."""
    recorded = {"id": "m-1", "text": "likes tea", "memory_type": "semantic", "topics": ["tea"], "persisted_at": NOON.isoformat()}
    full = {
        "messages": [
            message("a", "hello", 0, persisted_at=NOON.isoformat(), discrete_memory_extracted="t"),
            message("b", "héllo 🎉", 1, role="assistant"),
            message("c", "42", 2, role="tool"),
        ],
        "memories": [recorded],
        "context": "they talked about tea",
        "tokens": 12,
        "data": {"nested": {"n": [1, 2.5, None]}},
        "long_term_memory_strategy": {"strategy": "summary", "config": {"max_summary_length": 100}},
    }
    put_session(redis, document("talk", namespace="work", user_id="anna", **full))
    put_session(redis, document("talk", namespace="work", user_id="ben", messages=[message("a", "another", 3)]))
    put_session(redis, document("more", namespace="work", user_id="anna", messages=[message("a", "the same id", 4)]))
    put_session(redis, document("a:b/c", messages=[message("x", "of nobody", 5)], created_at=1, updated_at=2), as_text=True)
    soon = int(datetime.now(UTC).timestamp())
    put_session(redis, document("short", ttl_seconds=3600, messages=[message("s", "for an hour", 6)], updated_at=soon))
    redis.set("working_memory:migration:complete", "true")
    redis.set("working_memory:broken", "{no json")
    redis.json().set("working_memory:list", "$", [1])
    owned = {"namespace": "work", "user_id": "anna", "session_id": "talk"}
    put_memory(redis, memory("m-1", "likes tea", topics="tea,drinks", entities="Anna", pinned=1, access_count=7, **owned))
    put_memory(redis, memory("m-2", "went to Paris", memory_type="episodic", event_date=NOON.timestamp(), extracted_from="a,b"))
    put_memory(redis, memory("m-3", "of an old server", topics="x|y"), prefix="memory")
    put_memory(redis, memory("m-4", " "))
    redis.set("memory_idx:counter", "5")
    redis.hset("auth_token:abc", mapping={"description": "no memory"})
