"""Requests as bytes, made before anything is measured."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from bench.texts import TOPICS, Texts

_START = datetime(2026, 3, 2, 9, tzinfo=UTC)
YEAR_START_MS, YEAR_MS = 1_735_689_600_000, 365 * 86_400_000
"""The year 2025, over which a timeline is spread."""
CORPUS, NAMESPACES, WIDE = "corpus", 10, "wide"
"""The memories that are searched lie in the namespaces corpus-0 to corpus-9."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a load generator shall do. `tag` is the namespace and the beginning of every id, so that runs never meet.

    `size`: events of a batch, messages of a session, or how many sessions exist; `warm` requests go before `count` measured ones.
    """

    workload: str
    host: str
    port: int
    tag: str
    seed: int
    count: int
    clients: int = 1
    warm: int = 0
    size: int = 0
    mode: str = ""
    token: str = ""
    """What the requests are authenticated with."""
    names: list[str] = []
    """Ids that are asked for in turn."""


def requests(job: Job) -> list[bytes]:
    """The requests of a job, `warm` of them first."""
    made = WORKLOADS[job.workload](job, job.warm + job.count)
    shown = b"\r\nauthorization: Bearer " + job.token.encode() + b"\r\n"
    return [request.replace(b"\r\n", shown, 1) for request in made] if job.token else made


def http(method: str, path: str, body: object = None, **headers: str) -> bytes:
    """One HTTP/1.1 request."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", "host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def event(job: Job, texts: Texts, number: int, session: str) -> dict[str, object]:
    """A message of a session; time goes on by a second per event."""
    kind, role = (("user_message", "user"), ("assistant_message", "assistant"))[number % 2]
    at = int(_START.timestamp() * 1000) + number * 1_000
    return {
        "event_id": f"{job.tag}-{number}",
        "session_id": session,
        "timestamp_ms": at,
        "event_type": kind,
        "role": role,
        "text": texts.message(),
    }


def message(job: Job, texts: Texts, session: str, number: int) -> dict[str, object]:
    """A message of a session's working memory."""
    at = _START + timedelta(seconds=number)
    role = ("user", "assistant")[number % 2]
    return {"id": f"{session}-{number}", "role": role, "content": texts.message(), "created_at": at.isoformat()}


def memory(namespace: str, memory_id: str, texts: Texts) -> dict[str, object]:
    """A long-term memory: one sentence, two topics."""
    return {"id": memory_id, "text": texts.sentence(), "namespace": namespace, "user_id": "maya", "topics": texts.topics()}


def settled(namespace: str, memory_id: str, texts: Texts) -> dict[str, object]:
    """A memory that lacks nothing a model would be asked for."""
    return memory(namespace, memory_id, texts) | {"entities": ["Maya"]}


def _events(job: Job, count: int) -> list[bytes]:
    """One event a request, over as many sessions as there are clients, each of 50 events."""
    texts = Texts(job.seed)
    sessions = [f"{job.tag}-s{number // (50 * job.clients)}-{number % job.clients}" for number in range(count)]
    return [
        http("POST", "/v1/events", {"namespace": job.tag, **event(job, texts, number, sessions[number])}) for number in range(count)
    ]


def _event_batches(job: Job, count: int) -> list[bytes]:
    """`size` events a request, ten requests a session."""
    texts = Texts(job.seed)
    return [
        http(
            "POST",
            "/v1/events",
            {
                "namespace": job.tag,
                "events": [event(job, texts, number * job.size + part, f"{job.tag}-s{number // 10}") for part in range(job.size)],
            },
        )
        for number in range(count)
    ]


def session_body(job: Job, texts: Texts, session: str) -> dict[str, object]:
    """A working memory of `size` messages."""
    return {"namespace": job.tag, "messages": [message(job, texts, session, number) for number in range(job.size)]}


def _put(job: Job, count: int) -> list[bytes]:
    texts = Texts(job.seed)
    names = [f"{job.tag}-{number}" for number in range(count)]
    return [http("PUT", f"/v1/working-memory/{name}", session_body(job, texts, name)) for name in names]


def _get(job: Job, count: int) -> list[bytes]:
    """Sessions that `put` made with the same tag, in turn."""
    one_each = [http("GET", f"/v1/working-memory/{job.tag}-{number}?namespace={job.tag}") for number in range(job.size)]
    return [one_each[number % job.size] for number in range(count)]


def _append(job: Job, count: int) -> list[bytes]:
    """One message a request to `size` sessions in turn; `mode` tells the rounds of one session apart."""
    texts = Texts(job.seed)
    made = []
    for number in range(count):
        name = f"{job.tag}-{number % job.size}"
        body = {"namespace": job.tag, "messages": [message(job, texts, f"{name}-{job.mode}", 1_000_000 + number)]}
        made.append(http("POST", f"/v1/working-memory/{name}/messages", body))
    return made


def _grow(job: Job, count: int) -> list[bytes]:
    """Messages for one session, 500 a request: `size` in all."""
    texts = Texts(job.seed)
    name = f"{job.tag}-0"
    numbers = range(0, job.size, 500)
    return [
        http(
            "POST",
            f"/v1/working-memory/{name}/messages",
            {
                "namespace": job.tag,
                "messages": [message(job, texts, name, number) for number in range(first, min(first + 500, job.size))],
            },
        )
        for first in numbers
    ]


def _memories(job: Job, count: int) -> list[bytes]:
    """100 memories a request. With `mode` "corpus" they are spread over the namespaces that are searched."""
    texts = Texts(job.seed)
    made = []
    new = settled if job.mode == "corpus" else memory
    for number in range(count):
        namespace = f"{job.tag}-{number % NAMESPACES}" if job.mode == "corpus" else job.tag
        memories = [new(namespace, f"{job.tag}-{number}-{part}", texts) for part in range(100)]
        made.append(http("POST", "/v1/long-term-memory/", {"memories": memories, "deduplicate": True}))
    return made


def search_filters(picks: random.Random, *, wide: bool = False) -> dict[str, dict[str, object]]:
    """One namespace and any of two topics: some 300 of 10,000 memories. Wide: any of six topics, some 7,700."""
    if wide:
        return {"topics": {"any": picks.sample(TOPICS, 6)}}
    return {"namespace": {"eq": f"{CORPUS}-{picks.randrange(NAMESPACES)}"}, "topics": {"any": picks.sample(TOPICS, 2)}}


def _search(job: Job, count: int) -> list[bytes]:
    """Searches by `mode`, whose text was never asked for before; mode "wide" is semantic, under a filter that most pass."""
    texts, picks = Texts(job.seed), random.Random(job.seed)
    wide = job.mode == WIDE
    common = {"search_mode": "semantic" if wide else job.mode, "limit": 10}
    return [
        http("POST", "/v1/long-term-memory/search", {"text": texts.question(), **common, **search_filters(picks, wide=wide)})
        for _ in range(count)
    ]


def _prompt(job: Job, count: int) -> list[bytes]:
    """Prompts for the sessions that `put` made with the same tag, in turn, with what a semantic search finds beside them."""
    texts, picks = Texts(job.seed), random.Random(job.seed)
    made = []
    for number in range(count):
        session = {"session_id": f"{job.tag}-{number % job.size}", "namespace": job.tag}
        search = {"search_mode": "semantic", "limit": 10, **search_filters(picks)}
        made.append(http("POST", "/v1/memory/prompt", {"query": texts.question(), "session": session, "long_term_search": search}))
    return made


def _path(job: Job, count: int) -> list[bytes]:
    """The same GET again and again; `mode` is the path."""
    return [http("GET", job.mode)] * count


WORKLOADS: dict[str, Callable[[Job, int], list[bytes]]] = {
    "events": _events,
    "event-batches": _event_batches,
    "put": _put,
    "get": _get,
    "append": _append,
    "grow": _grow,
    "memories": _memories,
    "search": _search,
    "prompt": _prompt,
    "path": _path,
}
