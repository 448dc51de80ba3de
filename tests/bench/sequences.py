"""Jobs in which each request depends on the answer before it: one plain blocking connection."""

import socket
import time
from collections.abc import Callable

import msgspec

from agent_memory.contracts.records import to_datetime
from bench.texts import Texts
from bench.workloads import Job, event, http, memory

GIVE_UP_SECONDS = 10.0


class Connection:
    """One keep-alive connection. Raises OSError."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, body."""
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        whole = end + 4 + int(headers.get("content-length", 0))
        while len(data) < whole:
            data += self._more()
        return int(first.split()[1]), headers, data[end + 4 :]

    def get_ok(self, request: bytes) -> tuple[dict[str, str], bytes]:
        """Headers and body of a 200. Raises AssertionError for any other answer."""
        status, headers, body = self.ask(request)
        assert status == 200, f"{status}: {body[:300]!r}"
        return headers, body

    def _more(self) -> bytes:
        part = self._socket.recv(262_144)
        if not part:
            raise ConnectionError("the server closed the connection")
        return part


def _visible_by_polling(job: Job, first: int, count: int) -> list[float]:
    """From before a memory is sent until a search lists it: one search after the other, without a pause."""
    texts = Texts(job.seed + first)
    found: list[float] = []
    with Connection(job.host, job.port) as connection:
        for number in range(first, first + count):
            namespace = f"{job.tag}-{number}"
            write = http("POST", "/v1/long-term-memory/", {"memories": [memory(namespace, namespace, texts)]})
            look = http("POST", "/v1/long-term-memory/search", {"namespace": {"eq": namespace}, "limit": 1})
            started = time.perf_counter()
            connection.get_ok(write)
            while not _total(connection.get_ok(look)[1]):
                if time.perf_counter() - started > GIVE_UP_SECONDS:
                    raise AssertionError(f"{namespace} was not visible after {GIVE_UP_SECONDS} s")
            found.append(time.perf_counter() - started)
    return found


def _visible_by_position(job: Job, first: int, count: int) -> list[float]:
    """From before a memory is sent until a semantic search that asks for its position answers with it."""
    texts = Texts(job.seed + first)
    found: list[float] = []
    with Connection(job.host, job.port) as connection:
        for number in range(first, first + count):
            namespace = f"{job.tag}-{number}"
            write = http("POST", "/v1/long-term-memory/", {"memories": [memory(namespace, namespace, texts)]})
            asked = {"text": texts.question(), "namespace": {"eq": namespace}, "limit": 1}
            started = time.perf_counter()
            headers, _ = connection.get_ok(write)
            path = f"/v1/long-term-memory/search?min_position={headers['x-memory-position']}"
            _, body = connection.get_ok(http("POST", path, asked))
            found.append(time.perf_counter() - started)
            assert _total(body) == 1, f"{namespace}: {body[:300]!r}"
    return found


def _node_by_polling(job: Job, first: int, count: int) -> list[float]:
    """From before an event is sent until the day it belongs to is there: one look after the other, without a pause."""
    texts = Texts(job.seed + first)
    found: list[float] = []
    with Connection(job.host, job.port) as connection:
        for number in range(first, first + count):
            namespace = f"{job.tag}-{number}"
            said = event(job, texts, number, namespace)
            day = to_datetime(int(str(said["timestamp_ms"]))).date()
            write = http("POST", "/v1/events", {"namespace": namespace, **said})
            look = http("GET", f"/v1/timeline/nodes/toc:day:{day}?namespace={namespace}")
            started = time.perf_counter()
            connection.get_ok(write)
            while connection.ask(look)[0] != 200:
                if time.perf_counter() - started > GIVE_UP_SECONDS:
                    raise AssertionError(f"the day of {namespace} was not there after {GIVE_UP_SECONDS} s")
            found.append(time.perf_counter() - started)
    return found


class _Page(msgspec.Struct):
    total: int


def _total(body: bytes) -> int:
    return msgspec.json.decode(body, type=_Page).total


SEQUENCES: dict[str, Callable[[Job, int, int], list[float]]] = {
    "visible-by-polling": _visible_by_polling,
    "visible-by-position": _visible_by_position,
    "node-by-polling": _node_by_polling,
}
