"""Nobody reaches what is not theirs: every operation of a running gateway, with every id, name and filter of somebody else.

The requests are made from its own OpenAPI document; `support/isolation.py` holds the tables, and an operation, parameter or field
that they do not know fails here.
"""

import asyncio
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec
import pytest

from agent_memory.embedded.supervisor import Stack
from agent_memory.eventlog import secrets
from agent_memory.eventlog.connect import Connections
from agent_memory.eventlog.tokens import StoredToken, TokenStore
from agent_memory.gateway.edges.http.admission import READING_POSTS
from support.controls import wait_until_now
from support.isolation import COMMON, EXAMPLES, LAST, Attempt, Key, Owner, attempts, operations, undecided
from support.servers import Servers
from support.stacks import running_stack

SHOWS_NOTHING: frozenset[Key] = frozenset(
    {
        ("get", "/v1/health"),
        ("get", "/health"),
        ("get", "/ready"),
        ("get", "/v1/status"),
        ("get", "/v1/whoami"),
        ("get", "/metrics"),
        ("get", "/v1/scheduler"),
        ("get", "/v1/scheduler/jobs/{job_name}/runs"),
        ("get", "/v1/tasks/{task_id}"),
        ("get", "/v1/bundle"),  # nobody here is an admin; tests/integration/test_bundles.py tells those of two tenants apart
    }
)
NEEDS_A_MODEL: frozenset[Key] = frozenset({("get", "/v1/summary-views/{view_id}/partitions")})


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a request was answered."""

    status_code: int
    text: str
    headers: str


class System:
    """A gateway that asks for tokens, and the store that it finds them in."""

    def __init__(self, stack: Stack) -> None:
        self._database_url = stack.database_url
        self.client = httpx.Client(base_url=stack.http_urls[0], timeout=30)
        self._many = HTTPConnection(stack.http_urls[0].removeprefix("http://"), timeout=30)
        self.document: dict[str, Any] = self.client.get("/openapi.json").json()
        self._admin = self.token(tenant="operations", scopes=["admin"])

    def token(self, **about: Any) -> str:
        """A new token, as `agent-memory token add` makes it."""
        secret = secrets.new_token()
        given = {"id": secrets.lookup_id(secret), "hash": secrets.hashed(secret), "description": "", "scopes": ["write"], **about}

        async def add() -> None:
            connections = Connections(self._database_url)
            await TokenStore(connections).add(StoredToken(**given, created_ms=time.time_ns() // 1_000_000))
            await connections.close()

        asyncio.run(add())
        return secret

    def owner(self, name: str, *, ids: str = "", **about: Any) -> Owner:
        """Somebody with a token and content."""
        namespaces, user_id = about.get("namespaces"), about.get("user_id")
        made = Owner(
            name=name,
            token=self.token(**about),
            namespace=namespaces[0] if namespaces else "work",
            user_id=user_id or "anna",
            marker=f"secret-of-{name}",
            memory_ids=tuple(f"memory{number}{ids}" for number in (1, 2, 3)),
        )
        return self._filled(made)

    def send(self, owner: Owner, attempt: Attempt) -> Answer:
        """One request with the owner's token. There are thousands, and httpx takes longer over one than the gateway."""
        headers = {"authorization": f"Bearer {owner.token}", "content-type": "application/json"}
        body = None if attempt.body is None else msgspec.json.encode(attempt.body)
        query = f"?{urlencode(attempt.query)}" if attempt.query else ""
        self._many.request(attempt.method.upper(), quote(attempt.path) + query, body, headers)
        answer = self._many.getresponse()
        return Answer(status_code=answer.status, text=answer.read().decode(), headers=str(answer.headers))

    def asked(self, owner: Owner, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The answer to a request that must succeed."""
        answer = self.send(owner, Attempt(method=method, path=path, query=tuple(query.items()), body=body))
        assert answer.status_code == 200, (path, answer.text)
        return msgspec.json.decode(answer.text)

    def close(self) -> None:
        """Nothing more is asked."""
        self.client.close()
        self._many.close()

    def caught_up(self) -> None:
        headers = {"authorization": f"Bearer {self._admin}"}

        def done() -> bool:
            return all(one["lag"] == 0 for one in self.client.get("/v1/status", headers=headers).json()["projections"])

        wait_until_now(done, "every view caught up", timeout=60)

    def walked(self, owner: Owner) -> Owner:
        """The owner with the nodes and grips of the table of contents, once something is written about all of it."""
        place = {"namespace": owner.namespace, "user_id": owner.user_id}
        nodes: dict[str, dict[str, Any]] = {}

        def written() -> bool:
            nodes.clear()
            level = self.asked(owner, "get", "/v1/timeline/root", **place)["nodes"]
            while level:
                nodes.update({one["node_id"]: one for one in level})
                paths = [f"/v1/timeline/nodes/{one['node_id']}/children" for one in level]
                level = [below for path in paths for below in self.asked(owner, "get", path, **place)["nodes"]]
            return all(one["bullets"] for one in nodes.values() if one["level"] != "segment") and len(nodes) > 4

        wait_until_now(written, "something is written about every period", timeout=60)
        grips = {grip for node in nodes.values() for bullet in node["bullets"] for grip in bullet["grip_ids"]}
        known = {**owner.known, "nodes": " ".join(nodes), "grips": " ".join(grips)}
        return msgspec.structs.replace(owner, known=known)

    def kinds_found(self, owner: Owner) -> set[str]:
        """Of what the owner finds of the timeline and its table of contents."""
        asked = {"text": owner.marker, "kinds": [], "limit": 100, "namespace": owner.namespace, "user_id": owner.user_id}
        found = self.asked(owner, "post", "/v1/timeline/search", asked)["matches"]
        return {one["kind"] for one in found if owner.marker in str(one)}

    def seen(self, owner: Owner) -> dict[str, Any]:
        """All that is the owner's, as the owner sees it."""
        place = {"namespace": owner.namespace, "user_id": owner.user_id}
        sessions = self.asked(owner, "get", "/v1/working-memory", limit="100", **place)
        listing = {"limit": 100, "namespace": {"eq": owner.namespace}, "user_id": {"eq": owner.user_id}}
        return {
            "sessions": sessions,
            "documents": [self.asked(owner, "get", f"/v1/working-memory/{one}", **place) for one in sorted(sessions["sessions"])],
            "memories": [self.asked(owner, "get", f"/v1/long-term-memory/{one}") for one in owner.memory_ids],
            "found": self.asked(owner, "post", "/v1/long-term-memory/search", listing),
            "events": self.asked(owner, "get", "/v1/events", limit="100", **place),
            "view": self.asked(owner, "get", f"/v1/summary-views/{owner.known['view_id']}"),
            "task": self.asked(owner, "get", f"/v1/tasks/{owner.known['task_id']}")["view_id"],
        }

    def _filled(self, owner: Owner) -> Owner:
        place = {"namespace": owner.namespace, "user_id": owner.user_id}
        said = f"{COMMON} tea {owner.marker}"
        at = "2026-03-01T12:00:00Z"
        for session in ("shared", owner.name, f"hidden-{owner.marker}"):
            messages = [{"role": "user", "content": f"{said} in {session}", "id": "m1", "created_at": at}]
            document = {"messages": messages, "data": {"note": said}, "context": said, **place}
            self.asked(owner, "put", f"/v1/working-memory/{session}", document)
        told = f"{said}: we planted it behind the old house in the valley"
        events = [{"session_id": "shared", "event_id": one, "text": told, "timestamp": at} for one in ("e1", f"e-{owner.name}")]
        self.asked(owner, "post", "/v1/events", {"events": events, **place})
        texts = ["likes tea", f"{said} at home", f"owns a boat named {owner.marker}"]
        records = [
            {"id": id_, "text": text, "topics": ["drinks"], "entities": ["tea"], "session_id": "shared", **place}
            for id_, text in zip(owner.memory_ids, texts, strict=True)
        ]
        self.asked(owner, "post", "/v1/long-term-memory/", {"memories": records})
        view = {"name": owner.marker, "source": "long_term", "group_by": ["session_id"], "filters": place}
        view_id = self.asked(owner, "post", "/v1/summary-views", view)["id"]
        task_id = self.asked(owner, "post", f"/v1/summary-views/{view_id}/run", {})["id"]
        return msgspec.structs.replace(owner, known={"view_id": view_id, "task_id": task_id})


@pytest.fixture(scope="module")
def system(servers: Servers) -> Iterator[System]:
    with running_stack(servers, AUTH_MODE="token", TIMELINE_SETTLE_SECONDS="0.1") as stack:
        system = System(stack)
        yield system
        system.close()


def test_every_operation_parameter_and_field_is_decided_about(system: System) -> None:
    assert undecided(system.document) == []


def test_nothing_but_what_is_open_answers_without_a_credential(system: System) -> None:
    openly = {"/v1/health", "/health", "/ready"}
    somebody = Owner(name="x", token="", namespace="n", user_id="u", marker="x", memory_ids=("a",))
    for key in operations(system.document):
        for attempt in attempts(system.document, key, somebody)[:1]:
            answer = system.client.request(attempt.method, attempt.path, json=attempt.body)
            assert answer.status_code == (200 if key[1] in openly else 401), attempt


def _reads(key: Key) -> bool:
    return key[0] == "get" or (key[0] == "post" and key[1] in READING_POSTS)


RELATIONS = ["tenants", "users", "namespaces", "one of several"]


def related(system: System, relation: str) -> tuple[Owner, Owner]:
    """Whose things they are, and who tries to reach them."""
    match relation:
        case "tenants":
            return system.owner("left", tenant="left"), system.owner("right", tenant="right")
        case "users":
            tenant = {"tenant": "users"}
            return (
                system.owner("anna", ids="a", user_id="anna", **tenant),
                system.owner("ben", ids="b", user_id="ben", **tenant),
            )
        case "namespaces":
            tenant = {"tenant": "namespaces"}
            return (
                system.owner("closed", ids="c", namespaces=["closed"], **tenant),
                system.owner("opened", ids="o", namespaces=["opened", "wide"], **tenant),
            )
        case _:
            tenant = {"tenant": "several", "user_id": "anna"}
            return (
                system.owner("two", ids="t", namespaces=["two", "three"], **tenant),
                system.owner("four", ids="f", namespaces=["four"], **tenant),
            )


@pytest.mark.parametrize("relation", RELATIONS)
def test_nobody_reaches_what_is_not_theirs(system: System, relation: str) -> None:
    victim, stranger = related(system, relation)
    system.caught_up()
    victim = system.walked(victim)
    system.caught_up()
    assert system.kinds_found(victim) == {"node", "grip", "event"}
    keys = sorted((key for key in operations(system.document) if key in EXAMPLES), key=lambda key: (key in LAST, not _reads(key)))

    silent = {
        key
        for key in keys
        if _reads(key) and not any(_shows(system, victim, one) for one in attempts(system.document, key, victim))
    }
    assert silent <= SHOWS_NOTHING | NEEDS_A_MODEL

    before = system.seen(victim)
    leaks: list[str] = []
    for key in keys:
        for attempt in attempts(system.document, key, victim):
            answer = system.send(stranger, attempt)
            said = answer.text + answer.headers
            names = (*victim.memory_ids, *victim.known.values())
            ids = [one for one in names if one not in stranger.memory_ids and one not in str(attempt)]
            if answer.status_code >= 500 or any(word in said for word in (victim.marker, *ids)):
                leaks.append(f"{attempt} -> {answer.status_code} {answer.text[:200]}")
    assert leaks == []

    system.caught_up()
    assert system.seen(victim) == before


def _shows(system: System, owner: Owner, attempt: Attempt) -> bool:
    answer = system.send(owner, attempt)
    return answer.status_code == 200 and owner.marker in answer.text


def test_one_idempotency_key_of_two_people_is_two_keys(system: System) -> None:
    one = system.token(tenant="keys", user_id="one")
    two = system.token(tenant="keys", user_id="two")
    body = {"session_id": "s", "event_id": "e", "text": "the very same"}
    for token in (one, two):
        headers = {"authorization": f"Bearer {token}", "idempotency-key": "k"}
        answers = [system.client.post("/v1/events", json=body, headers=headers).json() for _ in range(2)]
        assert [answer["created"] for answer in answers] == [1, 1]
        assert answers[0] == answers[1]
        assert len(system.client.get("/v1/events", headers=headers).json()["events"]) == 1


def test_a_memory_id_that_is_taken_keeps_standing_for_its_owner(system: System) -> None:
    tokens = {user: system.token(tenant="ids", user_id=user) for user in ("one", "two")}
    for user, token in tokens.items():
        memory = {"id": "wanted", "text": f"belongs to {user}"}
        headers = {"authorization": f"Bearer {token}"}
        answer = system.client.post("/v1/long-term-memory/", json={"memories": [memory]}, headers=headers)
        assert answer.status_code == 200
        assert ("memory_ids" in answer.json()) == (user == "two")  # who did not get the id is told which it is instead
    system.caught_up()
    for user, token in tokens.items():
        headers = {"authorization": f"Bearer {token}"}
        found = system.client.post("/v1/long-term-memory/search", json={"limit": 10}, headers=headers).json()["memories"]
        assert [memory["text"] for memory in found] == [f"belongs to {user}"]
    answers = [
        system.client.get("/v1/long-term-memory/wanted", headers={"authorization": f"Bearer {one}"}) for one in tokens.values()
    ]
    assert [answer.status_code for answer in answers] == [200, 404]
