"""Conversations through the doors of a stack: stored as events, each in a namespace of its own, and asked by HTTP searches."""

import time
from collections.abc import Iterator

import msgspec

from bench.sequences import Connection
from bench.sites import Site
from bench.workloads import http
from recall.conversations import Conversation, Question
from recall.scores import Scores, scored

MODES = ("keyword", "semantic", "hybrid")
UNITS = ("turns", "sessions")
PER_REQUEST = 500
SETTLED_SECONDS = 600.0


class Asked(msgspec.Struct, frozen=True):
    """One question in one mode: what it scored, and how long the search took as its client saw it."""

    conversation: str
    category: str
    unit: str
    mode: str
    scores: Scores
    milliseconds: float


def store(site: Site, conversations: list[Conversation]) -> None:
    """Records what was said and waits until all of it can be found. Raises AssertionError when that does not come about."""
    with Connection(site.host, site.port) as connection:
        for conversation in conversations:
            events = [
                {
                    "event_id": turn.id,
                    "session_id": turn.session,
                    "timestamp_ms": turn.timestamp_ms,
                    "role": "user",
                    "text": turn.text,
                }
                for turn in conversation.turns
            ]
            for start in range(0, len(events), PER_REQUEST):
                body = {"namespace": conversation.name, "events": events[start : start + PER_REQUEST]}
                connection.get_ok(http("POST", "/v1/events", body))
    assert site.drained(SETTLED_SECONDS), f"not everything was searchable after {SETTLED_SECONDS:.0f} s"


def ask(site: Site, conversation: Conversation) -> Iterator[Asked]:
    """Every question of a conversation in every mode, for turns and for sessions."""
    session_of = {turn.id: turn.session for turn in conversation.turns}
    with Connection(site.host, site.port) as connection:
        for question in conversation.questions:
            # Hybrid first: the vector of a question is kept, so whoever asks first waits for it.
            for mode in reversed(MODES):
                for unit in UNITS:
                    evidence = question.evidence if unit == "turns" else {session_of[turn] for turn in question.evidence}
                    found, seconds = _found(connection, conversation.name, question, mode, unit)
                    yield Asked(conversation.name, question.category, unit, mode, scored(found, evidence), seconds * 1_000)


def _found(connection: Connection, namespace: str, question: Question, mode: str, unit: str) -> tuple[list[str], float]:
    body: dict[str, object] = {"text": question.text, "namespace": namespace, "mode": mode, "limit": 10}
    if unit == "sessions":
        body["group_by"] = "session"
    request = http("POST", "/v1/timeline/search", body)
    started = time.perf_counter()
    _, answer = connection.get_ok(request)
    seconds = time.perf_counter() - started
    found = msgspec.json.decode(answer)
    if unit == "sessions":
        return [one["session_id"] for one in found["sessions"]], seconds
    return [one["event_id"] for one in found["events"]], seconds
