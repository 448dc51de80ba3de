"""A real HTTP server on loopback that answers as told and remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import msgspec


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived: the path undecoded, the headers in lower case."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return msgspec.json.decode(self.body)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `hang_up`: close the connection without one."""

    status: int = 200
    body: object = {}
    headers: dict[str, str] = {}
    hang_up: bool = False


class ScriptedServer(ThreadingHTTPServer):
    """Asks `respond(asked)` for each answer; `asked` lists all requests so far."""

    daemon_threads = True

    def __init__(self, respond: Callable[[Asked], Told]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def scripted(*answers: Told, respond: Callable[[Asked], Told] | None = None) -> Iterator[ScriptedServer]:
    """A server that gives the answers in turn (the last one for ever), or asks `respond`."""
    left = list(answers)

    def next_answer(_: Asked) -> Told:
        return left.pop(0) if len(left) > 1 else left[0]

    server = ScriptedServer(respond or next_answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(method=self.command, path=url.path, query=parse_qsl(url.query), headers=headers, body=body)
        self.server.asked.append(asked)
        told = self.server.respond(asked)
        if told.hang_up:
            self.close_connection = True
            return
        content = told.body if isinstance(told.body, bytes) else msgspec.json.encode(told.body)
        self.send_response(told.status)
        for name, value in {**told.headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `asked`, nobody reads a log."""
